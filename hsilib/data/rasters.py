"""Images on disk that are read window by window: GeoTIFF, ENVI and what else GDAL reads; NetCDF and Zarr.

Contents: `Window`, `Raster`, `open_raster`, `find_raster`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsilib.data.array_rasters import ARRAY_SUFFIXES, open_array_raster
from hsilib.errors import InputError

ENVI_DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bsq", ".bil", ".bip", ".bin")
GDAL_CACHE_MB = 128  # GDAL's own default is 5 % of the machine's memory


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
    crs, transform : georeferencing (WKT; six affine coefficients in rasterio's order), or None.
    nodata : the value that stands for "not measured", or None.
    read : reads the pixels of a `Window`: (h, w, S).
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    crs: str | None
    transform: tuple[float, ...] | None
    nodata: float | None
    read: Callable[[Window], NDArray[np.generic]]


@contextmanager
def open_raster(source: str | Path) -> Iterator[Raster]:
    """Open an image for reading; nothing is read before it is asked for.

    Parameters
    ----------
    source : a GeoTIFF, an ENVI data file or its ``.hdr``, any other file that GDAL reads, a ``.nc`` file or
        a ``.zarr`` folder. ``FILE.nc:VARIABLE`` names one of several variables.

    Raises
    ------
    InputError : no such file, an unknown format, a damaged file, missing optional packages. `Raster.read`
        raises it too.
    """
    path, variable = find_raster(source)
    for package in ("rasterio", *(["xarray"] if path.suffix.lower() in ARRAY_SUFFIXES else [])):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InputError(f"{path}: this needs the package {package}: pip install 'hsilib[geo]'.") from error
    with _readable(path):
        opened = open_array_raster(path, variable) if path.suffix.lower() in ARRAY_SUFFIXES else _open_with_gdal(path)
        raster = opened.__enter__()
    try:
        if raster.dtype.kind not in "iuf" or 0 in raster.shape:
            raise InputError(f"{path}: {raster.shape} values of type {raster.dtype}; expected real numbers.")
        yield raster
    finally:
        opened.__exit__(None, None, None)
