"""Encoders take a window larger than their output and look at nothing outside a pixel's own patch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from hsilib.model.dual_branch import SpatialEncoder, SpectralEncoder, box_mean


@given(
    rows=st.integers(1, 12),
    cols=st.integers(1, 12),
    radius=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_box_mean_is_scipys_uniform_filter_where_the_window_fits(rows: int, cols: int, radius: int, seed: int) -> None:
    size = 2 * radius + 1
    x = np.random.default_rng(seed).normal(size=(rows + 2 * radius, cols + 2 * radius))
    mean = box_mean(torch.from_numpy(x)[None, None], size)
    inner = np.s_[radius : radius + rows, radius : radius + cols]
    np.testing.assert_allclose(mean[0, 0].numpy(), uniform_filter(x, size)[inner], atol=1e-12)


def test_box_mean_of_one_window_is_the_global_average() -> None:
    x = torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(box_mean(x, 7)[:, :, 0, 0], x.mean(dim=(2, 3)), atol=1e-6)


@pytest.mark.parametrize("encoder_type", [SpectralEncoder, SpatialEncoder])
@pytest.mark.parametrize("patch_size", [5, 7, 15])
def test_an_encoder_sees_its_own_patch_and_nothing_else(
    encoder_type: type[SpectralEncoder | SpatialEncoder], patch_size: int
) -> None:
    torch.manual_seed(0)
    encoder = encoder_type(4, 8, patch_size).eval()
    x = torch.randn(1, 4, patch_size + 3, patch_size + 2, requires_grad=True)
    features = encoder(x)
    assert features.shape == (1, 8, 4, 3)
    features[0, :, 1, 2].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().amax(dim=0) > 0
    expected = torch.zeros_like(seen)
    expected[1 : 1 + patch_size, 2 : 2 + patch_size] = True
    assert torch.equal(seen, expected)


def test_the_spectral_branch_knows_no_shapes() -> None:
    """Pixels of a patch in another order give the same features: spectrum by spectrum, then a mean."""
    torch.manual_seed(0)
    encoder = SpectralEncoder(4, 8, 5).eval()
    patch = torch.randn(1, 4, 5, 5)
    shuffled = patch.flatten(2)[:, :, torch.randperm(25)].reshape(patch.shape)
    assert torch.allclose(encoder(patch), encoder(shuffled), atol=1e-6)


def test_the_spatial_branch_knows_shapes() -> None:
    torch.manual_seed(0)
    encoder = SpatialEncoder(4, 8, 5).eval()
    patch = torch.randn(1, 4, 5, 5)
    assert not torch.allclose(encoder(patch), encoder(patch.transpose(2, 3)), atol=1e-3)
