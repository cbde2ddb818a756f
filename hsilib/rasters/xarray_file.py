"""One three-dimensional variable of a NetCDF file or a Zarr folder, window by window. Needs xarray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.crs import CRS

from hsilib.errors import InputError, unknown_name
from hsilib.rasters.raster import Raster, Window

BAND_DIMENSIONS = ("band", "bands", "wavelength", "wavelengths", "channel", "channels", "spectral", "lambda", "z")
COLUMN_DIMENSIONS = ("x", "lon", "longitude", "easting", "col", "cols", "column", "columns", "sample", "samples")
LARGEST_UNEVENNESS = 0.1  # of a pixel: coordinates are often rounded


@contextmanager
def open_with_xarray(path: Path, variable: str | None) -> Iterator[Raster]:
    """Open one variable; see `open_raster`. The values are as stored: no scale, no offset, fill values kept.

    Georeferencing comes from the variable that ``grid_mapping`` names, or ``spatial_ref``: ``crs_wkt`` or
    ``spatial_ref``, and ``GeoTransform``. Without the latter it comes from evenly spaced coordinates.

    Raises
    ------
    InputError : no such variable, several to choose from, or no dimension whose name says that it holds bands.
    """
    options: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.suffix == ".zarr" else {}
    with xr.open_dataset(path, decode_cf=False, cache=False, **options) as dataset:
        array = _pick(dataset, path, variable)
        bands = next((str(d) for d in array.dims if str(d).lower() in BAND_DIMENSIONS), None)
        if bands is None:
            raise InputError(
                f"{path}: variable {array.name!r} has the dimensions {', '.join(map(str, array.dims))}; one must hold "
                f"the bands and be called one of {', '.join(BAND_DIMENSIONS)}."
            )
        rows, cols = (str(d) for d in array.dims if d != bands)
        if rows.lower() in COLUMN_DIMENSIONS:
            rows, cols = cols, rows
        array = array.transpose(rows, cols, bands)

        def read(window: Window) -> NDArray[np.generic]:
            part = {rows: slice(window.row_start, window.row_stop), cols: slice(window.col_start, window.col_stop)}
            return np.asarray(array.isel(part).values)

        mapping = array.attrs.get("grid_mapping", "spatial_ref")
        attributes = dataset[mapping].attrs if mapping in dataset.variables else {}
        wkt = attributes.get("crs_wkt", attributes.get("spatial_ref"))
        nodata = array.attrs.get("_FillValue", array.attrs.get("missing_value"))
        height, width, count = array.shape
        yield Raster(
            (height, width, count),
            array.dtype,
            CRS.from_user_input(wkt).to_wkt() if wkt else None,
            _transform(dataset, attributes, rows, cols),
            None if nodata is None else float(nodata),
            read,
        )


def _pick(dataset: xr.Dataset, path: Path, variable: str | None) -> xr.DataArray:
    """The variable of that name, or the only one with three dimensions."""
    fitting = [str(name) for name, array in dataset.data_vars.items() if array.ndim == 3]
    if variable is not None:
        if variable not in fitting:
            raise InputError(f"{path}: {unknown_name('variable of three dimensions', variable, fitting)}")
        return dataset[variable]
    if len(fitting) != 1:
        raise InputError(
            f"{path}: {len(fitting)} variables have three dimensions ({', '.join(fitting) or 'none'}); "
            f"name the one to classify as {path}:VARIABLE."
        )
    return dataset[fitting[0]]


def _transform(dataset: xr.Dataset, attributes: dict[str, Any], rows: str, cols: str) -> tuple[float, ...] | None:
    """Six affine coefficients as rasterio orders them, or None."""
    if "GeoTransform" in attributes:
        left, width, row_skew, top, column_skew, height = map(float, str(attributes["GeoTransform"]).split())
        return width, row_skew, left, column_skew, height, top
    edges = []
    for dimension in (cols, rows):
        if dimension not in dataset.coords or dataset.sizes[dimension] < 2:
            return None
        centres = dataset[dimension].values
        if centres.dtype.kind not in "iuf":
            return None
        even = np.linspace(centres[0], centres[-1], len(centres))
        step = float(even[1] - even[0])
        if not np.abs(centres - even).max() < LARGEST_UNEVENNESS * abs(step):
            return None
        edges.append((float(centres[0]) - step / 2, step))
    (left, width), (top, height) = edges
    return width, 0.0, left, 0.0, height, top
