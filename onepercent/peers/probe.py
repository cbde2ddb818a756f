"""`ProbeMethod`: what an encoder's features are worth before any fine-tuning.

The encoder is frozen, pre-trained or as it was drawn, and a simple classifier learns from its features at
the training pixels. What pre-training adds is the difference between the two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from hsilib.data.patches import PatchSampler, padded_scene
from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError, unknown_name
from hsilib.inference.dense import in_tiles
from hsilib.method import Method
from hsilib.model.network import Network
from hsilib.pretraining.pretrain import PretrainOptions, pretrain
from hsilib.registry import create_model
from hsilib.training.checkpoint import rounded
from hsilib.training.device import own_randomness

ENCODERS = ("spectral", "spatial")
# What is chosen between on the validation pixels; of equals the first, the smoothest, is kept.
PROBES: dict[str, tuple[float, ...]] = {"linear": (0.01, 0.1, 1.0, 10.0, 100.0), "nearest": (5, 3, 1)}


@dataclass(frozen=True)
class ProbeOptions:
    """Settings of `ProbeMethod`.

    Attributes
    ----------
    encoder : ``spectral`` or ``spatial``, of the dual-branch model.
    probe : ``linear``, logistic regression, or ``nearest``, k nearest neighbours.
    pretrained : train the encoder with its stage, MR-SSL or RM-SSL; or leave it with random weights.
    pretrain : the stage's settings. Which stage it is follows from ``encoder``.
    model : the network's own arguments, such as ``patch_size``.
    """

    encoder: str = "spectral"
    probe: str = "linear"
    pretrained: bool = True
    pretrain: PretrainOptions = field(default_factory=PretrainOptions)
    model: dict[str, Any] = field(default_factory=dict)
    network: ClassVar[str] = "dual-branch"
    kind: ClassVar[str] = "ProbeOptions"
    uses_spectra: ClassVar[bool] = True
    uses_validation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise unknown_name("encoder", self.encoder, ENCODERS)
        if self.probe not in PROBES:
            raise unknown_name("probe", self.probe, PROBES)
        if self.model.get("components"):
            raise InputError("probe: model.components is not for setting here; encoders are probed on all bands.")
        if self.pretrain.stages:
            raise InputError(
                "probe: pretrain.rm_ssl and pretrain.mr_ssl are not for setting here; encoder says which stage it is "
                "and pretrained whether it runs."
            )

    def build(self, device: torch.device) -> ProbeMethod:
        """A method that is not fitted yet."""
        return ProbeMethod(self, device)


class ProbeMethod(Method):
    """Frozen features of one encoder, standardised over the scene, under a classifier that is easy to fit."""

    def __init__(self, options: ProbeOptions, device: torch.device) -> None:
        self.options, self.device = options, device

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Build, pre-train if asked, fit the probe on the training pixels; validation chooses its one setting."""
        if len(np.unique(split.train_labels)) < 2:
            raise InputError("probe: the training pixels are of one class only; it needs at least two.")
        options = self.options
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        with own_randomness(seed, self.device):
            model = create_model(options.network, scene.n_bands, scene.n_classes, **options.model)
        model.set_standardizer(Standardizer.fit(scene.cube))
        self.model = model.to(self.device).eval()
        stages = replace(
            options.pretrain,
            rm_ssl=options.pretrained and options.encoder == "spatial",
            mr_ssl=options.pretrained and options.encoder == "spectral",
        )
        sampler = PatchSampler(scene.cube, model.patch_size, self.device)
        cache = self.workspace.pretrained if self.workspace else None
        self.stages = pretrain(self.model, sampler, split, stages, seed, cache)
        self.seconds = {"pretrain_s": round(sum(stage.seconds for stage in self.stages), 3)}

        features = self._features(scene.cube).reshape(scene.shape[0] * scene.shape[1], -1)
        self.scaler = StandardScaler()
        features = self.scaler.fit_transform(features)
        train, val = features[split.train], features[split.val]
        self.n_classes = scene.n_classes
        best = -1.0
        for setting in PROBES[options.probe]:
            if options.probe == "nearest" and setting > len(train):
                continue
            probe = _probe(options.probe, setting).fit(train, split.train_labels)
            accuracy = float((probe.predict(val) == split.val_labels).mean()) if len(val) else 0.0
            if accuracy > best:
                best, self.setting, self.probe = accuracy, setting, probe

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K) probabilities; 0 for classes without a training pixel."""
        features = self._features(scene.cube)
        found = self.probe.predict_proba(self.scaler.transform(features.reshape(-1, features.shape[-1])))
        probabilities = np.zeros((len(found), self.n_classes), dtype=np.float32)
        probabilities[:, self.probe.classes_ - 1] = found
        return probabilities.reshape(*scene.shape, self.n_classes)

    def details(self) -> dict[str, Any]:
        """The setting chosen on validation, C or k, and what pre-training came to."""
        chosen = {"chosen": {"C" if self.options.probe == "linear" else "k": self.setting}}
        return chosen | ({"pretraining": [rounded(asdict(stage)) for stage in self.stages]} if self.stages else {})

    def _features(self, cube: NDArray[np.generic]) -> NDArray[np.float32]:
        return encoder_features(self.model, getattr(self.model, self.options.encoder), cube).cpu().numpy()


@torch.inference_mode()
def encoder_features(model: Network, encoder: nn.Module, cube: NDArray[np.generic]) -> torch.Tensor:
    """One encoder's features of every pixel, densely.

    Parameters
    ----------
    model : standardises. encoder : one of its encoders; used in evaluation mode.
    cube : (H, W, S) raw values.

    Returns
    -------
    (H, W, C) float32 on the model's device.
    """
    encoder.eval()
    radius = model.patch_size // 2
    padded = padded_scene(cube, radius, model.band_mean.device)
    return in_tiles(lambda tile: encoder(model.standardize(tile)), padded, 2 * radius)


def _probe(name: str, setting: float) -> Any:
    """A classifier of scikit-learn that is not fitted yet."""
    if name == "linear":
        return LogisticRegression(C=setting, max_iter=2000)
    return KNeighborsClassifier(n_neighbors=int(setting))
