"""`classify_raster`: label an image on disk that need not fit in memory, tile by tile.

A finished tile is a file. So the same command after an interruption does only the tiles that are missing, and
tiles may be done by any process that sees the folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsilib.cluster import connect, run_tasks
from hsilib.errors import InputError
from hsilib.files import ensure_writable, write_atomically
from hsilib.inference.dense import TILE
from hsilib.model.network import Network
from hsilib.model_file import load_model, read_class_names
from hsilib.progress import progress
from hsilib.rasters.open import find_raster, open_raster
from hsilib.rasters.raster import Raster, Window
from hsilib.rasters.window import classify_window, tiles_of
from hsilib.training.device import exact_convolutions, find_device

DEFAULT_SIDE = 512
MANIFEST = "manifest.json"
LARGEST_LABEL = 255


@dataclass(frozen=True)
class Job:
    """What a process must know to do a tile; every path is absolute.

    Attributes
    ----------
    checkpoint, source : the model's file and the image. sha256 : of the model's file.
    network : the module that defines the model's class, which a worker imports: it knows the networks of hsilib alone.
    tiles : folder of the finished tiles. device : as for `find_device`.
    """

    checkpoint: Path
    sha256: str
    network: str
    source: str
    tiles: Path
    device: str

    def tile(self, window: Window) -> Path:
        """The file of a finished tile."""
        return self.tiles / f"{window.row_start}-{window.col_start}.npy"


def classify_raster(
    checkpoint: str | Path,
    source: str | Path,
    target: str | Path,
    tile: int = DEFAULT_SIDE,
    scheduler: str | None = None,
    device: str = "auto",
) -> Path:
    """Write the class map of an image as GeoTIFF; return its path.

    The labels are those of `predict_logits` on the whole image, for any size of tiles. Finished tiles lie in the
    folder ``target`` + ``.tiles`` until the map is written.

    Parameters
    ----------
    checkpoint : a file of `save_model`. source : see `open_raster`. target : ``.tif`` or ``.tiff``.
    tile : side of a tile in pixels, rounded up to a multiple of ``hsilib.inference.dense.TILE``.
    scheduler : None does one tile after the other in this process; otherwise see `hsilib.cluster.connect`. All
        processes must see the three paths.
    device : ``auto`` (CUDA when found), ``cpu`` or ``cuda``.

    Raises
    ------
    InputError : anything about the files, the scheduler or the device that cannot be used.
    """
    checkpoint, target = Path(checkpoint).absolute(), Path(target).absolute()
    find_device(device)  # complains here rather than in a worker
    model, class_names = load_model(checkpoint), read_class_names(checkpoint)
    path, variable = find_raster(source)
    _check_target(target, {"checkpoint": checkpoint, "input": path})
    with open_raster(source) as image:
        _check_bands(model, image, path)
    side = -(-max(tile, 1) // TILE) * TILE
    windows = tiles_of(*image.shape[:2], side)
    place = f"{path.absolute()}:{variable}" if variable else str(path.absolute())
    tiles = target.with_name(f"{target.name}.tiles")
    job = Job(checkpoint, _sha256(checkpoint), type(model).__module__, place, tiles, device)
    _begin(job.tiles, {"checkpoint": job.sha256, "source": place, "files": _state(path), "tile": side})
    todo = [window for window in windows if not _is_finished(job.tile(window), window)]
    if len(todo) < len(windows):
        print(f"{len(windows) - len(todo)} of {len(windows)} tiles are finished already", file=sys.stderr)
    with progress(len(windows), "predict", "tile", done=len(windows) - len(todo)) as bar:
        for _ in _finish_tiles(job, todo, scheduler):
            bar.update()
    # Only now: it needs an optional package, which `open_raster` has found.
    from hsilib.rasters.geotiff_map import write_raster_map

    write_raster_map(target, partial(_labels, job, side), image, class_names, job.tiles)
    shutil.rmtree(job.tiles)
    return target


def _finish_tiles(job: Job, windows: list[Window], scheduler: str | None) -> Iterator[None]:
    """Here or elsewhere; yields once a tile."""
    if scheduler is None:
        for window in windows:
            finish_tile(job, window)
            yield
    elif windows:
        with connect(scheduler) as client:
            for _ in run_tasks(client, partial(finish_tile, job), windows):
                yield


@exact_convolutions()
def finish_tile(job: Job, window: Window) -> None:
    """Label one tile and write its file; doing it twice does no harm."""
    import_module(job.network)
    model = _model(job.checkpoint, job.sha256, job.device)
    with open_raster(job.source) as image:
        labels = classify_window(model, image, window)
    with write_atomically(job.tile(window)) as stream:
        np.save(stream, labels)


@lru_cache(maxsize=1)
def _model(checkpoint: Path, sha256: str, device: str) -> Network:
    """The model of a file with these bytes, kept by a process for its next tile."""
    return load_model(checkpoint, find_device(device))


def _check_target(target: Path, inputs: dict[str, Path]) -> None:
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{target}: the map is written as GeoTIFF; name it ….tif.")
    if target.is_dir():
        raise InputError(f"{target}: a folder; name a file.")
    for what, path in inputs.items():
        if target.exists() and target.samefile(path):
            raise InputError(f"{target}: the output is the {what}, which would be lost; name another file.")
    ensure_writable(target.parent)


def _check_bands(model: Network, image: Raster, path: Path) -> None:
    if image.shape[2] != model.n_bands:
        raise InputError(f"{path}: {image.shape[2]} bands; the model was trained on {model.n_bands}.")
    if model.n_classes > LARGEST_LABEL:
        raise InputError(f"the model has {model.n_classes} classes; a map of one byte a pixel holds {LARGEST_LABEL}.")


def _begin(tiles: Path, manifest: dict[str, Any]) -> None:
    """Make the folder of finished tiles, or keep it where it belongs to the same model, image and tiles."""
    path, content = tiles / MANIFEST, json.dumps(manifest, indent=1).encode()
    if tiles.exists():
        if not path.is_file():
            raise InputError(f"{tiles}: there is no {MANIFEST} in it, so it is not of hsilib; move it away.")
        if path.read_bytes() == content:
            return
        print(f"{tiles}: tiles of another model, image or size; starting anew", file=sys.stderr)
        shutil.rmtree(tiles)
    with write_atomically(path) as stream:
        stream.write(content)


def _state(path: Path) -> list[int]:
    """Number of files, bytes and time of the last change: what shows that an image is another one."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    states = [file.stat() for file in files]
    return [len(states), sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_finished(path: Path, window: Window) -> bool:
    """A tile that a failing disk cut short does not count."""
    try:
        return np.load(path, mmap_mode="r").shape == window.shape
    except (OSError, ValueError, EOFError):
        return False


def _labels(job: Job, side: int, window: Window) -> NDArray[np.uint8]:
    """Labels of any window, from the tiles that it touches."""
    labels = np.empty(window.shape, dtype=np.uint8)
    for top in range(window.row_start // side * side, window.row_stop, side):
        for left in range(window.col_start // side * side, window.col_stop, side):
            tile = np.load(job.tiles / f"{top}-{left}.npy", mmap_mode="r")
            rows, cols = max(top, window.row_start), max(left, window.col_start)
            part = tile[rows - top : window.row_stop - top, cols - left : window.col_stop - left]
            row, col = rows - window.row_start, cols - window.col_start
            labels[row : row + part.shape[0], col : col + part.shape[1]] = part
    return labels
