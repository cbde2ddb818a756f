"""The masking pretext: masks of the stated size and form, a loss in closed form, everything in it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.pretraining.mr_ssl import MaskedPretext, draw_bands, draw_blocks, draw_masks, reconstruction_loss
from hsilib.registry import create_model
from tests.helpers import SMALL, scene_of

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pretext_of(scene: Scene, window: int = 3) -> MaskedPretext:
    torch.manual_seed(0)
    model = create_model("dual-branch", scene.n_bands, scene.n_classes, **SMALL)
    model.set_standardizer(Standardizer.fit(scene.cube))
    return MaskedPretext(model, PatchSampler(scene.cube, model.patch_size, CPU), window)


def runs(mask: torch.Tensor) -> list[int]:
    """Lengths of the runs of masked bands, from left to right."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.numpy().astype(int), [0]])))
    return [int(n) for n in np.diff(edges)[::2]]


@given(n_bands=st.integers(1, 60), data=st.data(), seed=st.integers(0, 9999))
def test_both_modes_mask_exactly_as_many_bands_as_asked(n_bands: int, data: st.DataObject, seed: int) -> None:
    n_masked = data.draw(st.integers(1, n_bands))
    for draw in (draw_bands, draw_blocks):
        mask = draw(n_masked, n_bands, seeded(seed))
        assert mask.shape == (n_bands,)
        assert mask.dtype == torch.bool
        assert int(mask.sum()) == n_masked


@given(n_bands=st.integers(1, 60), data=st.data(), seed=st.integers(0, 9999))
def test_blocks_are_at_most_three_runs_of_equal_length_give_or_take_one(
    n_bands: int, data: st.DataObject, seed: int
) -> None:
    n_masked = data.draw(st.integers(1, n_bands))
    lengths = runs(draw_blocks(n_masked, n_bands, seeded(seed)))
    assert 1 <= len(lengths) <= 3
    assert max(lengths) - min(lengths) <= 1


def test_one_two_and_three_blocks_are_as_frequent_and_lie_everywhere() -> None:
    generator = seeded()
    masks = torch.stack([draw_blocks(6, 20, generator) for _ in range(3000)])
    counts = np.bincount([len(runs(mask)) for mask in masks], minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 900
    covered = masks.float().mean(dim=0)
    assert covered.min() > 0.1
    single = torch.stack([mask for mask in masks if len(runs(mask)) == 1])
    starts = np.bincount(single.int().argmax(dim=1).numpy(), minlength=15)
    assert len(starts) == 15, "a block of 6 in 20 bands can start at 15 places"
    assert starts.min() > 0.5 * starts.mean()


def test_the_share_is_drawn_evenly_from_twenty_to_forty_percent_and_half_are_blocks() -> None:
    masks = draw_masks(2000, 200, seeded())
    masked = masks.sum(dim=1).numpy()
    assert (masked.min(), masked.max()) == (40, 80)
    assert np.bincount(masked)[41:80].min() > 20
    assert np.histogram(masked, bins=4, range=(40, 80))[0].min() > 430
    in_blocks = np.mean([len(runs(mask)) <= 3 for mask in masks])
    assert 0.46 < in_blocks < 0.54


def test_a_scene_of_two_bands_still_masks_one() -> None:
    assert draw_masks(50, 2, seeded()).sum(dim=1).tolist() == [1] * 50


def test_masks_come_from_the_generator() -> None:
    assert torch.equal(draw_masks(20, 30, seeded(3)), draw_masks(20, 30, seeded(3)))
    assert not torch.equal(draw_masks(20, 30, seeded(3)), draw_masks(20, 30, seeded(4)))


def test_the_loss_in_closed_form() -> None:
    """Errors 0.5, −0.3, 0, 0: MSE (0.25 + 0.09) / 4, L1 0.8 / 4."""
    target = torch.tensor([[0.1, 0.9, 0.4, 0.4]])
    predicted = target + torch.tensor([[0.5, -0.3, 0.0, 0.0]])
    assert reconstruction_loss(predicted, target).item() == pytest.approx(0.34 / 4 + 0.1 * 0.8 / 4)


def test_masked_bands_have_no_influence_and_visible_ones_do(tiny: Scene) -> None:
    pretext = pretext_of(tiny).eval()
    spectra = pretext.windows(torch.arange(100, 106))
    masks = draw_masks(6, tiny.n_bands, seeded())
    changed = torch.where(masks[:, :, None, None], spectra + 1000, spectra)
    with torch.inference_mode():
        assert torch.equal(pretext(spectra, masks), pretext(changed, masks))
        assert not torch.equal(pretext(spectra, masks), pretext(changed, ~masks))


def test_a_masked_band_is_seen_as_its_mean(tiny: Scene) -> None:
    pretext = pretext_of(tiny).eval()
    spectra = pretext.windows(torch.arange(100, 106))
    masks = draw_masks(6, tiny.n_bands, seeded())
    mean = torch.from_numpy(tiny.cube.reshape(-1, tiny.n_bands).mean(axis=0)).float()
    filled = torch.where(masks[:, :, None, None], mean[:, None, None], spectra)
    with torch.inference_mode():
        nothing = torch.zeros_like(masks)
        torch.testing.assert_close(pretext(spectra, masks), pretext(filled, nothing), atol=1e-5, rtol=0)


def test_targets_reach_from_zero_to_one_in_every_band() -> None:
    cube = np.random.default_rng(0).normal(500, 80, (9, 8, 4)).astype(np.float32)
    pretext = pretext_of(scene_of(np.ones((9, 8), dtype=np.uint8), cube=cube))
    scaled = pretext.scaled(torch.from_numpy(cube).permute(2, 0, 1)[None])[0]
    assert torch.equal(scaled.amin(dim=(1, 2)), torch.zeros(4))
    torch.testing.assert_close(scaled.amax(dim=(1, 2)), torch.ones(4))


@pytest.mark.parametrize("window", [1, 3, 5])
def test_the_windows_are_the_middles_of_the_patches(tiny: Scene, window: int) -> None:
    pretext = pretext_of(tiny, window)
    row, col = 11, 9
    found = pretext.windows(torch.tensor([row * tiny.shape[1] + col]))[0].permute(1, 2, 0).numpy()
    r = window // 2
    assert np.array_equal(found, tiny.cube[row - r : row + r + 1, col - r : col + r + 1].astype(np.float32))


def test_the_loss_is_over_all_bands_and_all_pixels_of_the_window(tiny: Scene) -> None:
    pretext = pretext_of(tiny)
    seen: list[torch.Tensor] = []
    pretext.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs, output]))
    loss = pretext.loss(torch.arange(50, 60), seeded())
    spectra, masks, predicted = seen
    assert masks.shape == (10, tiny.n_bands)
    error = (predicted - pretext.scaled(spectra)).detach().numpy()
    assert error.shape == (10, tiny.n_bands, 3, 3)
    assert loss.item() == pytest.approx((error**2).mean() + 0.1 * np.abs(error).mean(), rel=1e-5)


def test_shapes_of_the_described_head(tiny: Scene) -> None:
    model = create_model("dual-branch", tiny.n_bands, tiny.n_classes)
    pretext = MaskedPretext(model, PatchSampler(tiny.cube, 15, CPU))
    assert [tuple(p.shape) for p in pretext.head.parameters()] == [(tiny.n_bands, 160, 1, 1), (tiny.n_bands,)]
    output = pretext(pretext.windows(torch.arange(3)), draw_masks(3, tiny.n_bands, seeded()))
    assert output.shape == (3, tiny.n_bands, pretext.window, pretext.window)
    assert 0 < output.min() < output.max() < 1
    assert pretext.encoder is model.spectral


def test_every_parameter_gets_a_gradient(tiny: Scene) -> None:
    pretext = pretext_of(tiny)
    pretext.loss(torch.arange(40), seeded()).backward()
    for name, parameter in pretext.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_error_is_that_of_masked_bands_beside_the_band_means(tiny: Scene) -> None:
    pretext = pretext_of(tiny)
    pixels = torch.arange(30, 60)
    measured = pretext.measure(pixels, seeded(5))
    masks = draw_masks(30, tiny.n_bands, seeded(5))
    predicted, truth = pretext.reconstruct(pixels, masks)
    flat = tiny.cube.reshape(-1, tiny.n_bands).astype(np.float64)
    low, width = flat.min(axis=0), np.ptp(flat, axis=0)
    scaled = (flat[30:60] - low) / width
    np.testing.assert_allclose(truth.numpy(), scaled, atol=1e-5)
    hidden = masks.numpy()
    expected = np.sqrt(((predicted.numpy() - scaled)[hidden] ** 2).mean())
    trivial = np.sqrt((((flat.mean(axis=0) - low) / width - scaled)[hidden] ** 2).mean())
    assert measured == pytest.approx({"masked_rmse": expected, "band_mean_rmse": trivial}, rel=1e-4)


def test_a_network_without_a_spectral_encoder() -> None:
    model = Network(3, 2, 5)
    model.name = "shapes only"
    with pytest.raises(InputError, match=r"'shapes only' has no spectral encoder.*pretrain\.mr_ssl=False"):
        MaskedPretext.encoder_of(model)
