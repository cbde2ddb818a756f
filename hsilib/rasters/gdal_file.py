"""GeoTIFF, ENVI and what else GDAL reads, window by window. Needs rasterio."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from hsilib.errors import InputError
from hsilib.rasters.raster import Raster, Window

# GDAL's own default is 5 % of the machine's memory, which would grow with the part of the image that was read.
CACHE_BYTES = 64 * 2**20


@contextmanager
def open_with_gdal(path: Path) -> Iterator[Raster]:
    """Open one file. See `open_raster`."""
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), open_dataset(path) as dataset:
        if dataset.driver == "ENVI":
            _check_size(dataset, path)

        def read(window: Window) -> NDArray[np.generic]:
            rows, cols = window.shape
            values = dataset.read(window=RasterioWindow(window.col_start, window.row_start, cols, rows))
            return np.moveaxis(values, 0, -1)

        located = not dataset.transform.is_identity
        yield Raster(
            (dataset.height, dataset.width, dataset.count),
            np.dtype(dataset.dtypes[0]),
            dataset.crs.to_wkt() if dataset.crs else None,
            tuple(dataset.transform)[:6] if located else None,
            dataset.nodata,
            read,
        )


def open_dataset(path: Path, mode: str = "r", **profile: Any) -> Any:
    """``rasterio.open``, to which an image without georeferencing is fine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, mode, **profile)


def _check_size(dataset: rasterio.DatasetReader, path: Path) -> None:
    """GDAL reads what is missing at the end of a raw file as zeros."""
    offset = int(dataset.tags(ns="ENVI").get("header_offset", 0))
    expected = offset + dataset.height * dataset.width * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
    if path.stat().st_size < expected:
        raise InputError(f"{path}: {path.stat().st_size} bytes; its header asks for {expected}. Get the file again.")
