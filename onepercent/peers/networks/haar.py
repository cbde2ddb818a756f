"""One level of the Haar wavelet transform, orthonormal, along one axis or two.

Reference: Mallat (1989), A Theory for Multiresolution Signal Decomposition, doi:10.1109/34.192463.
"""

from __future__ import annotations

import math

import torch


def haar(x: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Approximation (a + b) / √2 and detail (a − b) / √2 of neighbours a, b along ``axis``.

    An axis of odd length L is lengthened by a copy of its last entry, whose detail is 0; both parts have
    ⌈L / 2⌉ entries there. With an even length the transform is orthonormal: it keeps the sum of squares.
    """
    axis %= x.ndim
    if x.shape[axis] % 2:
        x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1)], dim=axis)
    first, second = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
    return (first + second) / math.sqrt(2), (first - second) / math.sqrt(2)


def haar_2d(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) → (N, 4, C, ⌈H / 2⌉, ⌈W / 2⌉): the mean of a square of 2 × 2 and three differences.

    In order, in units of half a square's sum: all four; left minus right; top minus bottom; one diagonal minus
    the other.
    """
    low, high = haar(x, 2)
    return torch.stack([*haar(low, 3), *haar(high, 3)], dim=1)
