"""Windows of an image on disk get the labels that the whole image in memory gets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hsilib.inference.dense import TILE, predict_logits
from hsilib.model.network import Network
from hsilib.rasters.raster import Raster, Window
from hsilib.rasters.window import classify_window, tiles_of
from tests.helpers import undecided_model

BANDS = 3
RADIUS = 2  # of SMALL's patches


@pytest.fixture(scope="module")
def model() -> Network:
    return undecided_model(random_cube(30, 30), n_classes=4)


def random_cube(rows: int, cols: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(100, 15, (rows, cols, BANDS)).astype(np.float32)


def raster_of(cube: NDArray[np.generic], nodata: float | None = None) -> Raster:
    def read(window: Window) -> NDArray[np.generic]:
        assert min(window) >= 0
        assert window.row_stop <= cube.shape[0]
        assert window.col_stop <= cube.shape[1]
        return cube[window.row_start : window.row_stop, window.col_start : window.col_stop]

    rows, cols, bands = cube.shape
    return Raster((rows, cols, bands), cube.dtype, None, None, nodata, read)


def in_tiles(model: Network, raster: Raster, side: int) -> NDArray[np.uint8]:
    labels = np.full(raster.shape[:2], 255, dtype=np.uint8)
    for window in tiles_of(*raster.shape[:2], side):
        labels[window.row_start : window.row_stop, window.col_start : window.col_stop] = classify_window(
            model, raster, window
        )
    return labels


def in_memory(model: Network, cube: NDArray[np.generic]) -> NDArray[np.uint8]:
    return (predict_logits(model, cube).argmax(dim=2) + 1).to(torch.uint8).numpy()


@pytest.mark.parametrize("side", [TILE, 2 * TILE])
@pytest.mark.parametrize("shape", [(2 * TILE + 9, TILE + 1), (TILE, 40), (1, 2 * TILE + 1), (2, 1), (1, 1)])
def test_tiles_of_any_size_give_the_labels_of_the_whole(model: Network, shape: tuple[int, int], side: int) -> None:
    cube = random_cube(*shape)
    whole = in_memory(model, cube)
    assert whole.size < 10 or len(np.unique(whole)) == 4
    np.testing.assert_array_equal(in_tiles(model, raster_of(cube), side), whole)


def test_integers_are_read_as_they_are(model: Network) -> None:
    cube = random_cube(20, 9).astype(np.int16)
    np.testing.assert_array_equal(in_tiles(model, raster_of(cube), TILE), in_memory(model, cube))


@pytest.mark.parametrize("hole", [np.nan, np.inf, -9999.0])
def test_no_data_stays_no_data_and_does_not_spread(model: Network, hole: float) -> None:
    """One band is enough; in the neighbours' patches the band means stand in its place."""
    cube = random_cube(TILE + 20, 30)
    filled, holed = cube.copy(), cube.copy()
    missing = np.zeros(cube.shape[:2], dtype=bool)
    missing[TILE - 3 : TILE + 4, 5:12] = missing[0, 0] = missing[-1, 29] = True
    holed[missing, 1] = hole
    filled[missing] = model.band_mean.numpy()
    labels = in_tiles(model, raster_of(holed, nodata=-9999.0), TILE)
    np.testing.assert_array_equal(labels == 0, missing)
    np.testing.assert_array_equal(labels[~missing], in_memory(model, filled)[~missing])
    far = ~np.pad(missing, RADIUS)[
        np.arange(cube.shape[0])[:, None, None, None] + np.arange(2 * RADIUS + 1)[:, None],
        np.arange(cube.shape[1])[:, None, None] + np.arange(2 * RADIUS + 1),
    ].any(axis=(2, 3))
    assert 0 < far.sum() < far.size
    np.testing.assert_array_equal(labels[far], in_memory(model, cube)[far])


def test_no_data_of_integers(model: Network) -> None:
    cube = random_cube(8, 8).astype(np.uint16)
    cube[2, 3] = 0
    np.testing.assert_array_equal(in_tiles(model, raster_of(cube, nodata=0), TILE) == 0, (cube == 0).any(axis=2))
    assert in_tiles(model, raster_of(cube, nodata=-9999.0), TILE).min() > 0
    assert in_tiles(model, raster_of(cube), TILE).min() > 0


def test_tiles_cover_the_image_once() -> None:
    counts = np.zeros((2 * TILE + 3, TILE), dtype=int)
    for window in tiles_of(*counts.shape, TILE):
        counts[window.row_start : window.row_stop, window.col_start : window.col_stop] += 1
    assert (counts == 1).all()


@pytest.mark.parametrize("side", [0, TILE - 1, TILE + 1])
def test_tiles_off_the_grid_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="off the grid"):
        tiles_of(100, 100, side)
