"""The schedule over components and patches: its plan in closed form, its networks as parts of the full one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network, smallest_patch
from hsilib.registry import create_model
from hsilib.training.fit_options import FitOptions
from hsilib.training.spectral_train import (
    SpectralSchedule,
    SpectralTrainOptions,
    Stage,
    StageNetwork,
    plan_stages,
)
from tests.helpers import SMALL

SCENE = np.random.default_rng(0).normal(100, 20, (14, 13, 9)) + np.arange(9)


def a_model(components: int = 8, **options: Any) -> Network:
    torch.manual_seed(0)
    model = create_model(
        "dual-branch", 9, 3, **{**SMALL, "patch_size": 9, "dropout": 0.0, **options}, components=components
    )
    model.set_standardizer(Standardizer.fit(SCENE, components))
    return model


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        ("linear", [Stage(8, 9, 20), Stage(20, 11, 20), Stage(32, 15, 20)]),
        ("geometric", [Stage(8, 9, 20), Stage(16, 11, 20), Stage(32, 15, 20)]),
    ],
)
def test_a_plan_by_hand(growth: str, expected: list[Stage]) -> None:
    """Half of 120 epochs in three stages; sizes 9, 12 → 11 (the odd number below), 15."""
    assert plan_stages(SpectralTrainOptions(stages=3, growth=growth), 32, 15, 120) == expected


def test_equal_compute_gives_each_stage_as_much() -> None:
    stages = plan_stages(SpectralTrainOptions(stages=4, growth="equal-compute", budget=1.0), 64, 15, 5000)
    work = np.array([stage.components * stage.patch_size**2 * stage.epochs for stage in stages])
    assert work / work.mean() == pytest.approx(1, rel=0.05)
    assert sum(stage.epochs for stage in stages) == 5000


@pytest.mark.parametrize("growth", ["linear", "geometric", "equal-compute"])
@pytest.mark.parametrize("stages", [1, 2, 5])
def test_what_every_plan_keeps(growth: str, stages: int) -> None:
    plan = plan_stages(SpectralTrainOptions(stages=stages, growth=growth, budget=0.37), 30, 11, 101)
    assert sum(stage.epochs for stage in plan) == round(0.37 * 101)
    assert min(stage.epochs for stage in plan) >= 1
    assert (plan[-1].components, plan[-1].patch_size) == (30, 11)
    assert all(stage.patch_size % 2 == 1 for stage in plan)
    for earlier, later in pairwise(plan):
        assert earlier.components <= later.components
        assert earlier.patch_size <= later.patch_size


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("stages", -1, "a whole number, at least 0"),
        ("budget", 0.0, "a number, above 0 and at most 1"),
        ("budget", 1.1, "a number, above 0 and at most 1"),
        ("first_patch", 0.0, "a number, above 0 and at most 1"),
        ("components", 0, "a whole number, at least 1"),
        ("first_components", 0, "a whole number, at least 1"),
    ],
)
def test_settings_that_mean_nothing(name: str, value: float, wanted: str) -> None:
    with pytest.raises(InputError, match=rf"^spectral_train\.{name} is {value}; expected {wanted}\.$"):
        SpectralTrainOptions(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_growth_gets_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown spectral_train\.growth 'linaer': did you mean linear"):
        SpectralTrainOptions(growth="linaer")


def test_plans_that_cannot_be() -> None:
    with pytest.raises(InputError, match="3 stages in 2 epochs"):
        plan_stages(SpectralTrainOptions(stages=3), 32, 15, 4)
    with pytest.raises(InputError, match="first_components is 8, but the network has 6 inputs"):
        plan_stages(SpectralTrainOptions(stages=2), 6, 15, 100)


def test_the_last_stage_is_the_network_itself() -> None:
    """Projected patches into the stage, raw patches into the full network: the same logits."""
    model = a_model().eval()
    stage = StageNetwork(model, 8, 9)
    stage.eval()
    pixels = torch.arange(0, 182, 17)
    projected = PatchSampler(Standardizer.fit(SCENE, 8).apply(SCENE), 9, torch.device("cpu"))(pixels)
    raw = PatchSampler(SCENE, 9, torch.device("cpu"))(pixels)
    with torch.inference_mode():
        assert torch.allclose(stage(projected), model(raw), atol=1e-4)


def test_an_early_stage_is_the_full_network_that_sees_zeros_beyond() -> None:
    """A component that is left out is one that is 0, its mean: the first layers are linear in it."""
    model = a_model().eval()
    stage = StageNetwork(model, 3, 9)
    stage.eval()
    patches = torch.randn(5, 3, 9, 9)
    filled = torch.cat([patches, torch.zeros(5, 5, 9, 9)], dim=1)
    last = StageNetwork(model, 8, 9)
    last.eval()
    with torch.inference_mode():
        assert torch.allclose(stage(patches), last(filled), atol=1e-5)


def test_the_gradient_reaches_the_used_prefix_and_nothing_else() -> None:
    model = a_model()
    stage = StageNetwork(model, 3, 7)
    stage.train()
    stage(torch.randn(4, 3, 7, 7)).square().sum().backward()
    first = model.spectral.pixelwise[0].weight.grad
    assert first[:, :3].abs().sum() > 0
    assert first[:, 3:].abs().sum() == 0
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_running_statistics_are_those_of_the_full_network() -> None:
    model = a_model()
    norm = model.spectral.pixelwise[1]
    before = norm.running_mean.clone()
    stage = StageNetwork(model, 3, 7)
    stage.train()
    stage(torch.randn(4, 3, 7, 7) + 1)
    assert not torch.equal(norm.running_mean, before)
    assert norm.num_batches_tracked == 1


def test_the_curriculum_of_each_epoch() -> None:
    options = SpectralTrainOptions(stages=2, first_components=4, first_patch=0.6)
    schedule = SpectralSchedule(a_model(), SCENE, options, 12)
    assert schedule.stages == [Stage(4, 5, 3), Stage(8, 9, 3)]
    assert schedule.epochs == 6
    seen = [schedule.at(epoch) for epoch in range(6)]
    assert [(network.n_bands, network.patch_size) for network, _ in seen] == [(4, 5)] * 3 + [(8, 9)] * 3
    assert [sampler(torch.tensor([0])).shape for _, sampler in seen[2:4]] == [(1, 4, 5, 5), (1, 8, 9, 9)]
    assert [schedule.is_last(epoch) for epoch in range(6)] == [False] * 3 + [True] * 3


def test_small_patches_lie_in_the_middle_of_large_ones() -> None:
    schedule = SpectralSchedule(a_model(), SCENE, SpectralTrainOptions(stages=2, first_components=4), 12)
    pixels = torch.tensor([60, 100])
    small, large = (schedule.at(epoch)[1](pixels) for epoch in (0, 5))
    assert torch.equal(small, large[:, :4, 2:-2, 2:-2])


def test_whether_weights_depend_on_the_patch_size() -> None:
    assert smallest_patch(a_model()) < a_model().patch_size
    assert smallest_patch(a_model(patch_size=5)) == 5  # 3 is less than its convolutions need


@pytest.mark.parametrize(
    ("patch_size", "stages", "expected"), [(7, 3, [5, 5, 7]), (5, 3, [5, 5, 5]), (9, 3, [5, 7, 9]), (11, 2, [5, 11])]
)
def test_no_patch_is_smaller_than_the_network_takes(patch_size: int, stages: int, expected: list[int]) -> None:
    """0.6 · 7 is 3, which the dual-branch model refuses."""
    options = SpectralTrainOptions(stages=stages, first_components=4, first_patch=0.5 if patch_size == 11 else 0.6)
    schedule = SpectralSchedule(a_model(patch_size=patch_size), SCENE, options, 12)
    assert [stage.patch_size for stage in schedule.stages] == expected
    for epoch in range(schedule.epochs):
        network, sampler = schedule.at(epoch)
        assert network(sampler(torch.tensor([0, 7]))).shape == (2, 3)


@pytest.mark.parametrize(("name", "patch_size", "first"), [("ssftt", 7, 5), ("cnn-bilstm", 13, 11), ("cnn-2d", 7, 7)])
def test_the_first_patch_of_other_networks(name: str, patch_size: int, first: int) -> None:
    model = create_model(name, 20, 3, patch_size=patch_size, components=20)
    options = SpectralTrainOptions(stages=2, first_components=14, first_patch=0.3)
    scene = np.random.default_rng(0).normal(100, 20, (14, 13, 20))
    assert [s.patch_size for s in SpectralSchedule(model, scene, options, 12).stages] == [first, patch_size]


def test_fewer_components_than_a_network_can_start_with() -> None:
    model = create_model("hybridsn", 20, 3, patch_size=9, components=20)
    scene = np.random.default_rng(0).normal(100, 20, (14, 13, 20))
    with pytest.raises(InputError, match=r"spectral_train, stages \[8, .*\]: hybridsn .* needs at least 13"):
        SpectralSchedule(model, scene, SpectralTrainOptions(stages=2), 12)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(1.0, (40, 12, 9)), (0.5, (20, 6, 4)), (0.25, (10, 3, 2)), (0.05, (2, 1, 0))],  # 9 · ½, ¼, 1/20 rounded
)
def test_what_is_counted_in_epochs_shrinks_with_them(budget: float, expected: tuple[int, int, int]) -> None:
    options = FitOptions(epochs=40, warmup_epochs=12, curriculum_epochs=9, batch_size=8)
    spectral_train = SpectralTrainOptions(stages=2, first_components=4, budget=budget)
    shortened = SpectralSchedule(a_model(), SCENE, spectral_train, options.epochs).shortened(options)
    assert (shortened.epochs, shortened.warmup_epochs, shortened.curriculum_epochs) == expected
    assert replace(shortened, epochs=40, warmup_epochs=12, curriculum_epochs=9) == options
