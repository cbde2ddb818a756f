"""Patches against the definition: mirror the borders, cut the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsilib.data.patches import PatchSampler, padded_scene, reflected_indices

CPU = torch.device("cpu")


def mirrored(i: int, length: int) -> int:
    """Index i of an endless axis that turns back at both ends without repeating them."""
    if length == 1:
        return 0
    i %= 2 * (length - 1)
    return min(i, 2 * (length - 1) - i)


@given(st.integers(1, 12), st.integers(0, 30))
def test_indices_mirror_an_axis_at_its_ends(length: int, radius: int) -> None:
    expected = [mirrored(i, length) for i in range(-radius, length + radius)]
    assert reflected_indices(length, radius).tolist() == expected


@given(
    rows=st.integers(1, 8),
    cols=st.integers(1, 8),
    bands=st.integers(1, 4),
    radius=st.integers(0, 11),
    dtype=st.sampled_from(["uint16", "<i2", ">f4", "float64"]),
    seed=st.integers(0, 99),
)
def test_every_patch_of_any_radius(rows: int, cols: int, bands: int, radius: int, dtype: str, seed: int) -> None:
    cube = np.random.default_rng(seed).integers(0, 9999, (rows, cols, bands)).astype(dtype)
    size = 2 * radius + 1
    patches = PatchSampler(cube, size, CPU)(torch.arange(rows * cols))
    assert patches.shape == (rows * cols, bands, size, size)
    assert patches.dtype == torch.float32
    for pixel in range(rows * cols):
        row, col = divmod(pixel, cols)
        window_rows = [mirrored(row + d, rows) for d in range(-radius, radius + 1)]
        window_cols = [mirrored(col + d, cols) for d in range(-radius, radius + 1)]
        expected = cube[window_rows][:, window_cols].transpose(2, 0, 1).astype(np.float32)
        assert np.array_equal(patches[pixel].numpy(), expected)


def test_pixels_come_in_the_order_asked_for() -> None:
    cube = np.arange(20.0).reshape(4, 5, 1)
    pixels = torch.tensor([7, 0, 19, 7])
    assert PatchSampler(cube, 3, CPU)(pixels)[:, 0, 1, 1].tolist() == [7, 0, 19, 7]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_middles_of_patches(size: int) -> None:
    cube = np.random.default_rng(0).normal(size=(6, 7, 3))
    sampler = PatchSampler(cube, 5, CPU)
    margin = (5 - size) // 2
    middle = slice(margin, 5 - margin)
    assert torch.equal(sampler(torch.arange(42), size), sampler(torch.arange(42))[:, :, middle, middle])


def test_an_even_patch_has_no_centre() -> None:
    with pytest.raises(ValueError, match="odd"):
        PatchSampler(np.zeros((4, 4, 1)), 4, CPU)


def test_the_padded_scene_does_not_share_memory_with_the_cube() -> None:
    cube = np.ones((3, 3, 2), dtype=np.float32)
    padded_scene(cube, 0, CPU).zero_()
    assert cube.all()
