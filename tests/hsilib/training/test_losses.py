"""The losses against hand-computed values and PyTorch's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from hsilib.errors import InputError
from hsilib.training.losses import LossOptions, class_weights, focal_loss, gamma_at, sample_losses, smooth

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(32, 5, generator=GENERATOR)
LABELS = torch.randint(5, (32,), generator=GENERATOR)
HARD = one_hot(LABELS, 5).float()
ONES = torch.ones(5)
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 3.0, 10.0])


def test_without_focus_it_is_pytorchs_cross_entropy() -> None:
    expected = cross_entropy(LOGITS, LABELS, reduction="none")
    torch.testing.assert_close(focal_loss(LOGITS, HARD, 1.0, 0.0, ONES), expected)


def test_weights_and_smoothing_are_pytorchs() -> None:
    expected = cross_entropy(LOGITS, LABELS, weight=WEIGHTS, label_smoothing=0.12, reduction="none")
    torch.testing.assert_close(focal_loss(LOGITS, smooth(HARD, 0.12), 1.0, 0.0, WEIGHTS), expected)


def test_soft_targets_are_pytorchs() -> None:
    targets = torch.rand(32, 5, generator=GENERATOR).softmax(dim=1)
    expected = cross_entropy(LOGITS, targets, reduction="none")
    torch.testing.assert_close(focal_loss(LOGITS, targets, 1.0, 0.0, ONES), expected)


@pytest.mark.parametrize(
    ("probability", "alpha", "gamma", "expected"),
    [
        (0.5, 1.2, 2.2, 1.2 * 0.5**2.2 * math.log(2)),
        (0.9, 1.2, 2.2, 1.2 * 0.1**2.2 * -math.log(0.9)),
        (0.9, 1.0, 1.0, 0.1 * -math.log(0.9)),
        (0.1, 2.0, 2.0, 2.0 * 0.81 * -math.log(0.1)),
        (1.0, 1.2, 2.2, 0.0),
    ],
)
def test_two_classes_by_hand(probability: float, alpha: float, gamma: float, expected: float) -> None:
    """The first class has this probability and is the label."""
    logits = torch.tensor([[probability, 1 - probability]]).clamp(min=1e-12).log()
    loss = focal_loss(logits, torch.tensor([[1.0, 0.0]]), alpha, gamma, torch.ones(2))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_focal_loss_by_hand_with_smoothing_and_weights() -> None:
    p, q, w = [0.7, 0.2, 0.1], [0.92, 0.04, 0.04], [2.0, 1.0, 0.5]
    targets = smooth(torch.tensor([[1.0, 0.0, 0.0]]), 0.12)
    expected = -1.2 * sum(qc * wc * (1 - pc) ** 2.2 * math.log(pc) for pc, qc, wc in zip(p, q, w, strict=True))
    loss = focal_loss(torch.tensor([p]).log(), targets, 1.2, 2.2, torch.tensor(w))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_mixed_label_gives_the_mixed_loss() -> None:
    """The loss is linear in the targets: λ · loss(a) + (1 − λ) · loss(b)."""
    other = HARD.roll(1, dims=0)
    mixed = focal_loss(LOGITS, 0.3 * HARD + 0.7 * other, 1.2, 2.2, WEIGHTS)
    parts = [focal_loss(LOGITS, targets, 1.2, 2.2, WEIGHTS) for targets in (HARD, other)]
    torch.testing.assert_close(mixed, 0.3 * parts[0] + 0.7 * parts[1])


@pytest.mark.parametrize("p", [0.02, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_the_gradient_in_closed_form(p: float, gamma: float) -> None:
    """dL/dp = α (γ (1 − p)^(γ − 1) log p − (1 − p)^γ / p) and, with two classes, dp/dz = p (1 − p)."""
    logits = torch.tensor([[p, 1 - p]]).log().requires_grad_()
    focal_loss(logits, torch.tensor([[1.0, 0.0]]), 1.2, gamma, torch.ones(2)).sum().backward()
    slope = 1.2 * (gamma * (1 - p) ** (gamma - 1) * math.log(p) - (1 - p) ** gamma / p)
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([slope * p * (1 - p), -slope * p * (1 - p)], rel=1e-4)


@pytest.mark.parametrize("gamma", [1.0, 1.3, 2.2])
def test_gradients_stay_finite_where_the_model_is_certain(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    focal_loss(logits, smooth(torch.eye(3)[:2], 0.12), 1.2, gamma, torch.ones(3)).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_lose_nothing_but_their_own_rounding() -> None:
    loss = focal_loss(LOGITS.half(), HARD, 1.2, 2.2, ONES)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, focal_loss(LOGITS.half().float(), HARD, 1.2, 2.2, ONES))


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 2.2), (100, 2.2 * 0.99), (2400, 2.2 * 0.99**24), (7800, 2.2 * 0.99**78), (7900, 1.0), (10**6, 1.0)],
)
def test_the_schedule_of_gamma(step: int, expected: float) -> None:
    assert gamma_at(step, 2.2) == pytest.approx(expected, rel=1e-12)


def test_gamma_reaches_its_floor_when_the_formula_does() -> None:
    """2.2 · 0.99^(n / 100) = 1 at n = 100 · ln 2.2 / −ln 0.99 = 7845."""
    floor = 100 * math.log(2.2) / -math.log(0.99)
    assert gamma_at(math.floor(floor), 2.2) > 1.0
    assert gamma_at(math.ceil(floor), 2.2) == 1.0


def test_class_weights_by_hand() -> None:
    labels = np.repeat([1, 2, 3], [90, 9, 1])
    np.testing.assert_allclose(class_weights(labels, 3), np.sqrt([100 / 270, 100 / 27, 100 / 3]), rtol=1e-6)


def test_class_weights_have_a_cap() -> None:
    labels = np.repeat([1, 2], [997, 3])
    assert class_weights(labels, 2)[1] == pytest.approx(math.sqrt(1000 / 6), abs=3)
    assert class_weights(labels, 2)[1] == 10.0


def test_a_class_without_training_pixels_weighs_nothing() -> None:
    assert class_weights(np.ones(5, dtype=np.int64), 3).tolist() == pytest.approx([math.sqrt(1 / 3), 0, 0])
    assert class_weights(np.array([2]), 2).tolist() == pytest.approx([0, math.sqrt(1 / 2)])


@pytest.mark.parametrize("options", [LossOptions(label_smoothing=0.12), LossOptions("focal", label_smoothing=0.12)])
def test_smoothing_pulls_no_sample_towards_a_class_without_training_pixels(options: LossOptions) -> None:
    """However unlikely the sample makes it, its probability falls further; with the largest weight it would rise."""
    weights = torch.from_numpy(class_weights(np.repeat([1, 3], [50, 4]), 3))
    targets = smooth(torch.tensor([[1.0, 0.0, 0.0]]), options.label_smoothing)
    for weight, rises in ((weights, False), (torch.where(weights > 0, weights, 10.0), True)):
        logits = torch.tensor([[0.85, 0.05, 0.1]]).log().requires_grad_()
        sample_losses(logits, targets, weight, options, 0).sum().backward()
        assert logits.grad is not None
        assert bool(logits.grad[0, 1] < 0) == rises


def test_balanced_classes_weigh_one() -> None:
    assert class_weights(np.repeat([1, 2, 3, 4], 7), 4).tolist() == [1.0] * 4


def test_the_named_losses() -> None:
    plain = sample_losses(LOGITS, HARD, ONES, LossOptions(), 500)
    torch.testing.assert_close(plain, cross_entropy(LOGITS, LABELS, reduction="none"))
    focal = sample_losses(LOGITS, HARD, WEIGHTS, LossOptions("focal"), 500)
    torch.testing.assert_close(focal, focal_loss(LOGITS, HARD, 1.2, 2.2 * 0.99**5, WEIGHTS))


def test_the_named_losses_use_the_given_settings() -> None:
    options = LossOptions("focal", alpha=3.0, gamma=4.0)
    expected = focal_loss(LOGITS, HARD, 3.0, 4.0 * 0.99**2, WEIGHTS)
    torch.testing.assert_close(sample_losses(LOGITS, HARD, WEIGHTS, options, 200), expected)


def test_smoothing_moves_mass_and_keeps_the_sum() -> None:
    smoothed = smooth(HARD, 0.12)
    torch.testing.assert_close(smoothed.sum(dim=1), torch.ones(32))
    torch.testing.assert_close(smoothed.amax(dim=1), torch.full((32,), 0.88 + 0.12 / 5))
    assert torch.equal(smooth(HARD, 0.0), HARD)
    torch.testing.assert_close(smooth(torch.eye(2), 0.12), torch.tensor([[0.94, 0.06], [0.06, 0.94]]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "focus"},
        {"alpha": 0.0},
        {"alpha": math.nan},
        {"gamma": 0.5},
        {"gamma": math.nan},
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"label_smoothing": math.nan},
    ],
    ids=str,
)
def test_settings_that_mean_nothing(wrong: dict[str, float]) -> None:
    (name, value), *_ = wrong.items()
    wanted = {"alpha": "above 0", "gamma": r"at least 1\.0", "label_smoothing": "at least 0 and below 1"}
    sentence = rf"^fit\.loss\.{name} is {value}; expected a number, {wanted.get(name)}\.$"
    with pytest.raises(InputError, match="focus" if name == "name" else sentence):
        LossOptions(**wrong)  # type: ignore[arg-type]


def test_the_defaults_are_plain_cross_entropy_and_the_descriptions_numbers() -> None:
    """METHOD A7; and the smallest γ that means something is where the schedule ends."""
    assert LossOptions() == LossOptions("cross-entropy", 1.2, 2.2, 0.0, False)
    assert LossOptions(gamma=1.0).gamma == 1.0
