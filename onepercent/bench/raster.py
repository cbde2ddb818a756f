"""``hsilib bench raster``: an image classified window by window against the same image read as a whole."""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.standardize import Standardizer
from hsilib.inference.dense import TILE, predict_logits
from hsilib.model_file import load_model, read_class_names, save_model
from hsilib.rasters.classify import classify_raster
from hsilib.rasters.open import missing_package, open_raster
from hsilib.rasters.raster import Window
from hsilib.registry import create_model
from onepercent.bench.apart import run_apart
from onepercent.bench.comparison import Report, compare, timed

N_CLASSES = 9
LEVEL, SPREAD = 2000.0, 300.0
BLOCK = 256  # of the image's file


def bench_raster(device: torch.device, side: int = 320, bands: int = 50, times: int = 4, repeats: int = 3) -> Report:
    """Both ways from GeoTIFF to GeoTIFF with the same weights; then their peak memory at ``times``² the area.

    Parameters
    ----------
    side : of the square image that is timed, in pixels. times : the side of the large image, in sides of the small.

    Raises
    ------
    InputError : rasterio or distributed is not installed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(folder / "model.safetensors", bands)
        small = write_noise(folder / "small.tif", side, bands)
        large = write_noise(folder / "large.tif", times * side, bands)
        tile = TILE  # the smallest, so that the small image has several
        ways = {way: folder / f"{way}.tif" for way in ("whole", "windows", "two workers")}
        comparison = compare(
            f"class map of {side} × {side} × {bands}",
            ("read as a whole", partial(classify_in_memory, model, small, ways["whole"], device.type)),
            (f"tiles of {tile}", partial(classify_raster, model, small, ways["windows"], tile, None, device.type)),
            repeats,
        )
        two_workers_s = timed(partial(classify_raster, model, small, ways["two workers"], tile, "local", device.type))
        labels = {way: read_labels(path) for way, path in ways.items()}
        fixed = {"model": str(model), "target": str(folder / "peak.tif")}
        peaks = {
            f"{way}, {area} × the area": run_apart(
                classify, device, {"way": way, "source": str(image), **fixed}
            ).peak_mb
            for way in ("windows", "whole")
            for area, image in ((1, small), (times**2, large))
        }
    peak_small, peak_large = list(peaks.values())[:2]
    megapixels = side**2 / 1e6
    return Report(
        "raster",
        [comparison],
        {
            "identical labels, windows": bool(np.array_equal(labels["whole"], labels["windows"])),
            "identical labels, two workers": bool(np.array_equal(labels["whole"], labels["two workers"])),
            "classes in the map": len(np.unique(labels["whole"])),
            "seconds per megapixel": round(statistics.median(comparison.ours_s) / megapixels, 2),
            "two workers of one thread with their start, s": round(two_workers_s, 2),
            "peak memory, MB": peaks,
            f"peak memory of windows, {times**2} × to 1 × the area": round(peak_large / peak_small, 3),
        },
    )


def write_model(path: Path, bands: int) -> Path:
    """An untrained network whose classes all occur in the noise."""
    torch.manual_seed(0)
    model = create_model("dual-branch", bands, N_CLASSES)
    assert model.head.bias is not None
    model.set_standardizer(Standardizer(np.full(bands, LEVEL), np.full(bands, SPREAD), "nothing"))
    with torch.no_grad():
        model.head.bias.sub_(predict_logits(model, noise(32, 32, bands)).mean(dim=(0, 1)))
    return save_model(model, path)


def noise(rows: int, cols: int, bands: int, seed: int = 0) -> NDArray[np.uint16]:
    """Values as a sensor may give them, (H, W, S)."""
    drawn = np.random.default_rng(seed).standard_normal((rows, cols, bands), dtype=np.float32)
    return (LEVEL + SPREAD * drawn).astype(np.uint16)


def write_noise(path: Path, side: int, bands: int) -> Path:
    """A tiled, compressed GeoTIFF, written a strip of blocks at a time."""
    try:
        from rasterio.windows import Window as RasterioWindow

        from hsilib.rasters.gdal_file import open_dataset
    except ImportError as error:
        raise missing_package(error) from error
    shape = {"height": side, "width": side, "count": bands, "dtype": "uint16"}
    storage = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel", "compress": "deflate"}
    with open_dataset(path, "w", driver="GTiff", **shape, **storage) as file:
        for top in range(0, side, BLOCK):
            rows = min(BLOCK, side - top)
            strip = np.moveaxis(noise(rows, side, bands, seed=top), -1, 0)
            file.write(strip, window=RasterioWindow(0, top, side, rows))
    return path


def classify_in_memory(model: Path, source: Path, target: Path, device: str) -> None:
    """The plain way: read everything, predict, write the same kind of file."""
    from hsilib.rasters.geotiff_map import write_raster_map

    network = load_model(model, device)
    with open_raster(source) as image:
        rows, cols, _ = image.shape
        logits = predict_logits(network, image.read(Window(0, rows, 0, cols)))
    labels = (logits.argmax(dim=2) + 1).to(torch.uint8).cpu().numpy()

    def part(window: Window) -> NDArray[np.uint8]:
        return labels[window.row_start : window.row_stop, window.col_start : window.col_stop]

    work = target.with_suffix(".work")
    work.mkdir(exist_ok=True)
    write_raster_map(target, part, image, read_class_names(model), work)


def read_labels(path: Path) -> NDArray[np.generic]:
    """All labels of a map."""
    with open_raster(path) as image:
        rows, cols, _ = image.shape
        return image.read(Window(0, rows, 0, cols))


def classify(device: torch.device, way: str, model: str, source: str, target: str) -> None:
    """One way, ``windows`` or ``whole``, for its peak memory."""
    paths = Path(model), Path(source), Path(target)
    if way == "windows":
        classify_raster(*paths, TILE, None, device.type)
    else:
        classify_in_memory(*paths, device.type)
