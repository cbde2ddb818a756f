"""Read one array from a file: MATLAB 5 and 7.3, NumPy, TIFF. Values come back raw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import tifffile
from numpy.typing import NDArray

from hsilib.errors import InputError, unknown_name

Array = NDArray[Any]


def read_array(path: str | Path, key: str | None = None, ndim: int | None = None) -> Array:
    """Read one array from ``path``; the suffix says how.

    Parameters
    ----------
    path : a ``.mat`` (version 5 or 7.3), ``.npy``, ``.npz``, ``.tif`` or ``.tiff`` file.
    key : the array's name inside a ``.mat`` or ``.npz`` file. May be left out where the file
        holds exactly one array (with ``ndim`` dimensions, if that is given).
    ndim : how many dimensions the array must have.

    Returns
    -------
    The array in the file's own type. A cube is (rows, columns, bands): MATLAB 7.3 stores arrays
    with reversed axes and TIFF stores bands first or last, and both are put right.

    Raises
    ------
    InputError : no such file, another format, a damaged file, no such key, another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}; use {', '.join(READERS)}.")
    try:
        arrays = reader(path)
    except Exception as error:  # what the format libraries raise on damaged bytes has no common base
        raise InputError(f"{path}: not a readable {path.suffix} file ({error}); get it again.") from error
    array = _pick(path, arrays, key, ndim)
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"{path}: the array has shape {array.shape}; expected {ndim} dimensions.")
    return array


def array_names(path: str | Path) -> list[str]:
    """Names of the arrays in a ``.mat`` or ``.npz`` file, sorted."""
    return sorted(READERS[Path(path).suffix.lower()](Path(path)))


def _pick(path: Path, arrays: Mapping[str, Array], key: str | None, ndim: int | None) -> Array:
    if key is not None:
        if key not in arrays:
            raise InputError(f"{path}: {unknown_name('array', key, arrays)}")
        return arrays[key]
    candidates = {k: a for k, a in arrays.items() if ndim is None or a.ndim == ndim} or arrays
    if len(candidates) != 1:
        shapes = ", ".join(f"{k} {a.shape}" for k, a in sorted(arrays.items())) or "none"
        raise InputError(f"{path}: cannot tell which array is meant; name it as {path.name}:KEY. Arrays: {shapes}.")
    return next(iter(candidates.values()))


def _read_mat(path: Path) -> dict[str, Array]:
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            # MATLAB is column-major: HDF5 shows its (rows, cols, bands) as (bands, cols, rows).
            return {k: np.asarray(v).T for k, v in file.items() if isinstance(v, h5py.Dataset) and v.ndim > 0}
    content = scipy.io.loadmat(path)
    return {k: v for k, v in content.items() if not k.startswith("__") and isinstance(v, np.ndarray)}


def _read_npy(path: Path) -> dict[str, Array]:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it holds several arrays, as .npz does")
    return {path.stem: array}


def _read_npz(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as content:
        return {k: content[k] for k in content.files}


def _read_tiff(path: Path) -> dict[str, Array]:
    image = tifffile.imread(path)
    if image.ndim == 3 and image.shape[0] < min(image.shape[1:]):
        image = np.moveaxis(image, 0, -1)
    return {path.stem: image}


READERS: dict[str, Callable[[Path], dict[str, Array]]] = {
    ".mat": _read_mat,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
}
