"""`WholeImageMethod`: any registered whole-image network behind the `Method` contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.method import Method
from hsilib.registry import create_model, network_class
from hsilib.training.device import own_randomness
from onepercent.peers.whole_image.fit import fit_whole_image
from onepercent.peers.whole_image.network import WholeImageNetwork
from onepercent.peers.whole_image.options import WholeImageFitOptions


@dataclass(frozen=True)
class WholeImageOptions:
    """Settings of `WholeImageMethod`.

    Attributes
    ----------
    network : a network of ``hsilib.registry.NETWORKS`` that takes whole images.
    model : the network's own arguments, such as ``widths``.
    fit : the training loop's settings.
    """

    network: str = "freenet"
    model: dict[str, Any] = field(default_factory=dict)
    fit: WholeImageFitOptions = field(default_factory=WholeImageFitOptions)
    kind: ClassVar[str] = "WholeImageOptions"
    uses_spectra: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if network_class(self.network).takes_patches:
            raise InputError(f"network {self.network} takes patches, not whole images; start from its own recipe.")

    @property
    def uses_validation(self) -> bool:
        """Whether it keeps the best validation epoch."""
        return self.fit.choose == "validation"

    def build(self, device: torch.device) -> WholeImageMethod:
        """A method that is not fitted yet."""
        return WholeImageMethod(self, device)


class WholeImageMethod(Method):
    """Fit a network on the whole scene at once, predict the scene in one pass; both need memory for all of it."""

    def __init__(self, options: WholeImageOptions, device: torch.device) -> None:
        self.options, self.device = options, device

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Build, standardise on all pixels, train; the weights of the best validation stay."""
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        checkpoint = self.workspace.checkpoint if self.workspace else None
        with own_randomness(seed, self.device):
            model = create_model(self.options.network, scene.n_bands, scene.n_classes, **self.options.model)
            assert isinstance(model, WholeImageNetwork)
            model.set_standardizer(Standardizer.fit(scene.cube, model.n_components))
            self.model: WholeImageNetwork = model.to(self.device)
            image = padded_image(scene.cube, model.stride, self.device)
            model.look_at(image)
            self.history = fit_whole_image(model, image, split, self.options.fit, generator, checkpoint)
        self.seconds = {"fit_s": round(self.history.seconds, 3)}

    @torch.inference_mode()
    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K) softmax of the logits."""
        self.model.eval()
        image = padded_image(scene.cube, self.model.stride, self.device)
        self.model.look_at(image)
        height, width = scene.shape
        logits = self.model(image)[0, :, :height, :width]
        return logits.softmax(dim=0).permute(1, 2, 0).cpu().numpy()

    def save(self, path: Path, class_names: Sequence[str]) -> None:
        """Not possible: what is saved is for rasters that are larger than memory.

        Raises
        ------
        InputError : always.
        """
        raise InputError(f"{self.options.network} labels a whole scene at once; only networks on patches are saved.")

    def details(self) -> dict[str, Any]:
        """Number of parameters, the curves and the chosen epoch."""
        parameters = sum(p.numel() for p in self.model.parameters())
        return {"parameters": parameters, "history": self.history.for_record()}


def padded_image(cube: NDArray[np.generic], multiple: int, device: torch.device) -> torch.Tensor:
    """The cube (H, W, S) as (1, S, H', W') float32, mirrored below and to the right to multiples of ``multiple``."""
    missing = [(0, -length % multiple) for length in cube.shape[:2]]
    mode = "reflect" if min(cube.shape[:2]) > 1 else "edge"
    values = np.pad(cube, [*missing, (0, 0)], mode=mode)  # type: ignore[call-overload]
    return (
        torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device).permute(2, 0, 1)[None].contiguous()
    )
