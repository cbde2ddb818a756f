"""Orientations of patches: the eight of the square, drawn apart from their application."""

from __future__ import annotations

import numpy as np
import torch

from hsilib.training.augment import N_ORIENTATIONS, draw_orientations, orient


def a_patch() -> torch.Tensor:
    return torch.arange(2 * 3 * 3.0).reshape(1, 2, 3, 3)


def test_every_orientation_in_closed_form() -> None:
    patch = a_patch()[0].numpy()
    for orientation in range(8):
        expected = np.rot90(patch, orientation % 4, axes=(1, 2))
        if orientation >= 4:
            expected = expected[:, :, ::-1]
        turned = orient(a_patch(), torch.tensor([orientation]))[0].numpy()
        assert np.array_equal(turned, expected)


def test_the_eight_orientations_are_distinct_and_keep_the_centre() -> None:
    all_eight = orient(a_patch().expand(8, -1, -1, -1), torch.arange(8))
    assert len({tuple(patch.flatten().tolist()) for patch in all_eight}) == N_ORIENTATIONS == 8
    assert torch.equal(all_eight[:, :, 1, 1], a_patch()[:, :, 1, 1].expand(8, -1))


def test_each_patch_gets_its_own_orientation_and_the_input_stays() -> None:
    patches = torch.randn(20, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    before = patches.clone()
    orientations = torch.arange(20) % 8
    turned = orient(patches, orientations)
    for i in range(20):
        assert torch.equal(turned[i], orient(patches[i : i + 1], orientations[i : i + 1])[0])
    assert torch.equal(patches, before)


def test_orientations_are_drawn_evenly_from_the_given_generator() -> None:
    first, second = (draw_orientations(8000, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    counts = torch.bincount(first, minlength=8)
    assert counts.shape == (8,)
    assert counts.min() > 850
