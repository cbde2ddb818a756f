"""A class map as GeoTIFF that opens coloured and named in QGIS, written block by block. Needs rasterio."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow

from hsilib.palette import class_colours_rgb
from hsilib.rasters.gdal_file import CACHE_BYTES, open_dataset
from hsilib.rasters.raster import Raster, Window

BLOCK = 256
NODATA_NAME = "no data"


def write_raster_map(
    path: Path, labels: Callable[[Window], NDArray[np.uint8]], image: Raster, class_names: Sequence[str], work: Path
) -> None:
    """Write labels 0…K, a byte a pixel; 0 is the nodata value and transparent.

    The file holds a colour table and, as tags ``CLASS_1``, …, the names. Category names, which QGIS shows, GDAL keeps
    in a second file, ``….tif.aux.xml``.

    Parameters
    ----------
    path : where the file goes when it is whole.
    labels : gives the labels of a window, (h, w).
    image : what was classified: its size and georeferencing.
    class_names : names of the labels 1…K.
    work : a folder on the same disk, for the unfinished files.
    """
    rows, cols, _ = image.shape
    unfinished = work / "map.tif"
    sidecar = work / "map.tif.aux.xml"
    sidecar.unlink(missing_ok=True)
    shape = {"height": rows, "width": cols, "count": 1, "dtype": "uint8", "nodata": 0}
    place = {"crs": image.crs} | ({"transform": rasterio.Affine(*image.transform)} if image.transform else {})
    storage = {"compress": "deflate", "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "bigtiff": "IF_SAFER"}
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        open_dataset(unfinished, "w", driver="GTiff", **shape, **place, **storage) as file,
    ):
        colours = class_colours_rgb(len(class_names)).tolist()
        file.write_colormap(1, {label: (*rgb, 255 if label else 0) for label, rgb in enumerate(colours)})
        file.update_tags(1, **{f"CLASS_{label}": name for label, name in enumerate(class_names, start=1)})
        for top in range(0, rows, BLOCK):
            for left in range(0, cols, BLOCK):
                window = Window(top, min(top + BLOCK, rows), left, min(left + BLOCK, cols))
                height, width = window.shape
                file.write(labels(window), 1, window=RasterioWindow(left, top, width, height))
    _add_names(sidecar, class_names)
    os.replace(sidecar, path.with_name(f"{path.name}.aux.xml"))
    os.replace(unfinished, path)


def _add_names(sidecar: Path, class_names: Sequence[str]) -> None:
    """GDAL may have written the file already, for what GeoTIFF cannot hold, such as a rare projection."""
    root = ElementTree.parse(sidecar).getroot() if sidecar.exists() else ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for name in (NODATA_NAME, *class_names):
        ElementTree.SubElement(categories, "Category").text = name
    ElementTree.indent(root)
    sidecar.write_bytes(ElementTree.tostring(root, encoding="UTF-8"))
