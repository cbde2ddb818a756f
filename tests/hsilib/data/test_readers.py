"""One array from a file: every format, and everything that can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from numpy.typing import NDArray

from hsilib.data.readers import array_names, read_array
from hsilib.errors import InputError

CUBE = np.random.default_rng(0).integers(0, 5000, (6, 7, 4)).astype(np.uint16)
MAP = np.random.default_rng(1).integers(0, 4, (6, 7)).astype(np.uint8)


def write_mat5(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    scipy.io.savemat(path, arrays)


def write_mat5_compressed(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    scipy.io.savemat(path, arrays, do_compression=True)


def write_mat73(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """As MATLAB does: a 512-byte block before the HDF5 data, axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_npz(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    np.savez(path, **arrays)


def write_npz_compressed(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    np.savez_compressed(path, **arrays)


def write_npy(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    np.save(path, *arrays.values())


def write_tiff(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    tifffile.imwrite(path, *arrays.values())


Writer = Callable[[Path, dict[str, NDArray[Any]]], None]
KEYED: list[tuple[str, Writer]] = [
    (".mat", write_mat5),
    (".mat", write_mat5_compressed),
    (".mat", write_mat73),
    (".npz", write_npz),
    (".npz", write_npz_compressed),
]
SINGLE: list[tuple[str, Writer]] = [(".npy", write_npy), (".tif", write_tiff), (".tiff", write_tiff)]


def name_of(value: Any) -> str:
    return getattr(value, "__name__", str(value)).removeprefix("write_")


@pytest.mark.parametrize(("suffix", "write"), KEYED + SINGLE, ids=name_of)
def test_a_cube_comes_back_raw(suffix: str, write: Writer, tmp_path: Path) -> None:
    path = tmp_path / f"cube{suffix}"
    write(path, {"data": CUBE})
    read = read_array(path, ndim=3)
    assert read.dtype == CUBE.dtype
    assert np.array_equal(read, CUBE)


@pytest.mark.parametrize(("suffix", "write"), KEYED, ids=name_of)
def test_the_key_chooses_among_several_arrays(suffix: str, write: Writer, tmp_path: Path) -> None:
    path = tmp_path / f"both{suffix}"
    write(path, {"data": CUBE, "other": CUBE[:, ::-1], "gt": MAP})
    assert array_names(path) == ["data", "gt", "other"]
    assert np.array_equal(read_array(path, "other", 3), CUBE[:, ::-1])
    assert np.array_equal(read_array(path, ndim=2), MAP)
    with pytest.raises(InputError, match=rf"cannot tell which array is meant; name it as both{suffix}:KEY.*data \(6"):
        read_array(path, ndim=3)
    with pytest.raises(InputError, match="unknown array 'othr': did you mean other"):
        read_array(path, "othr")
    with pytest.raises(InputError, match=r"shape \(6, 7\); expected 3 dimensions"):
        read_array(path, "gt", 3)


@pytest.mark.parametrize(("suffix", "write"), KEYED + SINGLE, ids=name_of)
def test_the_only_array_has_another_shape(suffix: str, write: Writer, tmp_path: Path) -> None:
    path = tmp_path / f"map{suffix}"
    write(path, {"gt": MAP})
    with pytest.raises(InputError, match=r"shape \(6, 7\); expected 3 dimensions"):
        read_array(path, ndim=3)


@pytest.mark.parametrize(("suffix", "write"), KEYED + SINGLE, ids=name_of)
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.3, 0.6, 0.95])
def test_a_truncated_file(suffix: str, write: Writer, keep: float, tmp_path: Path) -> None:
    path = tmp_path / f"cube{suffix}"
    write(path, {"data": CUBE})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=r"not a readable \.|cannot tell which array"):
        read_array(path, ndim=3)


@pytest.mark.parametrize(("suffix", "write"), KEYED + SINGLE, ids=name_of)
def test_damaged_bytes_never_raise_anything_but_an_input_error(suffix: str, write: Writer, tmp_path: Path) -> None:
    path = tmp_path / f"cube{suffix}"
    write(path, {"data": CUBE})
    whole = path.read_bytes()
    for start in range(0, len(whole), max(1, len(whole) // 40)):
        damaged = bytearray(whole)
        damaged[start : start + 6] = b"\xff" * len(damaged[start : start + 6])
        path.write_bytes(damaged)
        with suppress(InputError):
            read_array(path)


@pytest.mark.parametrize("suffix", [".mat", ".npy", ".npz", ".tif"])
def test_a_file_of_something_else(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"page{suffix}"
    path.write_text("<html>404 not found</html>" * 20)
    with pytest.raises(InputError, match=f"not a readable {suffix} file"):
        read_array(path)


@pytest.mark.parametrize(("content", "suffix"), [(".npy", ".npz"), (".npz", ".npy")])
def test_a_file_under_the_wrong_suffix(content: str, suffix: str, tmp_path: Path) -> None:
    source, path = tmp_path / f"a{content}", tmp_path / f"b{suffix}"
    (write_npy if content == ".npy" else write_npz)(source, {"data": CUBE})
    source.rename(path)
    with pytest.raises(InputError, match=f"not a readable {suffix} file"):
        read_array(path)


class Explosive:
    """Unpickling this would run code."""

    unpickled = False

    def __setstate__(self, state: Any) -> None:
        Explosive.unpickled = True


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_pickle_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cube{suffix}"
    bomb = Explosive()
    bomb.__dict__["armed"] = True
    array = np.array([bomb], dtype=object)
    if suffix == ".npy":
        np.save(path, array, allow_pickle=True)
    else:
        np.savez(path, data=array)
    with pytest.raises(InputError, match="not a readable"):
        read_array(path)
    assert not Explosive.unpickled


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cube\.mat: no such file"):
        read_array(tmp_path / "cube.mat")


@pytest.mark.parametrize("name", ["cube.hdr", "cube"])
def test_a_format_that_is_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"cannot read .*; use \.mat, \.npy"):
        read_array(tmp_path / name)


@pytest.mark.parametrize(("suffix", "write"), KEYED, ids=name_of)
def test_a_file_without_arrays(suffix: str, write: Writer, tmp_path: Path) -> None:
    path = tmp_path / f"none{suffix}"
    write(path, {})
    with pytest.raises(InputError, match="Arrays: none"):
        read_array(path)


def test_tiff_with_bands_first(tmp_path: Path) -> None:
    path = tmp_path / "cube.tif"
    tifffile.imwrite(path, np.moveaxis(CUBE, -1, 0), photometric="minisblack", planarconfig="separate")
    assert np.array_equal(read_array(path, ndim=3), CUBE)


def test_tiff_with_bands_last(tmp_path: Path) -> None:
    path = tmp_path / "cube.tif"
    tifffile.imwrite(path, CUBE, photometric="minisblack", planarconfig="contig")
    assert np.array_equal(read_array(path, ndim=3), CUBE)


def test_the_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / "CUBE.NPY"
    with path.open("wb") as stream:
        np.save(stream, CUBE)
    assert np.array_equal(read_array(path), CUBE)
