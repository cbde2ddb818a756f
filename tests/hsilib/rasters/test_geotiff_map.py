"""The GeoTIFF of a class map, as rasterio and GDAL's side file show it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS

from hsilib.palette import class_colours_rgb
from hsilib.rasters.geotiff_map import BLOCK, write_raster_map
from hsilib.rasters.open import open_raster
from hsilib.rasters.raster import Raster, Window

NAMES = ["corn", "Wiesen & <Wälder>", "water"]
TRANSFORM = (3.0, 0.0, 10.0, 0.0, -3.0, 20.0)


def written(folder: Path, labels: NDArray[np.uint8], crs: str | None, located: bool = True) -> Path:
    image = Raster((*labels.shape, 7), np.dtype("uint16"), crs, TRANSFORM if located else None, None, lambda _: labels)

    def part(window: Window) -> NDArray[np.uint8]:
        return labels[window.row_start : window.row_stop, window.col_start : window.col_stop]

    (folder / "work").mkdir()
    write_raster_map(folder / "map.tif", part, image, NAMES, folder / "work")
    assert list((folder / "work").iterdir()) == []
    return folder / "map.tif"


def category_names(path: Path) -> list[str | None]:
    sidecar = ElementTree.parse(path.with_name(f"{path.name}.aux.xml"))
    assert [band.get("band") for band in sidecar.findall("PAMRasterBand")] == ["1"]
    return [element.text for element in sidecar.findall("PAMRasterBand/CategoryNames/Category")]


def test_labels_colours_names_and_place(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (2 * BLOCK + 3, BLOCK + 1)).astype(np.uint8)
    path = written(tmp_path, labels, CRS.from_epsg(32616).to_wkt())
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), labels)
        np.testing.assert_array_equal(file.read_masks(1) == 0, labels == 0)
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), 0)
        assert file.crs == CRS.from_epsg(32616)
        assert tuple(file.transform)[:6] == TRANSFORM
        assert file.block_shapes == [(BLOCK, BLOCK)]
        assert file.compression.name == "deflate"
        assert file.colorinterp[0].name == "palette"
        colours = file.colormap(1)
        assert [colours[k][:3] for k in range(1, 4)] == [tuple(rgb) for rgb in class_colours_rgb(3)[1:].tolist()]
        assert [file.tags(1)[f"CLASS_{k}"] for k in range(1, 4)] == NAMES
    assert category_names(path) == ["no data", *NAMES]


def test_a_projection_that_geotiff_cannot_hold_is_kept_beside_the_names(tmp_path: Path) -> None:
    rotated = CRS.from_user_input("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39 +lon_0=18")
    path = written(tmp_path, np.ones((5, 4), dtype=np.uint8), rotated.to_wkt())
    with rasterio.open(path) as file:
        assert file.crs == rotated
    assert category_names(path) == ["no data", *NAMES]


@pytest.mark.filterwarnings("error")
def test_an_image_without_georeferencing(tmp_path: Path) -> None:
    path = written(tmp_path, np.ones((5, 4), dtype=np.uint8), None, located=False)
    with open_raster(path) as raster:
        assert (raster.crs, raster.transform) == (None, None)
