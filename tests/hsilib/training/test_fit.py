"""The training loop: its schedule, its choice of the epoch, its independence of everything but the seed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.registry import create_model
from hsilib.training import fit as fit_module
from hsilib.training.augment import AugmentOptions
from hsilib.training.checkpoint import FitHistory
from hsilib.training.fit import fit, validate
from hsilib.training.fit_options import OPTIMIZERS, FitOptions, learning_rate_at
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions
from tests.helpers import SMALL, separable_scene

CPU = torch.device("cpu")
SCHEDULE = FitOptions(epochs=10, warmup_epochs=2, learning_rate=6e-4, final_learning_rate=1e-6)


def trained(
    scene: Scene,
    split: Split,
    options: FitOptions,
    seed: int = 0,
    weights: int = 0,
    dropout: float = 0.15,
    **model: int,
) -> tuple[Network, PatchSampler, FitHistory]:
    torch.manual_seed(weights)
    network = create_model("dual-branch", scene.n_bands, scene.n_classes, **{**SMALL, "dropout": dropout, **model})
    network.set_standardizer(Standardizer.fit(scene.cube))
    sampler = PatchSampler(scene.cube, network.patch_size, CPU)
    return network, sampler, fit(network, sampler, split, options, torch.Generator().manual_seed(seed))


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


def test_a_cosine_of_one_step_and_steps_beyond_the_end() -> None:
    assert learning_rate_at(2, 1, replace(SCHEDULE, epochs=3)) == 6e-4
    assert learning_rate_at(200, 7, SCHEDULE) == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("names", "values", "wanted"),
    [
        (("epochs", "batch_size", "accumulate"), (0, 2.5), "a whole number, at least 1"),
        (("warmup_epochs", "max_steps_per_epoch", "curriculum_epochs"), (-1, 0.5), "a whole number, at least 0"),
        (("learning_rate",), (0.0, math.nan, math.inf), "a number, above 0"),
        (("clip_norm", "final_learning_rate", "weight_decay"), (-1.0, math.nan), "a number, at least 0"),
    ],
)
def test_settings_that_mean_nothing(names: tuple[str, ...], values: tuple[float, ...], wanted: str) -> None:
    for name, value in product(names, values):
        with pytest.raises(InputError, match=rf"^fit\.{name} is {value}; expected {wanted}\.$"):
            FitOptions(**{name: value})  # type: ignore[arg-type]


def test_batches_of_an_epoch() -> None:
    assert [FitOptions().batches_per_epoch(n) for n in (1, 16, 17, 115, 428)] == [1, 1, 1, 8, 27]
    assert FitOptions(max_steps_per_epoch=4).batches_per_epoch(115) == 4


def test_the_defaults_are_the_descriptions() -> None:
    """METHOD A10."""
    expected = FitOptions(300, 16, 6e-4, 1e-6, 20, 3e-5, 0.6)
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

    monkeypatch.setitem(OPTIMIZERS, "adamw", Watched)
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
    options = FitOptions(epochs=4, loss=LossOptions("focal", class_weights=True))
    first, second = (trained(scene, s, options) for s in (split, changed))
    assert first[2] == second[2]
    assert same_weights(first[0], second[0])


def test_classes_are_weighed_by_training_labels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by validation labels either; every batch gets these weights."""
    weights: list[list[float]] = []
    real = fit_module.sample_losses
    monkeypatch.setattr(fit_module, "sample_losses", lambda *a: (weights.append(a[2].tolist()), real(*a))[1])
    scene = separable_scene()
    split = make_split(scene, "count:5", 0)
    left_out = np.flatnonzero(split.train_labels == 1)[2:]  # so that classes have 2, 5 and 5 pixels
    split = replace(split, **{name: np.delete(getattr(split, name), left_out) for name in ("train", "train_labels")})
    trained(scene, split, FitOptions(epochs=1, batch_size=6, loss=LossOptions(class_weights=True)))
    assert weights == [pytest.approx([math.sqrt(12 / 6), *[math.sqrt(12 / 15)] * 2])] * 2
    weights.clear()
    trained(scene, split, FitOptions(epochs=1, batch_size=6))
    assert weights == [[1.0] * 3] * 2


def test_training_labels_do_have_influence() -> None:
    """The counterpart, without which the test above could not fail."""
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:6", 0)
    changed = replace(split, train_labels=np.roll(split.train_labels, 1))
    first, second = (trained(scene, s, FitOptions(epochs=2)) for s in (split, changed))
    assert not same_weights(first[0], second[0])


# --- what the description adds, each through the loop itself


class CentrePixel(Network):
    """A linear map of the centre pixel: no batch norm, no dropout, so that batches can be compared."""

    def __init__(self, n_bands: int, n_classes: int, patch_size: int = 5) -> None:
        super().__init__(n_bands, n_classes, patch_size)
        self.n_features = n_bands
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        reach = self.patch_size // 2
        return self.standardize(x)[:, :, reach:-reach, reach:-reach]


def linear(scene: Scene, split: Split, options: FitOptions) -> tuple[Network, FitHistory]:
    torch.manual_seed(0)
    model = CentrePixel(scene.n_bands, scene.n_classes)
    model.set_standardizer(Standardizer.fit(scene.cube))
    sampler = PatchSampler(scene.cube, model.patch_size, CPU)
    return model, fit(model, sampler, split, options, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bound", [0, 2])
def test_the_training_loss_is_the_mean_over_the_pixels_visited(bound: int) -> None:
    """Of batches of 4, 4, 4 and 3 pixels, or of the first two."""
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:5", 0)
    options = FitOptions(epochs=1, batch_size=4, learning_rate=1e-12, max_steps_per_epoch=bound)
    model, history = linear(scene, split, options)
    visited = torch.randperm(15, generator=torch.Generator().manual_seed(0))[: 4 * bound or 15]
    with torch.inference_mode():
        logits = model(PatchSampler(scene.cube, 5, CPU)(torch.from_numpy(split.train)[visited]))
        expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.train_labels - 1)[visited])
    assert history.train_loss == [pytest.approx(float(expected), rel=1e-5)]


@pytest.mark.parametrize("n_pixels", [1, 9])
def test_a_batch_of_one_pixel_is_trained_on(n_pixels: int) -> None:
    scene = separable_scene()
    split = make_split(scene, "count:8", 0)
    split = replace(split, train=split.train[:n_pixels], train_labels=split.train_labels[:n_pixels])
    options = FitOptions(epochs=2, batch_size=8, loss=LossOptions("focal", label_smoothing=0.12, class_weights=True))
    _, _, history = trained(scene, split, options, patch_size=7)
    assert len(history.train_loss) == 2
    assert all(math.isfinite(loss) and loss > 0 for loss in history.train_loss)


@pytest.mark.parametrize(("batch", "groups"), [(4, 2), (2, 4), (1, 8)])
def test_accumulated_batches_are_one_large_batch(batch: int, groups: int) -> None:
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:8", 0)  # 24 pixels: three groups of eight
    whole, history = linear(scene, split, FitOptions(epochs=3, batch_size=8))
    parts, history_of_parts = linear(scene, split, FitOptions(epochs=3, batch_size=batch, accumulate=groups))
    torch.testing.assert_close(parts.head.weight, whole.head.weight)
    assert history_of_parts.train_loss == pytest.approx(history.train_loss, rel=1e-5)
    single, _ = linear(scene, split, FitOptions(epochs=3, batch_size=batch))
    assert not torch.allclose(single.head.weight, whole.head.weight)


def test_scaled_gradients_are_clipped_at_their_true_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fp16 on a GPU needs it: scaled, nearly every gradient would be longer than the bound."""
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:8", 0)
    options = FitOptions(epochs=3, batch_size=8, clip_norm=100.0)
    plain, history = linear(scene, split, options)
    monkeypatch.setattr(fit_module, "gradient_scaler", lambda device: torch.amp.GradScaler(device.type, 2.0**12))
    scaled, history_of_scaled = linear(scene, split, options)
    torch.testing.assert_close(scaled.head.weight, plain.head.weight)
    assert history_of_scaled.train_loss == pytest.approx(history.train_loss, rel=1e-5)


def test_a_last_group_that_is_smaller_is_averaged_over_what_it_has() -> None:
    """Five batches of four pixels in groups of four: the second group is one batch, a step like any other."""
    scene = separable_scene(noise=400.0)
    split = make_split(scene, "count:7", 0)
    chosen = slice(0, 20)
    split = replace(split, train=split.train[chosen], train_labels=split.train_labels[chosen])
    # A full last step, and no clipping, which would hide a gradient that is too long.
    options = FitOptions(epochs=1, batch_size=4, accumulate=4, warmup_epochs=0, final_learning_rate=6e-4, clip_norm=1e6)
    model, _ = linear(scene, split, options)

    torch.manual_seed(0)
    expected = CentrePixel(scene.n_bands, scene.n_classes)
    expected.set_standardizer(Standardizer.fit(scene.cube))
    sampler = PatchSampler(scene.cube, 5, CPU)
    optimizer = torch.optim.AdamW(expected.parameters(), weight_decay=options.weight_decay)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    for step, part in enumerate((order[:16], order[16:])):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, 2, options)
        logits = expected(sampler(torch.from_numpy(split.train)[part]))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.train_labels - 1)[part])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(expected.parameters(), options.clip_norm)
        optimizer.step()
    torch.testing.assert_close(model.head.weight, expected.head.weight)


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": LossOptions("focal")},
        {"loss": LossOptions(label_smoothing=0.12)},
        {"loss": LossOptions(class_weights=True)},
        {"curriculum_epochs": 10},
        {"augment": AugmentOptions(probability=0.8)},
        {"mix": MixOptions(mixup=1.0, variants=("plain",))},
        {"mix": MixOptions(mixup=1.0, variants=("spectral",))},
        {"mix": MixOptions(mixup=1.0, variants=("manifold",))},
        {"mix": MixOptions(cutmix=1.0)},
    ],
    ids=str,
)
def test_every_switch_has_an_effect_of_its_own(changed: dict[str, Any]) -> None:
    scene = separable_scene(noise=50.0)
    split = make_split(scene, "percent:0.1", 0)
    split = replace(split, train=split.train[2:], train_labels=split.train_labels[2:])  # classes of unequal size
    split = replace(split, val=split.val[:0], val_labels=split.val_labels[:0])  # the last epoch's weights stay
    options = FitOptions(epochs=10, batch_size=4, learning_rate=3e-2, warmup_epochs=1)
    plain, _, _ = trained(scene, split, options)
    model, _, history = trained(scene, split, replace(options, **changed))
    assert not same_weights(plain, model)
    assert all(math.isfinite(loss) for loss in history.train_loss)
    assert all(bool(torch.isfinite(weight).all()) for weight in model.state_dict().values())


def test_the_curriculum_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    real = fit_module.confidence_weighted_mean
    monkeypatch.setattr(fit_module, "confidence_weighted_mean", lambda *a: (used.append(len(a[0])), real(*a))[1])
    scene = separable_scene()
    trained(scene, make_split(scene, "count:5", 0), FitOptions(epochs=5, batch_size=8, curriculum_epochs=2))
    assert used == [8, 7] * 2


def test_the_focal_schedule_counts_optimiser_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    real = fit_module.sample_losses
    monkeypatch.setattr(fit_module, "sample_losses", lambda *a: (steps.append(a[4]), real(*a))[1])
    scene = separable_scene()
    options = FitOptions(epochs=2, batch_size=4, accumulate=3, loss=LossOptions("focal"))
    trained(scene, make_split(scene, "count:5", 0), options)  # 15 pixels: four batches, two steps an epoch
    assert steps == [0, 0, 0, 1, 2, 2, 2, 3]


def test_twenty_patches_are_learned_by_heart() -> None:
    """Random labels, so that nothing but memory can help; the description's loss, curriculum and augmentation on."""
    scene = separable_scene(noise=800.0)
    generator = np.random.default_rng(0)
    split = make_split(scene, "count:8", 0)
    chosen = np.sort(generator.permutation(len(split.train))[:20])
    split = replace(
        split,
        train=split.train[chosen],
        train_labels=generator.integers(1, 4, 20),
        val=split.val[:0],
        val_labels=split.val_labels[:0],
    )
    options = FitOptions(
        epochs=100,
        batch_size=10,
        learning_rate=1e-2,
        warmup_epochs=5,
        loss=LossOptions("focal", label_smoothing=0.12, class_weights=True),
        augment=AugmentOptions(probability=0.8),
        curriculum_epochs=20,
    )
    wide = {name: 32 for name in SMALL if name != "patch_size"}
    model, sampler, _ = trained(scene, split, options, **wide)
    with torch.inference_mode():
        predicted = model(sampler(torch.from_numpy(split.train))).argmax(1).numpy() + 1
    assert np.mean(predicted == split.train_labels) == 1.0


def test_the_last_epoch_is_kept_and_no_validation_pixel_looked_at() -> None:
    scene = separable_scene()
    split = make_split(scene, "count:6", 0)
    options = FitOptions(epochs=3, warmup_epochs=1, choose="last")
    last, _, history = trained(scene, split, options)
    alone, _, without = trained(scene, split.without_validation(), options)
    chosen, _, validated = trained(scene, split.without_validation(), replace(options, choose="validation"))
    assert history.val_accuracy == history.val_loss == []
    assert history.best_epoch == 3
    assert history == without == validated
    assert same_weights(last, alone)
    assert same_weights(last, chosen)
