"""Optimisers and schedules of other people's recipes."""

from __future__ import annotations

import pytest
import torch

from hsilib.errors import InputError
from hsilib.training.fit_options import OPTIMIZERS, SCHEDULES, FitOptions, create_optimizer, learning_rate_at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", [1.0, 0.5, 0.0]),
        ("constant", [1.0, 1.0, 1.0]),
        ("step", [1.0, 0.9**5, 0.9**9]),
        ("poly", [1.0, 0.5**0.9, 0.0]),
    ],
)
def test_schedules_in_closed_form(schedule: str, expected: list[float]) -> None:
    """Ten epochs of ten steps and one more step: the first, the middle and the last of 101 rates."""
    options = FitOptions(epochs=101, warmup_epochs=0, learning_rate=1.0, final_learning_rate=0.0, schedule=schedule)
    assert [learning_rate_at(step, 1, options) for step in (0, 50, 100)] == pytest.approx(expected)


def test_the_step_schedule_has_ten_levels() -> None:
    options = FitOptions(epochs=100, warmup_epochs=0, learning_rate=1.0, schedule="step")
    assert len({learning_rate_at(step, 1, options) for step in range(100)}) == 10


def test_every_schedule_is_tried_above() -> None:
    assert set(SCHEDULES) == {"cosine", "constant", "step", "poly"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_descend_and_decay(name: str) -> None:
    """On (w − 3)² each comes near 3, and weight decay keeps it below."""

    def end(weight_decay: float) -> float:
        weight = torch.nn.Parameter(torch.zeros(()))
        options = FitOptions(optimizer=name, learning_rate=0.05, weight_decay=weight_decay)
        optimizer = create_optimizer([weight], options)
        for _ in range(400):
            optimizer.zero_grad()
            (weight - 3).square().backward()
            optimizer.step()
        return float(weight.detach())

    assert end(0.0) == pytest.approx(3, abs=0.06)
    assert end(1.0) < 2.9


def test_plain_gradient_descent_has_momentum() -> None:
    optimizer = create_optimizer([torch.nn.Parameter(torch.zeros(()))], FitOptions(optimizer="sgd"))
    assert optimizer.param_groups[0]["momentum"] == 0.9


def test_rmsprop_forgets_as_in_keras() -> None:
    """The first step divides by the root of a tenth of the squared gradient."""
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = create_optimizer([weight], FitOptions(optimizer="rmsprop", learning_rate=1.0, weight_decay=0.0))
    (5 * weight).backward()
    optimizer.step()
    assert float(weight.detach()) == pytest.approx(-1 / 0.1**0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("n_pixels", "batch_size", "batches"), [(1, 16, 1), (15, 16, 1), (16, 16, 1), (17, 16, 1), (18, 16, 2), (3, 1, 3)]
)
def test_a_last_batch_of_one_pixel_is_left_out(n_pixels: int, batch_size: int, batches: int) -> None:
    assert FitOptions(batch_size=batch_size).batches_per_epoch(n_pixels) == batches


@pytest.mark.parametrize("wrong", [{"optimizer": "adamm"}, {"schedule": "cosin"}], ids=str)
def test_an_unknown_name_gets_the_nearest(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"did you mean (adam|cosine)"):
        FitOptions(**wrong)  # type: ignore[arg-type]


def test_epochs_are_added_for_the_least_number_of_steps() -> None:
    options = FitOptions(epochs=10, batch_size=16, least_steps=1200)
    assert options.lengthened(115).epochs == 150, "8 batches an epoch: 7 of 16 and one of 3"
    assert options.lengthened(54).epochs == 300, "4 batches"
    assert options.lengthened(113).epochs == 172, "7 batches: the last one would be a single pixel"
    assert options.lengthened(10_000) == options, "625 batches an epoch: more than enough"
    assert FitOptions(epochs=10, batch_size=16, least_steps=1200, accumulate=4).lengthened(115).epochs == 600


def test_a_choice_that_is_none() -> None:
    with pytest.raises(InputError, match=r"unknown fit\.choose 'best': .*Valid: last, validation"):
        FitOptions(choose="best")
