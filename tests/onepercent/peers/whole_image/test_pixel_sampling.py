"""Which training pixels count at which step."""

from __future__ import annotations

import pytest
import torch

from onepercent.peers.whole_image.pixel_sampling import SAMPLINGS, choose_pixels

LABELS = torch.tensor([0] * 7 + [1] * 3 + [2] * 12)[torch.randperm(22, generator=torch.Generator().manual_seed(0))]


def counts(chosen: torch.Tensor) -> list[int]:
    assert torch.equal(chosen, chosen.unique()), "rising, none twice"
    return LABELS[chosen].bincount(minlength=3).tolist()


@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_choice_is_a_function_of_step_and_seed(name: str) -> None:
    torch.manual_seed(0)
    first = [choose_pixels(name, LABELS, 4, step, 9) for step in range(6)]
    torch.manual_seed(1)
    assert all(torch.equal(choose_pixels(name, LABELS, 4, step, 9), chosen) for step, chosen in enumerate(first))
    if name != "all":
        assert not all(torch.equal(choose_pixels(name, LABELS, 4, step, 10), c) for step, c in enumerate(first))


def test_all() -> None:
    assert torch.equal(choose_pixels("all", LABELS, 1, 5, 0), torch.arange(22))


def test_a_stratified_round_takes_every_pixel_in_portions() -> None:
    """7, 3 and 12 pixels in portions of 4: three steps, in an order of their own each round, no class ever missing."""
    rounds = [[choose_pixels("stratified", LABELS, 4, 3 * r + turn, 0) for turn in range(3)] for r in range(20)]
    for steps in rounds:
        assert torch.equal(torch.cat(steps).unique(), torch.arange(22))
        largest = torch.cat([chosen[LABELS[chosen] == 2] for chosen in steps])
        assert largest.numel() == largest.unique().numel() == 12, "the largest class has each pixel once"
        assert sorted(map(counts, steps)) == [[3, 3, 4], [4, 3, 4], [4, 3, 4]]
    assert {counts(steps[0])[0] for steps in rounds} == {3, 4}, "the portions' order changes"
    assert len({tuple(steps[0].tolist()) for steps in rounds}) > 10


def test_balanced_draws_as_many_of_each_class_as_there_are() -> None:
    drawn = [choose_pixels("balanced", LABELS, 4, step, 0) for step in range(30)]
    assert all(counts(chosen) == [4, 3, 4] for chosen in drawn)
    assert torch.cat(drawn).unique().numel() == 22
