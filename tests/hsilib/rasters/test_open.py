"""Windows of images on disk equal the arrays that were written, with their georeferencing, in every format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.crs import CRS

from hsilib.errors import InputError
from hsilib.rasters.open import open_raster
from hsilib.rasters.raster import Window

TRANSFORM = (30.0, 0.0, 500_000.0, 0.0, -30.0, 4_000_000.0)
UTM = CRS.from_epsg(32616)
CUBE = np.random.default_rng(0).integers(0, 5000, (21, 17, 6)).astype(np.uint16)
NODATA = 4999


def with_gdal(path: Path, cube: NDArray[Any] = CUBE, driver: str = "GTiff", **options: Any) -> Path:
    rows, cols, bands = cube.shape
    shape = {"height": rows, "width": cols, "count": bands, "dtype": cube.dtype, "nodata": NODATA}
    place = {"crs": UTM, "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", driver=driver, **shape, **place, **options) as file:
        file.write(np.moveaxis(cube, -1, 0))
    return path


def dataset(dims: tuple[str, ...] = ("y", "x", "band"), **attributes: Any) -> xr.Dataset:
    """CUBE under these names, in this order, with its CRS and the coordinates of pixel centres."""
    names = {"row": next(d for d in dims if d in ("y", "row")), "col": next(d for d in dims if d in ("x", "col"))}
    array = xr.DataArray(CUBE, dims=(names["row"], names["col"], next(d for d in dims if d not in names.values())))
    mapping = xr.DataArray(0, attrs={"crs_wkt": UTM.to_wkt(), **attributes})
    x = TRANSFORM[2] + TRANSFORM[0] * (np.arange(CUBE.shape[1]) + 0.5)
    y = TRANSFORM[5] + TRANSFORM[4] * (np.arange(CUBE.shape[0]) + 0.5)
    made = xr.Dataset({"reflectance": array.transpose(*dims), "spatial_ref": mapping})
    made["reflectance"].attrs["grid_mapping"] = "spatial_ref"
    made["reflectance"].encoding["_FillValue"] = NODATA
    return made.assign_coords({names["row"]: y, names["col"]: x})


WRITERS: dict[str, Callable[[Path], Path]] = {
    "tiled GeoTIFF": lambda folder: with_gdal(
        folder / "a.tif", tiled=True, blockxsize=16, blockysize=16, interleave="pixel", compress="deflate"
    ),
    "GeoTIFF in strips": lambda folder: with_gdal(folder / "a.tiff", interleave="band"),
    "ENVI bsq": lambda folder: with_gdal(folder / "a.img", driver="ENVI", interleave="bsq"),
    "ENVI bil by its header": lambda folder: with_gdal(folder / "a.dat", driver="ENVI", interleave="bil").with_suffix(
        ".hdr"
    ),
    "ENVI bip without suffix": lambda folder: with_gdal(folder / "a", driver="ENVI", interleave="bip"),
    "NetCDF": lambda folder: write_netcdf(folder / "a.nc", dataset()),
    "NetCDF, bands first": lambda folder: write_netcdf(folder / "a.nc", dataset(("wavelength", "y", "x"))),
    "NetCDF, columns before rows": lambda folder: write_netcdf(folder / "a.nc", dataset(("x", "y", "band"))),
    "NetCDF by variable": lambda folder: Path(
        f"{write_netcdf(folder / 'a.nc', dataset().assign(other=dataset()['reflectance'] * 2))}:reflectance"
    ),
    "Zarr": lambda folder: write_zarr(folder / "a.zarr", dataset(("bands", "row", "col"))),
}


def write_netcdf(path: Path, made: xr.Dataset) -> Path:
    made.to_netcdf(path, engine="h5netcdf")
    return path


def write_zarr(path: Path, made: xr.Dataset) -> Path:
    made.chunk(dict.fromkeys(made["reflectance"].dims, 8)).to_zarr(path, consolidated=False)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_windows_of_every_format(name: str, tmp_path: Path) -> None:
    with open_raster(WRITERS[name](tmp_path)) as raster:
        assert raster.shape == CUBE.shape
        assert raster.dtype == CUBE.dtype
        assert raster.nodata == NODATA
        assert raster.crs is not None
        assert CRS.from_wkt(raster.crs) == UTM
        assert raster.transform == pytest.approx(TRANSFORM)
        for window in (Window(0, 21, 0, 17), Window(3, 4, 5, 17), Window(20, 21, 16, 17)):
            part = raster.read(window)
            assert part.dtype == CUBE.dtype
            np.testing.assert_array_equal(part, CUBE[window[0] : window[1], window[2] : window[3]])


def test_gdals_own_transform_in_a_netcdf_file_wins_over_coordinates(tmp_path: Path) -> None:
    turned = "10.0 2.0 0.5 20.0 0.25 -3.0"
    with open_raster(write_netcdf(tmp_path / "a.nc", dataset(GeoTransform=turned))) as raster:
        assert raster.transform == (2.0, 0.5, 10.0, 0.25, -3.0, 20.0)


@pytest.mark.filterwarnings("error")
def test_without_georeferencing(tmp_path: Path) -> None:
    bare = dataset().drop_vars(["x", "y", "spatial_ref"])
    uneven = dataset().assign_coords(x=np.arange(17.0) ** 2).drop_vars("spatial_ref")
    paths = [write_netcdf(tmp_path / "bare.nc", bare), write_netcdf(tmp_path / "uneven.nc", uneven)]
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", height=21, width=17, count=6, dtype="uint16") as file,
    ):
        file.write(np.moveaxis(CUBE, -1, 0))
    for path in [*paths, tmp_path / "a.tif"]:
        with open_raster(path) as raster:
            assert (raster.crs, raster.transform) == (None, None)
            np.testing.assert_array_equal(raster.read(Window(2, 9, 1, 5)), CUBE[2:9, 1:5])


def test_stored_values_are_not_scaled(tmp_path: Path) -> None:
    made = dataset()
    made["reflectance"].attrs["scale_factor"] = 0.5
    with open_raster(write_netcdf(tmp_path / "a.nc", made)) as raster:
        np.testing.assert_array_equal(raster.read(Window(0, 2, 0, 2)), CUBE[:2, :2])


# --- what cannot be read


def cut(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def text_file(path: Path) -> Path:
    path.write_text("no image")
    return path


BROKEN: dict[str, tuple[Callable[[Path], str | Path], str]] = {
    "missing": (lambda folder: folder / "nowhere.tif", r"nowhere\.tif: no such file"),
    "not an image": (lambda folder: text_file(folder / "a.tif"), r"a\.tif: cannot be read"),
    "not NetCDF": (lambda folder: text_file(folder / "a.nc"), r"a\.nc: cannot be read"),
    "a folder": (lambda folder: folder, "a folder; expected an image"),
    "header alone": (lambda folder: text_file(folder / "a.hdr"), "ENVI data file is not beside it"),
    "short ENVI": (lambda folder: cut(with_gdal(folder / "a.img", driver="ENVI")), "bytes; its header asks for 4284"),
    "short NetCDF": (lambda folder: cut(WRITERS["NetCDF"](folder)), r"a\.nc: cannot be read"),
    "no Zarr": (lambda folder: folder.joinpath("a.zarr").mkdir() or folder / "a.zarr", r"a\.zarr: cannot be read"),
    "complex": (lambda folder: with_gdal(folder / "a.tif", CUBE.astype(np.complex64)), "expected real numbers"),
    "no variable": (lambda folder: f"{WRITERS['NetCDF'](folder)}:reflektance", "did you mean reflectance"),
    "which variable": (
        lambda folder: str(WRITERS["NetCDF by variable"](folder)).rpartition(":")[0],
        r"2 variables have three dimensions \(reflectance, other\).*a\.nc:VARIABLE",
    ),
    "which dimension": (
        lambda folder: write_netcdf(folder / "a.nc", dataset(("time", "y", "x"))),
        "dimensions time, y, x; one must hold the bands",
    ),
    "no such CRS": (
        lambda folder: write_netcdf(folder / "a.nc", dataset(crs_wkt="PROJCS[nonsense]")),
        r"a\.nc: cannot be read",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_opened_is_named(name: str, tmp_path: Path) -> None:
    make, message = BROKEN[name]
    with pytest.raises(InputError, match=message), open_raster(make(tmp_path)):
        pass


def test_damage_that_shows_only_when_it_is_read(tmp_path: Path) -> None:
    path = with_gdal(tmp_path / "a.tif", tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with open_raster(path) as raster, pytest.raises(InputError, match=r"a\.tif: cannot be read"):
        raster.read(Window(0, 21, 0, 17))


def test_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_gdal(tmp_path / "a.tif")
    for module in [name for name in sys.modules if name in ("hsilib.rasters.xarray_file", "hsilib.rasters.gdal_file")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"rasterio: pip install 'hsilib\[geo\]'"), open_raster(path):
        pass
