"""What an open image on disk offers, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Window(NamedTuple):
    """A rectangle of pixels; the stops are not part of it."""

    row_start: int
    row_stop: int
    col_start: int
    col_stop: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.row_stop - self.row_start, self.col_stop - self.col_start


@dataclass(frozen=True)
class Raster:
    """An open image, of which nothing is in memory.

    Attributes
    ----------
    shape : rows, columns and bands.
    dtype : of the values as they are stored; no scale or offset is applied.
    crs, transform : georeferencing (WKT; six affine coefficients as rasterio orders them), or None.
    nodata : the value that stands for "not measured", or None.
    read : a window's values, (h, w, S).
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    crs: str | None
    transform: tuple[float, ...] | None
    nodata: float | None
    read: Callable[[Window], NDArray[np.generic]]
