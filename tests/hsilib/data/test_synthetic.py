"""The generated scene: what it promises about its spectra, its map, its mixing, its noise and its difficulty."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import nnls
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hsilib.data.materials import MATERIALS, MAX_CLASSES, endmembers
from hsilib.data.scene import Scene
from hsilib.data.synthetic import FULL_SCALE, PRESETS, SyntheticOptions, draw_regions, generate_scene
from hsilib.errors import InputError

MEDIUM = SyntheticOptions(120, 100, 40, 6, seed=3, region_size_px=24, imbalance=6)
STILL: dict[str, Any] = {
    "shading": 0,
    "pixel_illumination": 0,
    "variability": 0,
    "texture": 0,
    "read_noise": 0,
    "shot_noise": 0,
}
WHOLE_RANGE = np.arange(400.0, 2501.0, 5.0)


@pytest.fixture(scope="module")
def medium() -> Scene:
    return generate_scene(MEDIUM)


def border_distance(class_map: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    at_border = ndimage.maximum_filter(class_map, 3) != ndimage.minimum_filter(class_map, 3)
    return np.asarray(ndimage.distance_transform_edt(~at_border))


def draw_percent(ground_truth: NDArray[np.integer[Any]], percent: float, seed: int) -> NDArray[np.int64]:
    """Flat indices of a few training pixels, at least 3 per class."""
    generator, labels = np.random.default_rng(seed), ground_truth.ravel()
    drawn = []
    for label in range(1, labels.max() + 1):
        pixels = generator.permutation(np.flatnonzero(labels == label))
        drawn.append(pixels[: max(3, round(percent / 100 * pixels.size))])
    return np.concatenate(drawn)


def svm_accuracy(
    features: NDArray[np.floating[Any]], ground_truth: NDArray[np.integer[Any]], percent: float, seed: int
) -> float:
    labels = ground_truth.ravel()
    scaled = StandardScaler().fit_transform(features.reshape(labels.size, -1))
    train = draw_percent(ground_truth, percent, seed)
    test = np.setdiff1d(np.flatnonzero(labels), train)
    return float(SVC(C=100).fit(scaled[train], labels[train]).score(scaled[test], labels[test]))


def mean_within_region(
    cube: NDArray[np.floating[Any]], regions: NDArray[np.integer[Any]], size: int = 15
) -> NDArray[np.float32]:
    """(H, W, S) mean over the window's pixels that share the centre's region."""
    mean = np.zeros(cube.shape, dtype=np.float32)
    for label in np.unique(regions):
        inside = (regions == label)[:, :, None].astype(np.float32)
        total = ndimage.uniform_filter(cube * inside, (size, size, 1))
        share = ndimage.uniform_filter(inside, (size, size, 1))
        mean += inside * total / np.maximum(share, 1e-6)
    return mean


# --- what comes out ---------------------------------------------------------------------------


def test_shapes_types_and_names(medium: Scene) -> None:
    assert medium.cube.shape == (120, 100, 40)
    assert medium.cube.dtype == np.uint16
    assert medium.ground_truth.shape == (120, 100)
    assert medium.ground_truth.dtype == np.uint8
    assert medium.name == "synthetic"
    assert generate_scene(PRESETS["tiny"], name="toy").name == "toy"
    assert medium.wavelengths_nm is not None
    np.testing.assert_allclose(medium.wavelengths_nm[[0, -1]], (430, 860))
    assert medium.class_names == tuple(MATERIALS)[:6]
    assert 2000 < medium.cube.max() < 2 * FULL_SCALE


def test_presets_have_the_promised_sizes() -> None:
    pavia = PRESETS["pavia-like"]
    assert (pavia.rows, pavia.cols, pavia.n_bands, pavia.n_classes) == (610, 340, 103, 9)
    assert pavia.wavelength_range_nm == (430.0, 860.0)
    tiny = generate_scene(PRESETS["tiny"])
    assert tiny.cube.shape == (24, 20, 12)
    assert tiny.n_classes == 4


def test_tiny_is_quick() -> None:
    durations = []
    for seed in range(3):
        started = time.perf_counter()
        generate_scene(replace(PRESETS["tiny"], seed=seed))
        durations.append(time.perf_counter() - started)
    assert min(durations) < 0.2


def test_same_seed_same_bytes_other_seed_other_scene(medium: Scene) -> None:
    assert generate_scene(MEDIUM).sha256() == medium.sha256()
    other = generate_scene(replace(MEDIUM, seed=4))
    assert not np.array_equal(other.ground_truth, medium.ground_truth)
    assert not np.array_equal(other.cube, medium.cube)


def test_more_noise_keeps_the_map(medium: Scene) -> None:
    noisier = generate_scene(replace(MEDIUM, read_noise=0.05))
    np.testing.assert_array_equal(noisier.ground_truth, medium.ground_truth)
    assert not np.array_equal(noisier.cube, medium.cube)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_size(data: st.DataObject) -> None:
    n_classes = data.draw(st.integers(2, 30))
    rows = data.draw(st.integers(1, 40))
    cols = data.draw(st.integers(-(-2 * n_classes * 10 // rows), 2 * n_classes * 10 // rows + 40))
    n_bands = data.draw(st.integers(1, 20))
    options = SyntheticOptions(
        rows,
        cols,
        n_bands,
        n_classes,
        seed=data.draw(st.integers(0, 2**32)),
        wavelength_range_nm=data.draw(st.sampled_from([(430.0, 860.0), (400.0, 2500.0), (350.0, 351.0)])),
        region_size_px=data.draw(st.sampled_from([1.0, 5.0, 30.0, 500.0])),
        border_blur_px=data.draw(st.sampled_from([0.0, 0.7, 3.0])),
        imbalance=data.draw(st.sampled_from([1.0, 10.0, 1000.0])),
        unlabelled_fraction=data.draw(st.sampled_from([0.0, 0.5, 0.99])),
        n_dead_bands=data.draw(st.integers(0, n_bands - 1)),
    )
    scene = generate_scene(options)
    assert scene.cube.shape == (rows, cols, n_bands)
    assert scene.n_classes == n_classes == len(set(scene.class_names))
    assert scene.class_counts.min() >= options.min_labelled_per_class


# --- spectra ----------------------------------------------------------------------------------


def test_endmembers_are_reflectances_and_smooth() -> None:
    spectra, names = endmembers(WHOLE_RANGE, MAX_CLASSES)
    assert spectra.shape == (105, WHOLE_RANGE.size)
    assert len(set(names)) == MAX_CLASSES == 105
    assert spectra.min() > 0
    assert spectra.max() < 1
    # the red edge bends most: 0.36 of reflectance within a few 13 nm widths; a jump of 0.01 would fail
    assert np.abs(np.diff(spectra, n=2, axis=1)).max() < 0.008


def test_endmembers_differ_from_one_another() -> None:
    spectra, _ = endmembers(np.linspace(430, 860, 103), MAX_CLASSES)
    distance = np.linalg.norm(spectra[:, None] - spectra[None], axis=2) + np.eye(MAX_CLASSES)
    assert distance.min() > 1e-3


def test_vegetation_has_a_red_edge_and_drinks_water() -> None:
    spectra, names = endmembers(np.array([550.0, 670.0, 800.0, 1280.0, 1450.0, 1940.0]), len(MATERIALS))
    for name in ("meadow", "trees"):
        green, red, near_infrared, infrared, water, more_water = spectra[names.index(name)]
        assert near_infrared > 2 * red
        assert green > red
        assert water < 0.7 * infrared
        assert more_water < 0.5 * infrared
    steep = spectra[:, 2] > 2 * spectra[:, 1]
    assert {name for name, yes in zip(names, steep, strict=True) if yes} == {"meadow", "trees"}


def test_water_and_shadow_are_dark_and_metal_is_bright() -> None:
    spectra, names = endmembers(np.linspace(430, 860, 50), len(MATERIALS))
    brightness = dict(zip(names, spectra.mean(axis=1), strict=True))
    assert sorted(brightness, key=brightness.__getitem__)[:2] == ["clear water", "shadow"]
    assert max(brightness, key=brightness.__getitem__) == "painted metal"


def test_classes_beyond_the_materials_are_even_mixtures() -> None:
    spectra, names = endmembers(WHOLE_RANGE, len(MATERIALS) + 1)
    assert names[-1] == "asphalt and meadow"
    np.testing.assert_allclose(spectra[-1], (spectra[0] + spectra[1]) / 2)


@pytest.mark.parametrize("n_classes", [0, MAX_CLASSES + 1])
def test_endmembers_refuse_too_many_classes(n_classes: int) -> None:
    with pytest.raises(InputError, match="n_classes"):
        endmembers(WHOLE_RANGE, n_classes)


# --- mixing and light -------------------------------------------------------------------------


def abundances(options: SyntheticOptions) -> tuple[NDArray[np.float64], NDArray[np.integer[Any]]]:
    """(H, W, K) what non-negative least squares finds in the cube, summing to 1 per pixel, and the full map."""
    scene = generate_scene(replace(options, unlabelled_fraction=0))
    spectra, _ = endmembers(options.wavelengths_nm, options.n_classes)
    pixels = scene.cube.reshape(-1, scene.n_bands).astype(np.float64) / FULL_SCALE
    found = np.array([nnls(spectra.T, pixel)[0] for pixel in pixels])
    found /= found.sum(axis=1, keepdims=True)  # takes the illumination out
    return found.reshape(*scene.shape, -1), scene.ground_truth


def test_pixels_are_pure_inside_and_mixed_at_borders() -> None:
    options = replace(MEDIUM, rows=50, cols=50, n_classes=4, **{**STILL, "shading": 0.2, "pixel_illumination": 0.1})
    found, class_map = abundances(options)
    distance = border_distance(class_map)
    own = np.take_along_axis(found, class_map[:, :, None].astype(int) - 1, axis=2)[:, :, 0]
    assert own[distance > 5].size > 100
    assert own[distance > 5].min() > 0.97

    border = found[distance == 0]
    assert 0.4 < own[distance == 0].mean() < 0.9
    neighbours = np.stack([ndimage.maximum_filter(class_map == k + 1, 7) for k in range(4)], axis=2)[distance == 0]
    # a border pixel lies between its two endmembers
    only_two = neighbours.sum(axis=1) == 2
    outside = (border * ~neighbours).sum(axis=1)[only_two]
    assert outside.size > 50
    assert outside.mean() < 0.03
    assert np.sort(border[only_two], axis=1)[:, -2].mean() > 0.1


def test_no_blur_no_mixing() -> None:
    options = replace(MEDIUM, border_blur_px=0, unlabelled_fraction=0, **STILL)
    scene = generate_scene(options)
    spectra, _ = endmembers(options.wavelengths_nm, options.n_classes)
    expected = np.rint(FULL_SCALE * spectra)[scene.ground_truth.astype(int) - 1]
    assert np.abs(scene.cube - expected).max() <= 1


def test_illumination_scales_a_spectrum_and_variability_bends_it() -> None:
    def angles(**light: Any) -> NDArray[np.float64]:
        scene = generate_scene(replace(MEDIUM, border_blur_px=0, unlabelled_fraction=0, **{**STILL, **light}))
        spectra, _ = endmembers(MEDIUM.wavelengths_nm, MEDIUM.n_classes)
        pure, pixels = spectra[scene.ground_truth.astype(int) - 1], scene.cube.astype(np.float64)
        cosine = (pure * pixels).sum(axis=2) / np.linalg.norm(pure, axis=2) / np.linalg.norm(pixels, axis=2)
        return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    assert angles(shading=0.3, pixel_illumination=0.2).max() < 0.5
    assert angles(variability=0.05).mean() > 1
    assert angles(texture=0.05).mean() > 1


def test_shading_is_smooth_and_pixel_illumination_is_not() -> None:
    def neighbour_correlation(**light: Any) -> float:
        options = replace(MEDIUM, border_blur_px=0, unlabelled_fraction=0, **{**STILL, **light})
        dark = generate_scene(replace(options, shading=0, pixel_illumination=0)).cube[:, :, 20].astype(float)
        log_light = np.log(generate_scene(options).cube[:, :, 20] / dark)
        return float(np.corrcoef(log_light[:, 1:].ravel(), log_light[:, :-1].ravel())[0, 1])

    assert neighbour_correlation(shading=0.2) > 0.95
    assert abs(neighbour_correlation(pixel_illumination=0.2)) < 0.1


# --- noise ------------------------------------------------------------------------------------


def noise_deviation(**noise: Any) -> NDArray[np.float64]:
    """(K, S) standard deviation, in reflectance, of what noise alone adds to each class."""
    options = replace(MEDIUM, unlabelled_fraction=0, border_blur_px=0, **{**STILL, **noise})
    scene = generate_scene(options)
    return np.stack([scene.cube[scene.ground_truth == k + 1].std(axis=0) / FULL_SCALE for k in range(6)])


def test_read_noise_differs_between_bands_and_shot_noise_grows_with_the_signal() -> None:
    read = noise_deviation(read_noise=0.002).mean(axis=0)
    assert 0.0015 < read.mean() < 0.0025
    assert read.max() > 1.5 * read.min()
    shot = noise_deviation(shot_noise=0.02)
    spectra, _ = endmembers(MEDIUM.wavelengths_nm, 6)
    np.testing.assert_allclose(shot, 0.02 * np.sqrt(spectra), rtol=0.25)


def test_dead_bands_hold_noise_only() -> None:
    options = replace(MEDIUM, n_dead_bands=3)
    scene = generate_scene(options)
    dead, live = options.dead_bands, np.setdiff1d(np.arange(40), options.dead_bands)
    assert dead.tolist() == [37, 38, 39]

    def separation(band: int) -> float:
        """Largest class mean's distance from the overall mean, in standard errors."""
        values, labels = scene.cube[:, :, band].astype(float), scene.ground_truth
        means = np.array([values[labels == k + 1].mean() for k in range(6)])
        return float(np.abs((means - values.mean()) * np.sqrt(scene.class_counts) / values.std()).max())

    assert max(separation(band) for band in dead) < 4.5
    assert min(separation(band) for band in live) > 10
    assert all(10 < scene.cube[:, :, band].std() < 30 for band in dead)
    assert scene.cube[:, :, dead].max() < 0.1 * scene.cube[:, :, live].max()


def test_dead_bands_lie_at_water_vapour() -> None:
    options = replace(MEDIUM, n_bands=211, wavelength_range_nm=(400, 2500), n_dead_bands=15)
    centres = np.array([940, 1130, 1400, 1900, 2490])
    assert np.abs(options.wavelengths_nm[options.dead_bands][:, None] - centres).min(axis=1).max() <= 10
    assert options.dead_bands.size == 15


# --- map --------------------------------------------------------------------------------------


def test_unlabelled_share_and_borders_first() -> None:
    for share in (0.0, 0.3, 0.7):
        scene = generate_scene(replace(MEDIUM, unlabelled_fraction=share))
        assert abs((scene.ground_truth == 0).mean() - share) < 0.02
    full = generate_scene(replace(MEDIUM, unlabelled_fraction=0)).ground_truth
    labels = generate_scene(replace(MEDIUM, unlabelled_fraction=0.5)).ground_truth
    np.testing.assert_array_equal(full[labels > 0], labels[labels > 0])
    distance = border_distance(full)
    assert (labels[distance == 0] == 0).mean() > 0.9 > 0.6 > (labels[distance > 3] == 0).mean()


def test_labels_are_coherent_and_regions_as_wide_as_asked() -> None:
    for size in (10, 24, 40):
        options = replace(MEDIUM, rows=250, cols=250, region_size_px=size)
        regions = draw_regions(options, np.random.default_rng(0))
        changes = np.mean([np.mean(np.diff(regions, axis=axis) != 0) for axis in (0, 1)])
        assert 0.6 * size < 1 / changes < 1.6 * size  # mean length of a run of one class


def test_a_region_size_beyond_the_scene_still_gives_regions() -> None:
    options = replace(MEDIUM, rows=40, cols=30, region_size_px=3000, imbalance=1)
    regions = draw_regions(options, np.random.default_rng(0))
    assert np.mean(np.diff(regions, axis=0) == 0) > 0.85


def test_neighbouring_labelled_pixels_share_a_class(medium: Scene) -> None:
    first, second = medium.ground_truth[:, :-1], medium.ground_truth[:, 1:]
    both = (first > 0) & (second > 0)
    assert both.sum() > 3000
    assert (first == second)[both].mean() > 0.97


def test_imbalance_is_what_was_asked() -> None:
    for imbalance in (1.0, 5.0, 20.0):
        counts = generate_scene(replace(MEDIUM, rows=250, cols=250, imbalance=imbalance)).class_counts
        assert 0.75 * imbalance < counts.max() / counts.min() < 1.35 * imbalance


def test_every_class_keeps_its_minimum_where_the_rest_leaves_no_room() -> None:
    crowded = SyntheticOptions(30, 30, 5, 30, imbalance=1000, unlabelled_fraction=0.95, min_labelled_per_class=12)
    assert generate_scene(crowded).class_counts.min() == 12
    assert generate_scene(replace(PRESETS["tiny"], unlabelled_fraction=0.99)).class_counts.tolist() == [10] * 4


# --- difficulty -------------------------------------------------------------------------------


def test_spectra_carry_classes_and_context_helps(medium: Scene) -> None:
    regions = generate_scene(replace(MEDIUM, unlabelled_fraction=0)).ground_truth
    cube = medium.cube.astype(np.float32)
    pixelwise = svm_accuracy(cube, medium.ground_truth, 2, seed=0)
    averaged = svm_accuracy(mean_within_region(cube, regions), medium.ground_truth, 2, seed=0)
    majority = medium.class_counts.max() / medium.class_counts.sum()
    assert majority + 0.2 < pixelwise < 0.95
    assert averaged > pixelwise + 0.02


@pytest.mark.slow
def test_pavia_like_is_neither_easy_nor_hopeless() -> None:
    started = time.perf_counter()
    scene = generate_scene(PRESETS["pavia-like"])
    assert time.perf_counter() - started < 10
    accuracies = [svm_accuracy(scene.cube.astype(np.float32), scene.ground_truth, 1, seed) for seed in range(3)]
    assert min(accuracies) > 0.75
    assert max(accuracies) < 0.95


# --- bad options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_classes": 1}, "n_classes is 1; expected a whole number, at least 2 and at most 105"),
        ({"n_classes": 106}, "n_classes"),
        ({"n_bands": 0}, "n_bands"),
        ({"rows": 0}, "rows"),
        ({"cols": 20.5}, "cols is 20.5; expected a whole number"),
        ({"seed": -1}, "seed"),
        ({"rows": 8, "cols": 9}, "rows × cols is 8 × 9 = 72 pixels; 4 classes .* need 80. Make the area larger"),
        ({"n_dead_bands": 12}, "n_dead_bands is 12; expected a whole number, at least 0 and below 12"),
        ({"n_dead_bands": -1}, "n_dead_bands"),
        ({"unlabelled_fraction": 1.0}, "unlabelled_fraction"),
        ({"imbalance": 0.5}, "imbalance"),
        ({"min_labelled_per_class": 4}, "min_labelled_per_class"),
        ({"region_size_px": 0}, "region_size_px"),
        ({"border_blur_px": -1}, "border_blur_px"),
        ({"texture": float("nan")}, "texture is nan"),
        ({"shot_noise": "much"}, "shot_noise is much; expected a number, at least 0 and at most 1"),
        ({"wavelength_range_nm": (860, 430)}, "wavelength_range_nm is .* rising"),
        ({"wavelength_range_nm": (430, 14_000)}, "within 350…2500 nm"),
        ({"wavelength_range_nm": (430, 600, 860)}, "expected two"),
    ],
)
def test_bad_options_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PRESETS["tiny"], **change)
