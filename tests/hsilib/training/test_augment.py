"""Changes of patches: what is drawn against its distribution, what is applied against closed forms and SciPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from hsilib.data.orientation import N_ORIENTATIONS
from hsilib.data.patches import PatchSampler
from hsilib.errors import InputError
from hsilib.training.augment import (
    Augmentation,
    AugmentOptions,
    augment,
    draw_augmentation,
    draw_orientations,
    orient,
    smoothing_matrices,
)

N, S, P = 400, 30, 7
LOW, RANGE = torch.linspace(200, 900, S), torch.linspace(500, 5000, S)
UNDONE = [0, 3, 2, 1, 4, 5, 6, 7]  # the orientation that undoes each


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_patches(n: int = N, seed: int = 1) -> torch.Tensor:
    """(n, S, P, P) raw values in the memory layout of `PatchSampler`."""
    values = torch.rand((n, P, P, S), generator=seeded(seed))
    return (LOW + RANGE * values).permute(0, 3, 1, 2)


def drawn(n: int = N, seed: int = 0, **options: Any) -> Augmentation:
    return draw_augmentation(n, S, P, AugmentOptions(**{"probability": 1.0, **options}), seeded(seed))


def identity(n: int) -> Augmentation:
    zeros = torch.zeros(n)
    return Augmentation(zeros.long(), torch.ones(n, S), None, zeros)


def changed(patches: torch.Tensor, **changes: torch.Tensor) -> torch.Tensor:
    """`augment` with the identity but for ``changes``."""
    return augment(patches, Augmentation(**{**vars(identity(len(patches))), **changes}), LOW, RANGE)


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


def test_every_orientation_can_be_undone() -> None:
    patches = some_patches(16)
    orientations = torch.arange(16) % 8
    assert torch.equal(orient(orient(patches, orientations), torch.tensor(UNDONE)[orientations]), patches)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_each_patch_gets_its_own_orientation_and_the_input_stays(layout: torch.memory_format) -> None:
    patches = torch.randn(20, 3, 5, 5, generator=seeded()).contiguous(memory_format=layout)
    before = patches.clone()
    orientations = torch.arange(20) % 8
    turned = orient(patches, orientations)
    for i in range(20):
        assert torch.equal(turned[i], orient(patches[i : i + 1], orientations[i : i + 1])[0])
    assert torch.equal(patches, before)


def test_orientations_are_drawn_evenly_from_the_given_generator() -> None:
    first, second = (draw_orientations(8000, seeded(3)) for _ in range(2))
    assert torch.equal(first, second)
    counts = torch.bincount(first, minlength=8)
    assert counts.shape == (8,)
    assert counts.min() > 850


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_type_and_layout_stay_and_values_are_finite(dtype: torch.dtype) -> None:
    patches = some_patches().to(dtype)
    before = patches.clone()
    result = augment(patches, drawn(), LOW.to(dtype), RANGE.to(dtype))
    assert result.shape == patches.shape
    assert result.dtype == dtype
    assert result.stride() == patches.stride()
    assert result.isfinite().all()
    assert not torch.equal(result, before)
    assert torch.equal(patches, before)


def test_patches_of_a_scene_fit_together_with_its_band_ranges() -> None:
    cube = np.random.default_rng(0).integers(0, 60000, (9, 8, S)).astype(np.uint16)
    sampler = PatchSampler(cube, P, torch.device("cpu"))
    result = augment(sampler(torch.arange(72)), drawn(72), sampler.band_low, sampler.band_range)
    assert result.shape == (72, S, P, P)
    assert result.isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        {"probability": 0.0},
        {
            "orientation": False,
            "noise": 0.0,
            "dropped_bands": 0.0,
            "brightness": (1.0, 1.0),
            "smoothing_probability": 0.0,
        },
    ],
)
def test_zero_strength_is_the_identity_to_the_bit(options: dict[str, Any]) -> None:
    patches = some_patches()
    nothing = drawn(**options)
    assert not nothing.orientations.any()
    assert (nothing.gain == 1).all()
    assert nothing.noise is None or not nothing.noise.any()
    assert not nothing.smoothing.any()
    assert torch.equal(augment(patches, nothing, LOW, RANGE), patches)


def test_the_same_seed_draws_the_same_and_as_many_numbers_whatever_was_drawn() -> None:
    first, second, other = drawn(seed=4), drawn(seed=4), drawn(seed=5)
    for name, values in vars(first).items():
        assert torch.equal(values, vars(second)[name])
        assert not torch.equal(values, vars(other)[name])
    states = []
    for probability in (0.0, 0.8):
        generator = seeded()
        draw_augmentation(N, S, P, AugmentOptions(probability=probability), generator)
        states.append(generator.get_state())
    assert torch.equal(*states)


def test_the_order_of_the_draws() -> None:
    """Records were made with it: chosen, orientation, brightness, bands, their gains, smoothed, how much, noise."""
    draw, generator = drawn(16, seed=6, noise=0.5, dropped_bands=0.2), seeded(6)
    torch.rand(16, generator=generator)
    assert torch.equal(draw.orientations, torch.randint(8, (16,), generator=generator))
    brightness = 0.85 + 0.3 * torch.rand((16, 1), generator=generator)
    gain = torch.ones(16, S)
    bands = torch.rand((16, S), generator=generator).argsort(dim=1)[:, :6]
    gain.scatter_(1, bands, 0.5 + 0.4 * torch.rand((16, 6), generator=generator))
    assert torch.allclose(draw.gain, brightness * gain)
    smoothed = torch.rand(16, generator=generator) < 0.15
    assert torch.allclose(draw.smoothing, (0.3 + 0.4 * torch.rand(16, generator=generator)) * smoothed)
    assert draw.noise is not None
    assert torch.equal(draw.noise.permute(0, 2, 3, 1), 0.5 * torch.randn((16, P, P, S), generator=generator))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_noise_is_drawn_there_from_the_same_seed() -> None:
    options, device = AugmentOptions(1.0), torch.device("cuda")
    first, second, other = (draw_augmentation(N, S, P, options, seeded(seed), device).noise for seed in (3, 3, 4))
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.device.type == "cuda"
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert float(first.std()) == pytest.approx(0.03, rel=0.01)


def test_a_patch_is_changed_wholly_or_not_at_all() -> None:
    n = 4000
    draw = draw_augmentation(n, S, 1, AugmentOptions(probability=0.8), seeded())
    assert draw.noise is not None
    noisy = draw.noise.flatten(1).any(dim=1)
    assert noisy.float().mean() == pytest.approx(0.8, abs=0.03)
    assert torch.equal(noisy, (draw.gain != 1).any(dim=1))
    assert not draw.orientations[~noisy].any()
    assert not draw.smoothing[~noisy].any()
    counts = torch.bincount(draw.orientations[noisy], minlength=8)
    assert (counts / noisy.sum()).numpy() == pytest.approx(1 / 8, abs=0.03)
    assert (draw.smoothing[noisy] > 0).float().mean() == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize(("n_bands", "share", "count"), [(200, 0.1, 20), (103, 0.1, 10), (7, 1.0, 7), (4, 0.1, 0)])
def test_so_many_bands_are_scaled_down(n_bands: int, share: float, count: int) -> None:
    options = AugmentOptions(1.0, brightness=(1.0, 1.0), dropped_bands=share)
    gain = draw_augmentation(N, n_bands, 1, options, seeded()).gain
    scaled = gain < 1
    assert (scaled.sum(dim=1) == count).all()
    if count:
        assert gain[scaled].min() == pytest.approx(0.5, abs=0.01)
        assert gain[scaled].max() == pytest.approx(0.9, abs=0.01)
        assert scaled.any(dim=0).all()
        assert gain[scaled].unique().numel() > 0.99 * scaled.sum()
    assert (gain[~scaled] == 1).all()


def test_brightness_is_one_factor_a_patch_within_its_bounds() -> None:
    gain = drawn(dropped_bands=0.0).gain
    assert (gain == gain[:, :1]).all()
    assert gain.min() == pytest.approx(0.85, abs=0.01)
    assert gain.max() == pytest.approx(1.15, abs=0.01)
    assert gain[:, 0].mean() == pytest.approx(1, abs=0.02)


def test_gain_stretches_from_the_lowest_value_of_each_band() -> None:
    patches = some_patches()
    gain = drawn().gain
    scaled = changed(patches, gain=gain)
    low = LOW[:, None, None]
    expected = low.double() + gain[:, :, None, None].double() * (patches.double() - low)
    assert torch.allclose(scaled.double(), expected, rtol=1e-6, atol=0)
    darkest = LOW[None, :, None, None].expand(N, S, P, P)
    assert torch.allclose(changed(darkest, gain=gain), darkest, rtol=1e-6, atol=0)


def test_noise_has_the_stated_share_of_the_range_in_each_band() -> None:
    patches = some_patches()
    noise = drawn(noise=0.03).noise
    assert noise is not None
    added = changed(patches, noise=noise) - patches
    n_values = N * P * P
    ratio = added.transpose(0, 1).flatten(1).std(dim=1) / (0.03 * RANGE)
    assert ratio.numpy() == pytest.approx(1, abs=5 / np.sqrt(2 * n_values))
    in_units = added / RANGE[:, None, None] / 0.03
    assert in_units.mean() == pytest.approx(0, abs=5 / np.sqrt(S * n_values))
    neighbours = (in_units[:, 1:] * in_units[:, :-1]).mean(), (in_units[..., 1:] * in_units[..., :-1]).mean()
    assert [float(c) for c in neighbours] == pytest.approx([0, 0], abs=0.01)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.7, 2.0])
def test_smoothing_is_scipys_gaussian_filter(sigma: float) -> None:
    patches = some_patches(3)
    smoothed = changed(patches, smoothing=torch.full((3,), sigma))
    expected = gaussian_filter(patches.double().numpy(), sigma, axes=(2, 3), mode="mirror", radius=2)
    assert smoothed.numpy() == pytest.approx(expected, rel=1e-5)


def test_smoothing_touches_its_patches_alone_each_with_its_own_strength() -> None:
    patches = some_patches(4)
    sigma = torch.tensor([0.0, 0.3, 0.0, 0.7])
    smoothed = changed(patches, smoothing=sigma)
    assert torch.equal(smoothed[[0, 2]], patches[[0, 2]])
    for i in (1, 3):
        assert torch.allclose(smoothed[i], changed(patches[[i]], smoothing=sigma[[i]])[0])
        assert not torch.allclose(smoothed[i], changed(patches[[i]], smoothing=sigma[[4 - i]])[0])


@pytest.mark.parametrize("size", [1, 2, 3, 15])
def test_smoothing_keeps_constant_patches_of_any_size(size: int) -> None:
    blur = smoothing_matrices(torch.tensor([0.3, 0.7]), size)
    assert blur.shape == (2, size, size)
    assert torch.allclose(blur.sum(dim=2), torch.ones(2, size))
    constant = torch.full((size, size), 4321.0)
    assert torch.allclose(blur @ constant @ blur.mT, constant)


def test_noise_comes_last_and_gain_before_smoothing() -> None:
    patches = some_patches(8)
    draw = drawn(8, smoothing_probability=1.0)
    step_by_step = orient(patches, draw.orientations)
    step_by_step = changed(step_by_step, gain=draw.gain)
    step_by_step = changed(step_by_step, smoothing=draw.smoothing)
    assert draw.noise is not None
    step_by_step = changed(step_by_step, noise=draw.noise)
    assert torch.equal(augment(patches, draw, LOW, RANGE), step_by_step)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("probability", 1.1),
        ("dropped_bands", -0.1),
        ("smoothing_probability", float("nan")),
        ("noise", -0.01),
        ("noise", float("inf")),
        ("brightness", (1.2, 0.8)),
        ("brightness", (0.9,)),
        ("dropped_gain", ("a", "b")),
        ("smoothing_sigma", (0.0, 0.7)),
    ],
)
def test_wrong_strengths_are_named(name: str, value: Any) -> None:
    pairs = r"two numbers above 0, the smaller one first"
    wanted = pairs if isinstance(value, tuple) else "a number, at least 0" + " and at most 1" * (name != "noise")
    with pytest.raises(InputError, match=rf"^fit\.augment\.{name} is {re.escape(str(value))}; expected {wanted}\.$"):
        AugmentOptions(**{name: value})


def test_nothing_is_changed_by_default() -> None:
    assert AugmentOptions().probability == 0
