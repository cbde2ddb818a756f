"""The eight ways to lay a square down: quarter turns, 0…3, and the same mirrored left and right, 4…7."""

from __future__ import annotations

from typing import Any, TypeVar

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
    library = _library(values)
    values = library.rot90(values, orientation % 4, axes)
    return library.flip(values, axes[1:]) if orientation >= N_ORIENTATIONS // 2 else values


def turned_back(values: Values, orientation: int, axes: tuple[int, int] = (-2, -1)) -> Values:
    """Undo `turned`."""
    library = _library(values)
    values = library.flip(values, axes[1:]) if orientation >= N_ORIENTATIONS // 2 else values
    return library.rot90(values, -orientation % 4, axes)


def _library(values: Values) -> Any:
    """The one that ``values`` belong to; both know `rot90` and `flip`."""
    return torch if isinstance(values, torch.Tensor) else np
