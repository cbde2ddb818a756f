"""Images on disk that are read window by window: GeoTIFF, ENVI and what else GDAL reads; NetCDF and Zarr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsilib.errors import InputError
from hsilib.rasters.raster import Raster, Window

ARRAY_SUFFIXES = (".nc", ".zarr")
ENVI_DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bsq", ".bil", ".bip", ".bin")


@contextmanager
def open_raster(source: str | Path) -> Iterator[Raster]:
    """Open an image; its values are read when they are asked for.

    Parameters
    ----------
    source : a GeoTIFF, an ENVI data file or its ``.hdr``, any other file that GDAL reads, a ``.nc`` file or a
        ``.zarr`` folder. ``FILE.nc:VARIABLE`` names one of several variables.

    Raises
    ------
    InputError : no such file, an unknown format, a damaged file, or optional packages are missing. `Raster.read`
        raises it where the file turns out to be damaged.
    """
    path, variable = find_raster(source)
    try:
        from hsilib.rasters.gdal_file import open_with_gdal
        from hsilib.rasters.xarray_file import open_with_xarray
    except ImportError as error:
        raise missing_package(error) from error
    with ExitStack() as stack:
        with _damage_named(path):
            opened = open_with_xarray(path, variable) if path.suffix in ARRAY_SUFFIXES else open_with_gdal(path)
            raster = stack.enter_context(opened)
        if raster.dtype.kind not in "iuf" or 0 in raster.shape:
            raise InputError(f"{path}: {raster.shape} values of type {raster.dtype}; expected real numbers.")

        def read(window: Window) -> NDArray[np.generic]:
            with _damage_named(path):
                return raster.read(window)

        yield replace(raster, read=read)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # what the format libraries raise on damaged bytes has no common base
        raise InputError(
            f"{path}: cannot be read ({error}); expected GeoTIFF, ENVI, NetCDF or Zarr, and a whole file."
        ) from error


def missing_package(error: ImportError) -> InputError:
    """What to say where an optional package is not installed."""
    return InputError(f"images on disk need the package {error.name}: pip install 'hsilib[geo]'.")


def find_raster(source: str | Path) -> tuple[Path, str | None]:
    """The file or folder that holds the values, and the variable's name if one was given.

    Raises
    ------
    InputError : there is no such file, or an ENVI header without its data.
    """
    text, variable = str(source), None
    before, colon, after = text.rpartition(":")
    if colon and Path(before).suffix in ARRAY_SUFFIXES:
        text, variable = before, after
    path = Path(text)
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    if path.suffix.lower() == ".hdr":
        stem = path.with_suffix("")
        candidates = [stem.with_name(stem.name + suffix) for suffix in ENVI_DATA_SUFFIXES]
        data = next((candidate for candidate in candidates if candidate.is_file()), None)
        if data is None:
            raise InputError(f"{path}: its ENVI data file is not beside it; looked for {stem} and {stem}.img, .dat, ….")
        return data, None
    if path.is_dir() and path.suffix != ".zarr":
        raise InputError(f"{path}: a folder; expected an image.")
    return path, variable
