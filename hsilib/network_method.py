"""`NetworkMethod`: any registered network behind the `Method` contract."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.inference.tta import predict_proba, scene_views
from hsilib.method import SEEDS_TOGETHER, Method
from hsilib.model_file import save_model
from hsilib.pretraining.encoder_cache import StageReport
from hsilib.pretraining.pretrain import PretrainOptions, pretrain
from hsilib.registry import create_model, network_class
from hsilib.training.checkpoint import FitHistory, rounded
from hsilib.training.device import own_randomness
from hsilib.training.fit import fit
from hsilib.training.fit_options import FitOptions
from hsilib.training.spectral_train import SpectralSchedule, SpectralTrainOptions


@dataclass(frozen=True)
class NetworkOptions:
    """Settings of `NetworkMethod`.

    Attributes
    ----------
    network : a name of ``hsilib.registry.NETWORKS``.
    model : the network's own arguments, such as ``patch_size`` or ``spectral_width``.
    pretrain : the self-supervised stages before the training.
    fit : the training loop's settings.
    spectral_train : a schedule of principal components and patch sizes, for any network.
    tta : views of the scene that are averaged at the end; 0, 8 or 16.
    """

    network: str = "dual-branch"
    model: dict[str, Any] = field(default_factory=dict)
    pretrain: PretrainOptions = field(default_factory=PretrainOptions)
    fit: FitOptions = field(default_factory=FitOptions)
    spectral_train: SpectralTrainOptions = field(default_factory=SpectralTrainOptions)
    tta: int = 0
    kind: ClassVar[str] = "NetworkOptions"
    uses_spectra: ClassVar[bool] = True

    def __post_init__(self) -> None:
        scene_views(self.tta)  # complains about a number of views that there is not
        if not network_class(self.network).takes_patches:
            raise InputError(f"network {self.network} takes whole images, not patches; start from its own recipe.")

    @property
    def uses_validation(self) -> bool:
        """Whether it keeps the best validation epoch."""
        return self.fit.choose == "validation"

    def build(self, device: torch.device) -> NetworkMethod:
        """A method that is not fitted yet."""
        return NetworkMethod(self, device)


class NetworkMethod(Method):
    """Pre-train a network's encoders, fit it on patches, predict the scene densely."""

    def __init__(self, options: NetworkOptions, device: torch.device) -> None:
        self.options, self.device = options, device

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Build, standardise on all pixels, pre-train, train."""
        cache, checkpoint = (self.workspace.pretrained, self.workspace.checkpoint) if self.workspace else (None, None)
        self.draw_seed(generator)
        with self.own_randomness():
            self.create_model(scene)
            sampler = PatchSampler(scene.cube, self.model.patch_size, self.device)
            options, schedule = self.options.fit.lengthened(len(split.train)), None
            if self.options.spectral_train.stages:
                schedule = SpectralSchedule(self.model, scene.cube, self.options.spectral_train, options.epochs)
                options = schedule.shortened(options)
            stages = pretrain(self.model, sampler, split, self.options.pretrain, self.seed, cache)
            self.fitted(stages, fit(self.model, sampler, split, options, generator, checkpoint, schedule))

    def draw_seed(self, generator: torch.Generator) -> None:
        """Draw what initial weights, dropout and pre-training draw from."""
        self.seed = int(torch.randint(2**31 - 1, (), generator=generator))

    def own_randomness(self) -> AbstractContextManager[None]:
        """A context in which initial weights and dropout draw from this method's seed."""
        return own_randomness(self.seed, self.device)

    def create_model(self, scene: Scene) -> None:
        """A network with fresh weights, standardised on all pixels; for SpectralTrain on principal components."""
        options, whiten = self.options.model, True
        if self.options.spectral_train.stages and not options.get("components"):
            options = {**options, "components": min(self.options.spectral_train.components, scene.n_bands)}
            whiten = False
        model = create_model(self.options.network, scene.n_bands, scene.n_classes, **options)
        model.set_standardizer(Standardizer.fit(scene.cube, model.n_components, whiten))
        self.model = model.to(self.device)

    def fitted(self, stages: list[StageReport], history: FitHistory, together: int = 1) -> None:
        """Keep what the training came to; ``together`` methods shared the time."""
        self.stages, self.history = stages, history
        pretrain_s = sum((stage.seconds for stage in stages), 0.0)
        self.seconds = {"pretrain_s": round(pretrain_s, 3), "fit_s": round(history.seconds, 3)}
        if together > 1:
            self.seconds |= {SEEDS_TOGETHER: together}

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K) softmax of the dense logits, averaged over the views of ``tta``."""
        generator = torch.Generator().manual_seed(self.seed)
        return predict_proba(self.model, scene.cube, self.options.tta, generator).cpu().numpy()

    def save(self, path: Path, class_names: Sequence[str]) -> None:
        """Write the network, with the names of its classes, as `load_model` reads it."""
        save_model(self.model, path, class_names)

    def details(self) -> dict[str, Any]:
        """Number of parameters, the curves, the chosen epoch and what pre-training came to."""
        parameters = sum(p.numel() for p in self.model.parameters())
        details: dict[str, Any] = {"parameters": parameters, "history": self.history.for_record()}
        return details | ({"pretraining": [rounded(asdict(stage)) for stage in self.stages]} if self.stages else {})
