"""`NetworkMethod`: any registered network behind the `Method` contract.

Contents: `NetworkOptions`, `NetworkMethod`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.inference.scene import predict_logits
from hsilib.models.method import Method
from hsilib.models.registry import create_model
from hsilib.training.fit import FitOptions, fit


@dataclass(frozen=True)
class NetworkOptions:
    """Settings of `NetworkMethod`.

    Attributes
    ----------
    network : a name of ``hsilib.models.registry.NETWORKS``.
    model : the network's own arguments, such as ``patch_size`` or ``spectral_width``.
    fit : the training loop's settings.
    """

    network: str = "dual-branch"
    model: dict[str, Any] = field(default_factory=dict)
    fit: FitOptions = field(default_factory=FitOptions)
    uses_spectra: ClassVar[bool] = True

    def build(self, device: torch.device) -> NetworkMethod:
        """A method that is not fitted yet."""
        return NetworkMethod(self, device)


class NetworkMethod(Method):
    """Fit a network on patches, predict the scene densely."""

    def __init__(self, options: NetworkOptions, device: torch.device) -> None:
        self.options, self.device = options, device

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Build, standardise on all pixels, train; the weights of the best validation epoch stay."""
        # Initial weights and dropout draw from torch's global stream; it is seeded here and restored after.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(torch.randint(2**31 - 1, (), generator=generator)))
            model = create_model(self.options.network, scene.n_bands, scene.n_classes, **self.options.model)
            model.set_standardizer(Standardizer.fit(scene.cube))
            self.model = model.to(self.device)
            sampler = PatchSampler(scene.cube, model.patch_size, self.device)
            self.history = fit(self.model, sampler, split, self.options.fit, generator)

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K) softmax of the dense logits."""
        return predict_logits(self.model, scene.cube).softmax(dim=-1).cpu().numpy()

    def details(self) -> dict[str, Any]:
        """Number of parameters, the curves and the chosen epoch."""
        curves = {k: [round(x, 5) for x in v] if isinstance(v, list) else v for k, v in asdict(self.history).items()}
        return {"parameters": sum(p.numel() for p in self.model.parameters()), "history": curves}
