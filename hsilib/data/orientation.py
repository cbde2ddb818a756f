"""The eight ways to lay a square down: quarter turns, 0…3, and the same mirrored left and right, 4…7."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

N_ORIENTATIONS = 8

Values = TypeVar("Values", torch.Tensor, NDArray[np.generic])


def turned(values: Values, orientation: int, axes: tuple[int, int] = (-2, -1)) -> Values:
    """Turn rows and columns by 90° · (orientation mod 4), then mirror left and right from 4 on.

    Parameters
    ----------
    axes : of rows and columns. NumPy arrays are not copied.
    """
    values = _quarter_turns(values, orientation, axes)
    return _mirrored(values, axes[1]) if orientation >= N_ORIENTATIONS // 2 else values


def turned_back(values: Values, orientation: int, axes: tuple[int, int] = (-2, -1)) -> Values:
    """Undo `turned`."""
    values = _mirrored(values, axes[1]) if orientation >= N_ORIENTATIONS // 2 else values
    return _quarter_turns(values, -orientation, axes)


def _quarter_turns(values: Values, turns: int, axes: tuple[int, int]) -> Values:
    turn = torch.rot90 if isinstance(values, torch.Tensor) else np.rot90
    return turn(values, turns % 4, axes)


def _mirrored(values: Values, axis: int) -> Values:
    return values.flip(axis) if isinstance(values, torch.Tensor) else np.flip(values, axis)
