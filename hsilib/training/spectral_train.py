"""SpectralTrain: a schedule from few principal components and small patches to many and large ones.

The description: stage i of N trains on k_i principal components and spatial size B_i, both growing, within a budget
of β times the full training; independent of architecture, optimiser and loss. Its N, k_i, B_i and β are not known
to us, so the schedule here is ours:

- the components are fitted on all pixels, and their first k_i do not depend on how many follow. They are not
  whitened, unless the network's own recipe does: a rotation of the spectra is as easy to learn from as the bands,
  while whitening blows up the noise of the last components;
- the last stage has all components that the network ends with, and its full patch;
- the budget is counted in epochs. Learning rate, warm-up and the warm-up curriculum run over the shrunken training
  as a whole, not stage by stage. The focal loss's γ falls with the optimiser's steps as always
  (`losses.gamma_at`), so after fewer steps it ends higher;
- no patch is smaller than the network's smallest. Where weights depend on the patch size, all stages have the same;
- augmentation and MixUp change what a stage sees: what else they do to bands, they do to components here.

Early stages really compute less: the scene is projected before patches are cut, so a patch has k_i channels, and a
network for k_i inputs runs on it. Its weights are no copies but prefixes of the full network's: wherever a size
depends on the number of inputs, the first entries belong to the first components (`StageNetwork`). The gradient
reaches the full weights through them, and the optimiser goes on from stage to stage. What it knows of entries that
come in late is a gradient of 0 so far: weight decay shrinks them meanwhile, and Adam's first update of them, at its
step t, is 3.2 · √(1 − 0.999^t) learning rates, 2.5 to 3 after one or two thousand steps, where an entry that is used
from the start gets one.

Fitting the components and projecting the scene takes time that a record's `fit_s` does not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.checks import check_name, check_numbers
from hsilib.data.patches import PatchSampler
from hsilib.errors import InputError
from hsilib.model.network import Network, call_with, smallest_patch
from hsilib.training.fit_options import FitOptions

GROWTHS = ("linear", "geometric", "equal-compute")
SCALING = {"band_mean", "band_scale", "projection"}  # of the raw scene; a stage sees projected values


@dataclass(frozen=True)
class SpectralTrainOptions:
    """Settings of the schedule; off by default.

    Attributes
    ----------
    stages : N; 0 trains the usual way.
    budget : β, the share of the epochs that is left, above 0 and at most 1.
    components : how many principal components the network ends with, where it has no number of its own.
    first_components : k_1.
    first_patch : B_1 as a share of the patch size, cut to an odd number that the network takes; 1 keeps the size.
    growth : ``linear`` and ``geometric`` steps of components with as many epochs in each stage; or
        ``equal-compute``: geometric, each stage with the epochs for which components times area is the same in all.
    """

    stages: int = 0
    budget: float = 0.5
    components: int = 32
    first_components: int = 8
    first_patch: float = 0.6
    growth: str = "geometric"

    def __post_init__(self) -> None:
        check_numbers("spectral_train.", least=0, whole=True, stages=self.stages)
        check_numbers("spectral_train.", least=1, whole=True, components=self.components)
        check_numbers("spectral_train.", least=1, whole=True, first_components=self.first_components)
        check_numbers("spectral_train.", above=0, most=1, budget=self.budget, first_patch=self.first_patch)
        check_name("spectral_train.growth", self.growth, GROWTHS)


@dataclass(frozen=True)
class Stage:
    """k_i components, patches of B_i pixels, for so many epochs."""

    components: int
    patch_size: int
    epochs: int


def plan_stages(
    options: SpectralTrainOptions, components: int, patch_size: int, epochs: int, least_patch: int = 1
) -> list[Stage]:
    """The stages of a training that would take ``epochs`` in full.

    Parameters
    ----------
    components, patch_size : what the last stage has.
    least_patch : smaller patches are made as large as this; `smallest_patch` gives a network's.

    Raises
    ------
    InputError : the budget has fewer epochs than stages, or the schedule would begin with more components.
    """
    total = max(1, round(options.budget * epochs))
    if total < options.stages:
        raise InputError(
            f"spectral_train: {options.stages} stages in {total} epochs ({options.budget} of {epochs}); expected at "
            f"least one epoch a stage."
        )
    if options.first_components > components:
        raise InputError(
            f"spectral_train.first_components is {options.first_components}, but the network has {components} inputs."
        )
    grow = np.linspace if options.growth == "linear" else np.geomspace
    ks = [round(float(k)) for k in grow(options.first_components, components, options.stages)]
    wanted = np.linspace(options.first_patch * patch_size, patch_size, options.stages)
    sizes = [max(least_patch, _odd(size)) for size in wanted]
    ks[-1], sizes[-1] = components, patch_size  # also where there is one stage only
    costs = np.array([k * size**2 for k, size in zip(ks, sizes, strict=True)], dtype=float)
    shares = 1 / costs if options.growth == "equal-compute" else np.ones(options.stages)
    return [Stage(*stage) for stage in zip(ks, sizes, _shared_out(total, shares), strict=True)]


def _odd(size: float) -> int:
    """The largest odd number that is not above ``size``, at least 1."""
    return max(1, 2 * math.floor((size - 1) / 2 + 1e-9) + 1)


def _shared_out(total: int, shares: NDArray[np.float64]) -> list[int]:
    """Whole numbers of at least 1 that sum to ``total`` and come near ``shares``."""
    ends = np.round(np.cumsum(shares / shares.sum()) * (total - len(shares))).astype(int)
    return [1 + int(n) for n in np.diff(ends, prepend=0)]


class StageNetwork:
    """A network as it is in one stage: fewer inputs, smaller patches, weights that are prefixes of the full ones.

    It offers what the training loop and `validate` ask of a `Network`.

    Parameters
    ----------
    full : the network that is trained.
    components, patch_size : k_i and B_i.

    Raises
    ------
    InputError : for so few inputs the network has a layer that is larger than in full; it is no part of it then.
    """

    def __init__(self, full: Network, components: int, patch_size: int) -> None:
        self.full = full
        options = {**full.options, "patch_size": patch_size, "components": 0}
        with torch.random.fork_rng(devices=[]):  # its own initial weights are never used
            self.small = type(full)(components, full.n_classes, **options).to(full.band_mean.device)
        sizes = {name: value.shape for name, value in full.state_dict().items()}
        for name, value in self.small.state_dict().items():
            if name not in SCALING and any(a > b for a, b in zip(value.shape, sizes[name], strict=True)):
                raise InputError(
                    f"{full.name} has a larger {name} for {components} inputs than for {full.n_inputs}, so that stage "
                    f"is no part of it; set other stages with spectral_train.components, first_components or growth."
                )
        self.n_bands, self.n_classes, self.patch_size = components, full.n_classes, patch_size

    def weights(self) -> dict[str, torch.Tensor]:
        """Name → view of the full network's parameter or buffer, cut to the size of this stage."""
        own = dict(self.full.named_parameters()) | dict(self.full.named_buffers())
        return {
            name: own[name][tuple(slice(n) for n in value.shape)]
            for name, value in self.small.state_dict().items()
            if name not in SCALING
        }

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, k_i, B_i, B_i) → features (N, F, 1, 1)."""
        return call_with(self.weights(), self.small, "forward_features", x)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        """(N, F, 1, 1) → logits (N, K, 1, 1)."""
        return call_with(self.weights(), self.small, "forward_head", features)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(N, k_i, B_i, B_i) → logits (N, K)."""
        return self.forward_head(self.forward_features(x)).flatten(1)

    def train(self) -> None:
        """As of a module."""
        self.small.train()

    def eval(self) -> None:
        """As of a module."""
        self.small.eval()


class SpectralSchedule:
    """Which network and which patches an epoch trains on.

    Parameters
    ----------
    model : works on principal components, standardised, on its device.
    cube : (H, W, S) raw values.
    options : with at least one stage. epochs : of the full training.

    Raises
    ------
    InputError : as `plan_stages`; or the network takes no so few components as the first stage has.
    """

    def __init__(self, model: Network, cube: NDArray[np.generic], options: SpectralTrainOptions, epochs: int) -> None:
        self.stages = plan_stages(options, model.n_components, model.patch_size, epochs, smallest_patch(model))
        self.epochs = sum(stage.epochs for stage in self.stages)
        try:  # before the scene is projected, which takes longer
            networks = [StageNetwork(model, stage.components, stage.patch_size) for stage in self.stages]
        except InputError as error:
            raise InputError(
                f"spectral_train, stages {[stage.components for stage in self.stages]}: {error}"
            ) from error
        device = model.band_mean.device
        with torch.inference_mode():
            values = torch.from_numpy(cube.astype(np.float32)).to(device).permute(2, 0, 1)[None]
            projected = model.prepare(values)[0].permute(1, 2, 0).cpu().numpy()
        self._parts = [
            (network, PatchSampler(projected[..., : stage.components], stage.patch_size, device))
            for network, stage in zip(networks, self.stages, strict=True)
        ]
        self._ends = np.cumsum([stage.epochs for stage in self.stages])

    def shortened(self, options: FitOptions) -> FitOptions:
        """The settings of the full training, with all that is counted in epochs cut to the budget."""
        share = self.epochs / options.epochs
        warmup, confident = round(share * options.warmup_epochs), round(share * options.curriculum_epochs)
        return replace(options, epochs=self.epochs, warmup_epochs=warmup, curriculum_epochs=confident)

    def at(self, epoch: int) -> tuple[StageNetwork, PatchSampler]:
        """Network and patches of an epoch, counted from 0."""
        return self._parts[int(np.searchsorted(self._ends, epoch, side="right"))]

    def is_last(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, belongs to the last stage; only its weights can be the best ones."""
        return bool(epoch >= self.epochs - self.stages[-1].epochs)
