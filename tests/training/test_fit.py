"""The training loop: its schedule, its choice of the epoch, its independence of everything but the seed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.models.network import Network
from hsilib.models.registry import create_model
from hsilib.training import fit as fit_module
from hsilib.training.fit import FitHistory, FitOptions, fit, learning_rate_at, validate
from tests.helpers import SMALL, separable_scene

CPU = torch.device("cpu")
SCHEDULE = FitOptions(epochs=10, warmup_epochs=2, learning_rate=6e-4, final_learning_rate=1e-6)


def trained(
    scene: Scene, split: Split, options: FitOptions, seed: int = 0, weights: int = 0, dropout: float = 0.15
) -> tuple[Network, PatchSampler, FitHistory]:
    torch.manual_seed(weights)
    model = create_model("dual-branch", scene.n_bands, scene.n_classes, dropout=dropout, **SMALL)
    model.set_standardizer(Standardizer.fit(scene.cube))
    sampler = PatchSampler(scene.cube, model.patch_size, CPU)
    return model, sampler, fit(model, sampler, split, options, torch.Generator().manual_seed(seed))


def same_weights(first: Network, second: Network) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


# --- learning rate: 7 steps an epoch, so 14 steps of warm-up and 70 in all


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 6e-4 / 14),
        (6, 6e-4 / 2),
        (13, 6e-4),  # the warm-up ends at the peak
        (14, 6e-4),  # where the cosine starts
        (69, 1e-6),  # the last step
        (14 + 11, 1e-6 + (6e-4 - 1e-6) * 0.5 * (1 + math.cos(math.pi / 5))),
        (14 + 22, 1e-6 + (6e-4 - 1e-6) * 0.5 * (1 + math.cos(2 * math.pi / 5))),
    ],
)
def test_the_learning_rate_in_closed_form(step: int, rate: float) -> None:
    assert learning_rate_at(step, 7, SCHEDULE) == pytest.approx(rate, rel=1e-12)


def test_the_learning_rate_rises_and_then_falls() -> None:
    rates = np.array([learning_rate_at(step, 7, SCHEDULE) for step in range(70)])
    assert (np.diff(rates[:14]) > 0).all()
    assert (np.diff(rates[14:]) < 0).all()
    assert rates.max() == 6e-4


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    options = replace(SCHEDULE, warmup_epochs=0)
    assert learning_rate_at(0, 7, options) == 6e-4
    assert learning_rate_at(69, 7, options) == pytest.approx(1e-6)


def test_a_warm_up_longer_than_the_training_only_rises() -> None:
    options = replace(SCHEDULE, epochs=1, warmup_epochs=20)
    assert learning_rate_at(6, 7, options) == pytest.approx(6e-4 * 7 / 140)


def test_the_defaults_are_the_descriptions() -> None:
    """METHOD A10."""
    expected = FitOptions(300, 16, 6e-4, 1e-6, 20, 3e-5, 0.6, random_orientation=False, max_steps_per_epoch=0)
    assert FitOptions() == expected


def test_every_step_uses_the_schedule_the_decay_and_the_clipping(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = []
    clipped: list[float] = []
    groups: list[dict[str, Any]] = []
    clip = torch.nn.utils.clip_grad_norm_

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            used.append(self.param_groups[0]["lr"])
            groups[:] = self.param_groups
            norms = [p.grad.norm() for group in self.param_groups for p in group["params"]]
            clipped.append(float(torch.stack(norms).norm()))
            return super().step(closure)

    def watched_clip(parameters: Any, max_norm: float) -> Any:
        assert max_norm == 0.05
        return clip(parameters, max_norm)

    monkeypatch.setattr(fit_module.torch.optim, "AdamW", Watched)
    monkeypatch.setattr(fit_module.nn.utils, "clip_grad_norm_", watched_clip)
    scene = separable_scene()
    options = FitOptions(epochs=3, batch_size=4, warmup_epochs=1, clip_norm=0.05, weight_decay=0.02)
    trained(scene, make_split(scene, "count:5", 0), options)
    assert used == [learning_rate_at(step, 4, options) for step in range(12)]
    assert max(clipped) <= 0.05 * (1 + 1e-4)
    assert groups[0]["weight_decay"] == 0.02
    assert groups[0]["betas"] == (0.9, 0.999)
    assert groups[0]["eps"] == 1e-8


# --- what is learned


def test_a_separable_scene_is_learned_to_one_hundred_percent() -> None:
    scene = separable_scene()
    split = make_split(scene, "count:8", 0)
    options = FitOptions(epochs=40, learning_rate=1e-2, warmup_epochs=2, batch_size=8)
    model, sampler, history = trained(scene, split, options, dropout=0.0)
    with torch.inference_mode():
        predicted = model(sampler(torch.from_numpy(split.train))).argmax(1).numpy() + 1
    assert np.array_equal(predicted, split.train_labels)
    assert history.train_loss[-1] < 0.1 < 0.9 < history.train_loss[0]
    assert not model.training


def test_every_epoch_visits_every_training_pixel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = separable_scene()
    split = make_split(scene, "count:5", 0)
    visited: list[torch.Tensor] = []
    cut = PatchSampler.__call__

    def watched(self: PatchSampler, pixels: torch.Tensor) -> torch.Tensor:
        visited.append(pixels)
        return cut(self, pixels)

    monkeypatch.setattr(PatchSampler, "__call__", watched)
    trained(
        scene, replace(split, val=split.val[:0], val_labels=split.val_labels[:0]), FitOptions(epochs=2, batch_size=4)
    )
    assert [len(pixels) for pixels in visited] == [4, 4, 4, 3] * 2
    first, second = torch.cat(visited[:4]), torch.cat(visited[4:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == split.train.tolist()
    assert first.tolist() != second.tolist()


def test_a_bounded_epoch_takes_so_many_steps_and_other_pixels_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = separable_scene()
    split = make_split(scene, "count:10", 0)
    visited: list[torch.Tensor] = []
    cut = PatchSampler.__call__

    def watched(self: PatchSampler, pixels: torch.Tensor) -> torch.Tensor:
        visited.append(pixels)
        return cut(self, pixels)

    monkeypatch.setattr(PatchSampler, "__call__", watched)
    options = FitOptions(epochs=4, batch_size=4, warmup_epochs=1, max_steps_per_epoch=3)
    split = replace(split, val=split.val[:0], val_labels=split.val_labels[:0])
    _, _, history = trained(scene, split, options)
    assert [len(pixels) for pixels in visited] == [4] * 12
    epochs = [torch.cat(visited[3 * e : 3 * e + 3]).tolist() for e in range(4)]
    assert all(len(set(epoch)) == 12 for epoch in epochs)
    assert len(set().union(*epochs)) > 12
    assert len(history.train_loss) == 4
    assert all(0.3 < loss < 3 for loss in history.train_loss), "a mean over the pixels that were visited"


@pytest.mark.parametrize("steps", [0, 100])
def test_a_bound_that_is_not_reached_changes_nothing(steps: int) -> None:
    scene = separable_scene()
    split = make_split(scene, "count:5", 0)
    plain, bounded = (
        trained(scene, split, FitOptions(epochs=2, batch_size=4, max_steps_per_epoch=n)) for n in (0, steps)
    )
    assert plain[2] == bounded[2]
    assert same_weights(plain[0], bounded[0])


def test_orientations_are_drawn_for_training_patches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    turned: list[int] = []
    real = fit_module.orient

    def watched(patches: torch.Tensor, orientations: torch.Tensor) -> torch.Tensor:
        turned.append(len(patches))
        return real(patches, orientations)

    monkeypatch.setattr(fit_module, "orient", watched)
    scene = separable_scene()
    split = make_split(scene, "count:5", 0)
    upright, _, _ = trained(scene, split, FitOptions(epochs=2, batch_size=8))
    assert turned == []
    oriented, _, _ = trained(scene, split, FitOptions(epochs=2, batch_size=8, random_orientation=True))
    assert turned == [8, 7, 8, 7]
    assert not same_weights(upright, oriented)


# --- the best epoch


def restless(seed: int = 0) -> tuple[Network, PatchSampler, FitHistory, Split]:
    """A training whose validation accuracy goes up and down: noisy scene, large steps."""
    scene = separable_scene(rows=40, noise=600.0)
    labels = scene.ground_truth.ravel()
    pixels = np.random.default_rng(seed).permutation(labels.size)
    train, val, test = (np.sort(part) for part in np.split(pixels, [15, 75]))
    kinds = [labels[part].astype(np.int64) for part in (train, val, test)]
    split = Split("made up", scene.shape, train, val, test, *kinds)
    options = FitOptions(epochs=25, learning_rate=2e-2, warmup_epochs=1, batch_size=4)
    return *trained(scene, split, options), split


def test_the_best_epoch_is_chosen_on_validation_and_its_weights_stay() -> None:
    model, sampler, history, split = restless()
    scores = [(a, -loss) for a, loss in zip(history.val_accuracy, history.val_loss, strict=True)]
    assert len(scores) == 25
    assert history.best_epoch == 1 + max(range(25), key=lambda epoch: scores[epoch])
    assert 1 < history.best_epoch < 25, "the example must not be one where the first or last epoch is best"
    accuracy, loss = validate(model, sampler, split)
    assert accuracy == history.val_accuracy[history.best_epoch - 1]
    assert loss == pytest.approx(history.val_loss[history.best_epoch - 1], rel=1e-5)
    assert loss != pytest.approx(history.val_loss[-1], rel=1e-3)


def test_of_epochs_equally_accurate_the_one_with_the_lowest_loss_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([(0.5, 1.0), (0.8, 0.9), (0.8, 0.4), (0.8, 0.6), (0.7, 0.1)])
    monkeypatch.setattr(fit_module, "validate", lambda *_: next(scores))
    scene = separable_scene()
    _, _, history = trained(scene, make_split(scene, "count:5", 0), FitOptions(epochs=5))
    assert history.best_epoch == 3


def test_without_validation_pixels_the_last_epoch_stays() -> None:
    scene = separable_scene()
    split = make_split(scene, "count:5", 0)
    split = replace(split, val=split.val[:0], val_labels=split.val_labels[:0])
    _, _, history = trained(scene, split, FitOptions(epochs=4))
    assert history.best_epoch == 4
    assert (len(history.train_loss), history.val_accuracy, history.val_loss) == (4, [], [])


def test_validation_against_a_loop_over_pixels() -> None:
    model, sampler, _, split = restless()
    right, losses = [], []
    with torch.inference_mode():
        for pixel, label in zip(split.val, split.val_labels, strict=True):
            probabilities = model(sampler(torch.tensor([pixel]))).double().softmax(1)[0]
            right.append(int(probabilities.argmax()) + 1 == label)
            losses.append(-math.log(probabilities[label - 1]))
    accuracy, loss = validate(model, sampler, split, batch_size=7)
    assert accuracy == pytest.approx(np.mean(right))
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)


# --- what the result depends on


def test_the_same_seed_gives_the_same_curve_and_another_seed_another() -> None:
    scene = separable_scene(noise=200.0)
    split = make_split(scene, "count:8", 0)
    options = FitOptions(epochs=4, batch_size=4)
    first, second, other = (trained(scene, split, options, seed, dropout=0.0) for seed in (0, 0, 1))
    assert first[2] == second[2]
    assert same_weights(first[0], second[0])
    assert first[2].train_loss != other[2].train_loss


@pytest.mark.parametrize("change", ["permuted", "hidden"])
def test_test_labels_have_no_influence(change: str) -> None:
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:6", 0)
    if change == "hidden":
        changed = split.hide_test_labels()
    else:
        changed = replace(split, test_labels=np.random.default_rng(0).permutation(split.test_labels))
    assert not np.array_equal(changed.test_labels, split.test_labels)
    first, second = (trained(scene, s, FitOptions(epochs=4)) for s in (split, changed))
    assert first[2] == second[2]
    assert same_weights(first[0], second[0])


def test_training_labels_do_have_influence() -> None:
    """The counterpart, without which the test above could not fail."""
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:6", 0)
    changed = replace(split, train_labels=np.roll(split.train_labels, 1))
    first, second = (trained(scene, s, FitOptions(epochs=2)) for s in (split, changed))
    assert not same_weights(first[0], second[0])
