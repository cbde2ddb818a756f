"""The training loop of SpectralTrain: which epoch can be the best, and what a killed training ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.model.network import Network
from hsilib.registry import create_model
from hsilib.training import fit as fit_module
from hsilib.training.augment import AugmentOptions
from hsilib.training.checkpoint import FitHistory
from hsilib.training.fit import fit, validate
from hsilib.training.fit_options import FitOptions
from hsilib.training.mix import MixOptions
from hsilib.training.spectral_train import SpectralSchedule, SpectralTrainOptions, StageNetwork
from tests.helpers import SMALL, separable_scene

COMPONENTS = [3] * 5 + [6] * 5  # of each epoch
FULL = FitOptions(
    epochs=20,
    batch_size=6,
    learning_rate=1e-2,
    warmup_epochs=4,
    augment=AugmentOptions(probability=0.8),
    mix=MixOptions(mixup=0.5, cutmix=0.3),
    curriculum_epochs=6,
)


def trained(checkpoint: Path | None = None) -> tuple[Network, FitHistory]:
    """What a process does from its start: half of the epochs, in two stages."""
    scene = separable_scene(noise=600.0)
    torch.manual_seed(0)
    model = create_model("dual-branch", 6, 3, **{**SMALL, "patch_size": 9}, components=6)
    model.set_standardizer(Standardizer.fit(scene.cube, 6))
    sampler = PatchSampler(scene.cube, 9, torch.device("cpu"))
    schedule = SpectralSchedule(model, scene.cube, SpectralTrainOptions(stages=2, first_components=3), FULL.epochs)
    options, generator = schedule.shortened(FULL), torch.Generator().manual_seed(1)
    split = make_split(scene, "count:4", 0)
    return model, fit(model, sampler, split, options, generator, checkpoint, schedule)


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[Network, FitHistory]:
    return trained()


def test_only_an_epoch_of_the_last_stage_can_be_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Perfect in the second epoch, on half the components; of those on all, the eighth is best and its weights stay."""
    scores = {2: (1.0, 0.0), 8: (0.6, 0.5)}
    components: list[int] = []
    weights: dict[int, torch.Tensor] = {}

    def scored(network: StageNetwork, *_: object) -> tuple[float, float]:
        components.append(network.n_bands)
        weights[len(components)] = network.full.head.weight.detach().clone()
        return scores.get(len(components), (0.5, 1.0))

    monkeypatch.setattr(fit_module, "validate", scored)
    model, history = trained()
    assert components == COMPONENTS
    assert history.best_epoch == 8
    assert torch.equal(model.head.weight, weights[8])
    assert not torch.equal(weights[8], weights[10])


@pytest.mark.parametrize(("epoch", "done"), [(3, 0), (5, 3), (9, 6)])
def test_killed_and_resumed_equals_uninterrupted(
    epoch: int, done: int, uninterrupted: tuple[Network, FitHistory], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Killed before the first file is written, within the first stage, within the last."""
    monkeypatch.setattr(fit_module, "CHECKPOINT_EPOCHS", 3)
    calls: list[None] = []

    def dying(*arguments: Any) -> tuple[float, float]:
        calls.append(None)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return validate(*arguments)

    path = tmp_path / "checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "validate", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(path)
    assert path.exists() == (done > 0)
    components: list[int] = []
    monkeypatch.setattr(fit_module, "validate", lambda *a: (components.append(a[0].n_bands), validate(*a))[1])
    model, history = trained(path)
    assert components == COMPONENTS[done:]
    assert history == uninterrupted[1]
    for key, value in uninterrupted[0].state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
