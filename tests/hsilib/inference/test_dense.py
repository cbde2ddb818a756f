"""The property that makes dense inference honest: it equals patch-by-patch evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hsilib.data.patches import padded_scene
from hsilib.data.scene import Scene
from hsilib.data.standardize import Standardizer
from hsilib.inference.dense import (
    TILE,
    in_tiles,
    padded_windows,
    predict_logits,
    predict_logits_patchwise,
    predict_padded,
)
from hsilib.model.network import Network
from hsilib.registry import NETWORKS, create_model
from tests.helpers import SMALL, make_nontrivial

LARGEST_DIFFERENCE = 1e-4


def a_model(n_bands: int, n_classes: int, patch_size: int, seed: int) -> Network:
    torch.manual_seed(seed)
    small = {**SMALL, "patch_size": patch_size}
    model = make_nontrivial(create_model("dual-branch", n_bands, n_classes, **small), seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)  # so that the logits differ from pixel to pixel
    return model.train()  # a forgotten eval() must show


def random_cube(rows: int, cols: int, bands: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(100, 15, (rows, cols, bands)).astype(np.float32)


@given(
    rows=st.integers(1, 14),
    cols=st.integers(1, 14),
    bands=st.integers(1, 7),
    n_classes=st.integers(1, 5),
    patch_size=st.sampled_from([5, 7, 9, 15]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60)
def test_dense_equals_patch_by_patch(
    rows: int, cols: int, bands: int, n_classes: int, patch_size: int, seed: int
) -> None:
    """For other networks see ``test_a_window_holds_its_patches``."""
    model = a_model(bands, n_classes, patch_size, seed)
    cube = random_cube(rows, cols, bands, seed)
    dense = predict_logits(model, cube)
    by_patch = predict_logits_patchwise(model, cube)
    assert dense.shape == by_patch.shape == (rows, cols, n_classes)
    assert dense.dtype == torch.float32
    assert (dense - by_patch).abs().max() < LARGEST_DIFFERENCE


def test_the_example_is_one_where_pixels_differ() -> None:
    """Otherwise the property above would hold for a model that ignores its input."""
    logits = predict_logits(a_model(4, 3, 5, 0), random_cube(9, 8, 4, 0))
    assert logits.std(dim=(0, 1)).min() > 100 * LARGEST_DIFFERENCE


def test_the_full_model_on_the_tiny_scene_with_its_borders(tiny: Scene) -> None:
    torch.manual_seed(0)
    model = make_nontrivial(create_model("dual-branch", tiny.n_bands, tiny.n_classes))
    model.set_standardizer(Standardizer.fit(tiny.cube))
    dense, by_patch = predict_logits(model, tiny.cube), predict_logits_patchwise(model, tiny.cube)
    difference = (dense - by_patch).abs().amax(dim=2)
    inner = torch.zeros(tiny.shape, dtype=torch.bool)
    inner[7:-7, 7:-7] = True
    assert inner.any()
    assert difference[inner].max() < LARGEST_DIFFERENCE
    assert difference[~inner].max() < LARGEST_DIFFERENCE


def test_a_part_that_starts_on_the_grid_gives_the_same_numbers_to_the_bit() -> None:
    """What the raster writer relies on: its own tiles are whole tiles of this grid."""
    model, cube = a_model(3, 2, 7, 1), random_cube(2 * TILE + 9, 2 * TILE + 5, 3, 1)
    whole = predict_logits(model, cube)
    padded = padded_scene(cube, 3, torch.device("cpu"))
    for top, bottom, left, right in ((TILE, 2 * TILE, 0, TILE), (0, 2 * TILE, TILE, 2 * TILE + 5)):
        part = predict_padded(model, padded[top : bottom + 6, left : right + 6])
        assert torch.equal(part, whole[top:bottom, left:right])


@pytest.mark.parametrize("shape", [(2, TILE + 9), (TILE + 9, 2)])
def test_tiles_fit_together(shape: tuple[int, int]) -> None:
    model, cube = a_model(3, 2, 7, 1), random_cube(*shape, 3, 1)
    difference = predict_logits(model, cube) - predict_logits_patchwise(model, cube)
    assert difference.abs().max() < LARGEST_DIFFERENCE


@pytest.mark.parametrize("tile", [1, 3, 64])
def test_tiles_are_laid_side_by_side(tile: int) -> None:
    padded = torch.randn(11, 9, 2, generator=torch.Generator().manual_seed(0))
    inner = in_tiles(lambda x: x[:, :, 2:-2, 2:-2], padded, 4, tile)
    assert torch.equal(inner, padded[2:-2, 2:-2])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_grid_is_one_of_every_networks_own_tiles(name: str) -> None:
    assert TILE % NETWORKS[name].tile == 0


@pytest.mark.parametrize("shape", [(7, 5), (1, 6), (2, 1)])
def test_windows_are_those_of_the_padded_scene(shape: tuple[int, int]) -> None:
    """Also of integers and of a cube that runs backwards in memory."""
    cube = random_cube(*shape, 3, 0).astype(np.uint16)[::-1, ::-1]
    device = torch.device("cpu")
    padded, windows = padded_scene(cube, 4, device), padded_windows(cube, 4, device)
    for rows, cols in ((slice(0, 99), slice(0, 99)), (slice(2, 6), slice(1, 4))):
        assert torch.equal(windows(rows, cols), padded[rows, cols])


def test_integer_cubes_are_read_as_they_are(tiny: Scene) -> None:
    model = a_model(tiny.n_bands, 4, 5, 0)
    assert torch.equal(predict_logits(model, tiny.cube), predict_logits(model, tiny.cube.astype(np.float32)))
