"""The Haar transform: by hand, inverted, and its energy."""

from __future__ import annotations

import math

import pytest
import torch

from onepercent.peers.networks.haar import haar, haar_2d


def inverse_haar(approximation: torch.Tensor, detail: torch.Tensor, axis: int) -> torch.Tensor:
    """What `haar` made the two parts of, lengthened to an even length where that was odd."""
    axis %= approximation.ndim
    pairs = [(approximation + detail) / math.sqrt(2), (approximation - detail) / math.sqrt(2)]
    return torch.stack(pairs, dim=axis + 1).flatten(axis, axis + 1)


def test_by_hand() -> None:
    approximation, detail = haar(torch.tensor([[1.0, 3.0, 10.0, 4.0]]), 1)
    torch.testing.assert_close(approximation * math.sqrt(2), torch.tensor([[4.0, 14.0]]))
    torch.testing.assert_close(detail * math.sqrt(2), torch.tensor([[-2.0, 6.0]]))


def test_a_square_by_hand() -> None:
    """1 2 / 3 5: half of the sum, of left minus right, of top minus bottom, of one diagonal minus the other."""
    parts = haar_2d(torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]]))
    assert parts.shape == (1, 4, 1, 1, 1)
    torch.testing.assert_close(parts.flatten(), torch.tensor([5.5, -1.5, -2.5, 0.5]))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_the_inverse_gives_it_back(axis: int) -> None:
    x = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(inverse_haar(*haar(x, axis), axis), x, atol=1e-14, rtol=0)


@pytest.mark.parametrize("axis", [0, 1])
def test_an_odd_length_is_filled_with_its_last_entry(axis: int) -> None:
    x = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    approximation, detail = haar(x, axis)
    assert approximation.shape[axis] == detail.shape[axis] == 3
    assert torch.equal(detail.select(axis, 2), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(inverse_haar(approximation, detail, axis).narrow(axis, 0, 5), x)


def test_energy_is_kept() -> None:
    x = torch.randn(3, 2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(haar_2d(x).square().sum(), x.square().sum())
    torch.testing.assert_close(torch.stack(haar(x, 2)).square().sum(), x.square().sum())


def test_two_axes_are_one_after_the_other() -> None:
    x = torch.randn(1, 2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = haar_2d(x)
    rows = haar(x, 2)
    for row in (0, 1):
        for column in (0, 1):
            assert torch.equal(parts[:, 2 * row + column], haar(rows[row], 3)[column])
