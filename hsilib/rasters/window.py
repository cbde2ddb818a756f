"""Labels of a part of an image on disk, equal to what the whole image in memory would give."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.patches import reflected_indices
from hsilib.inference.dense import TILE, predict_padded
from hsilib.model.network import Network
from hsilib.rasters.raster import Raster, Window


def tiles_of(rows: int, cols: int, side: int) -> list[Window]:
    """Cut an image into squares, those at its right and lower end less; ``side`` is a multiple of ``TILE``."""
    if side < 1 or side % TILE:
        raise ValueError(f"tiles of {side} pixels are off the grid of {TILE}.")
    return [
        Window(top, min(top + side, rows), left, min(left + side, cols))
        for top in range(0, rows, side)
        for left in range(0, cols, side)
    ]


def classify_window(model: Network, raster: Raster, window: Window) -> NDArray[np.uint8]:
    """Read a window with a margin of one patch radius and label its pixels.

    The margin is mirrored at the image's border only, so the labels are those of `predict_logits` on the whole
    image, pixel by pixel, for windows of `tiles_of`.

    A pixel of which any band is not finite or equals ``raster.nodata`` gets label 0. Inside its neighbours'
    patches the model's band means stand for its spectrum, which are 0 after standardisation.

    Returns
    -------
    (h, w) labels: 1…K, 0 for no data.

    Raises
    ------
    InputError : the file is damaged.
    """
    radius = model.patch_size // 2
    rows, cols = (
        reflected_indices(length, radius)[start : stop + 2 * radius]
        for length, start, stop in zip(raster.shape[:2], window[::2], window[1::2], strict=True)
    )
    block = raster.read(Window(rows.min(), rows.max() + 1, cols.min(), cols.max() + 1))
    block = block[np.ix_(rows - rows.min(), cols - cols.min())]
    values = np.ascontiguousarray(block, dtype=np.float32)
    missing = np.stack([_missing(*row, raster.nodata) for row in zip(block, values, strict=True)])
    values[missing] = model.band_mean.cpu().numpy()
    logits = predict_padded(model, torch.from_numpy(values).to(model.band_mean.device))
    labels = (logits.argmax(dim=2) + 1).to(torch.uint8).cpu().numpy()
    height, width = window.shape
    labels[missing[radius : radius + height, radius : radius + width]] = 0
    return labels


def _missing(stored: NDArray[np.generic], values: NDArray[np.float32], nodata: float | None) -> NDArray[np.bool_]:
    """(w,) whether a pixel of this row, (w, S) as stored and as float32, lacks any band."""
    missing = ~np.isfinite(values)
    if nodata is not None:
        missing |= np.equal(stored, nodata)
    return np.asarray(missing.any(axis=1))
