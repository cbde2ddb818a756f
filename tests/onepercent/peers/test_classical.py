"""Superpixels, geodesic distances, morphological profiles, means at several scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra
from sklearn.decomposition import PCA

from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.method import MethodOptions
from onepercent.peers.classical import geodesic_1nn
from onepercent.peers.classical.coordinates_1nn import Coordinates1NNOptions
from onepercent.peers.classical.geodesic_1nn import Geodesic1NNOptions, step_costs
from onepercent.peers.classical.superpixels import fit_components, segment_means, superpixels
from onepercent.peers.classical.svm_emp import SvmEmpOptions, morphological_profile
from onepercent.peers.classical.svm_multiscale import SvmMultiscaleOptions
from tests.helpers import scene_of, separable_scene, split_of

CPU = torch.device("cpu")
ALONE = {"costs": (10.0,), "gammas": (1.0,)}


def fitted(options: MethodOptions, scene: Scene, split: Split) -> Any:
    method = options.build(CPU)
    method.fit(scene.without_ground_truth(), split.hide_test_labels(), torch.Generator().manual_seed(0))
    return method


def class_map(options: MethodOptions, scene: Scene, split: Split) -> NDArray[np.int64]:
    return np.asarray(fitted(options, scene, split).predict_proba(scene).argmax(axis=-1) + 1)


# --- superpixels


def test_components_are_those_of_scikit_learn_and_fewer_where_there_are_fewer(tiny: Scene) -> None:
    spectra = Standardizer.fit(tiny.cube).apply(tiny.cube).reshape(-1, tiny.n_bands)
    expected = PCA(3, whiten=True).fit_transform(spectra)
    found = fit_components(tiny.cube, 3).apply(tiny.cube).reshape(-1, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=0.01)
    ramp = np.arange(20.0).reshape(4, 5, 1) * [1.0, 2.0, 5.0]
    assert fit_components(ramp, 3).apply(ramp).shape == (4, 5, 1)


def test_segment_means() -> None:
    values = np.arange(12.0).reshape(2, 3, 2)
    segments = np.array([[0, 0, 1], [2, 0, 1]])
    assert segment_means(values, segments).tolist() == [[10 / 3, 13 / 3], [7, 8], [6, 7]]


def test_superpixels_follow_edges_and_have_about_the_size() -> None:
    labels = np.kron([[0, 1], [1, 0]], np.ones((20, 20)))
    image = np.stack([labels, 1 - labels], axis=-1).astype(np.float32)
    segments = superpixels(image, 50)
    assert segments.min() == 0
    assert 20 <= len(np.unique(segments)) == segments.max() + 1 <= 50
    means = segment_means(image, segments)
    assert ((means < 1e-6) | (means > 1 - 1e-6)).all(), "a superpixel crosses an edge"


# --- geodesic-1nn


def test_step_costs_of_three_by_two_pixels() -> None:
    spectra = np.array([[[0, 0], [0, 2]], [[4, 0], [0, 0]], [[0, 0], [0, 0]]], dtype=np.float32)
    graph = step_costs(spectra, 3.0).toarray()
    rms = np.sqrt(np.square(spectra.reshape(6, 1, 2) - spectra.reshape(1, 6, 2)).mean(axis=-1))
    rows, cols = np.divmod(np.arange(6), 2)
    steps = np.hypot(rows[:, None] - rows, cols[:, None] - cols)
    expected = np.where((steps > 0) & (steps < 1.5), steps * (1 + 3 * rms), 0)
    np.testing.assert_allclose(graph + graph.T, expected, rtol=1e-6)


def test_without_contrast_the_way_is_that_of_a_chess_board() -> None:
    distances = dijkstra(step_costs(np.zeros((7, 9, 2), dtype=np.float32), 5.0), directed=False, indices=9 * 2 + 3)
    rows, cols = np.abs(np.indices((7, 9)) - np.array([2, 3])[:, None, None])
    octile = np.maximum(rows, cols) + (np.sqrt(2) - 1) * np.minimum(rows, cols)
    np.testing.assert_allclose(distances.reshape(7, 9), octile)


def spiral(more: bool = False) -> tuple[Scene, Split]:
    """Two long winding fields: the label nearest in a straight line is often the other one's."""
    labels = np.ones((21, 21), dtype=np.uint8)
    for row in range(2, 19, 4):
        labels[row : row + 2, 1 if row % 8 == 2 else 0 : 21 if row % 8 == 2 else 20] = 2
    generator = np.random.default_rng(0)
    cube = np.where(labels[..., None] == 1, [100.0, 500.0], [900.0, 200.0]) + generator.normal(0, 1, (21, 21, 2))
    scene = scene_of(labels, cube=cube)
    train = [0, *(row * 21 + 10 for row in range(2, 19, 4))]
    if more:
        train = sorted([*train, *(row * 21 + 10 for row in range(4, 19, 4))])
    rest = np.setdiff1d(np.arange(441), train)
    return scene, split_of(scene, train, rest[::9], np.setdiff1d(rest, rest[::9]))


def test_geodesic_1nn_goes_around_what_a_straight_line_crosses() -> None:
    scene, split = spiral()
    alone = Geodesic1NNOptions(pixels_per_segment=(1,), contrasts=(1000.0,))
    assert np.array_equal(class_map(alone, scene, split), scene.ground_truth)
    method = fitted(Geodesic1NNOptions(pixels_per_segment=(1,), contrasts=(0.0, 1000.0)), *spiral(more=True))
    assert method.details()["chosen"] == {"pixels_per_segment": 1, "contrast": 1000.0}
    accuracy = method.details()["cross_validated_accuracy"]
    # Of the second class every field has one training pixel, which no other can stand for.
    assert accuracy["1, 0"] < accuracy["1, 1000"]
    assert (class_map(Coordinates1NNOptions(), scene, split) == scene.ground_truth).mean() < 0.8


def test_geodesic_1nn_keeps_the_first_of_equals_and_needs_no_validation() -> None:
    scene, split = spiral()
    empty = np.zeros(0, dtype=np.int64)
    bare = Split("s", scene.shape, split.train, empty, split.test, split.train_labels, empty, split.test_labels)
    method = fitted(Geodesic1NNOptions(pixels_per_segment=(1,), contrasts=(1000.0, 2000.0)), scene, bare)
    assert len(set(method.details()["cross_validated_accuracy"].values())) == 1
    assert method.details()["chosen"] == {"pixels_per_segment": 1, "contrast": 1000.0}


def test_geodesic_1nn_smooths_within_superpixels(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(geodesic_1nn, "step_costs", lambda *given: (seen.append(given), step_costs(*given))[1])
    fitted(Geodesic1NNOptions((1, 10), (30.0,)), tiny, make_split(tiny, "count:5", 0))
    spectra = Standardizer.fit(tiny.cube).apply(tiny.cube)
    segments = superpixels(fit_components(tiny.cube, 3).apply(tiny.cube), 10)
    assert segments.max() > 5
    for (values, contrast), expected in zip(seen, (spectra, segment_means(spectra, segments)[segments]), strict=True):
        assert contrast == 30
        np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        lambda: Geodesic1NNOptions(pixels_per_segment=()),
        lambda: Geodesic1NNOptions(pixels_per_segment=(0,)),
        lambda: Geodesic1NNOptions(contrasts=()),
        lambda: Geodesic1NNOptions(contrasts=(-1.0,)),
        lambda: SvmEmpOptions(n_components=0),
        lambda: SvmEmpOptions(radii=(0, 2)),
        lambda: SvmEmpOptions(costs=()),
        lambda: SvmMultiscaleOptions(windows=(2,)),
        lambda: SvmMultiscaleOptions(windows=(-1,)),
        lambda: SvmMultiscaleOptions(windows=(), pixels_per_segment=()),
        lambda: SvmMultiscaleOptions(pixels_per_segment=(0,)),
        lambda: SvmMultiscaleOptions(folds=1),
    ],
)
def test_settings_out_of_range(options: Any) -> None:
    with pytest.raises(InputError):
        options()


# --- svm-emp


def test_a_profile_removes_what_is_smaller_than_the_disc_and_keeps_outlines() -> None:
    """Openings take a bright dot away and leave a square whole, corners included; closings take a dark dot."""
    image = np.zeros((40, 40), dtype=np.float32)
    image[5:20, 5:20] = 2.0
    image[30, 30] = 3.0
    image[30, 10] = -3.0
    profile = morphological_profile(image, (2, 4))
    assert profile.shape == (40, 40, 5)
    assert np.array_equal(profile[..., 2], image)
    without_bright, without_dark = image.copy(), image.copy()
    without_bright[30, 30] = without_dark[30, 10] = 0
    for closing in (0, 1):
        assert np.array_equal(profile[..., closing], without_dark)
    for opening in (3, 4):
        assert np.array_equal(profile[..., opening], without_bright)
    assert morphological_profile(image, (8,))[5, 5, 2] == 0, "the square is smaller than this disc"


def test_profiles_are_ordered_and_self_dual() -> None:
    image = np.random.default_rng(0).normal(size=(15, 17)).astype(np.float32)
    profile = morphological_profile(image, (1, 2, 3))
    assert (np.diff(profile, axis=-1) <= 0).all(), "closings fall to the image, openings from it"
    assert np.array_equal(profile, -morphological_profile(-image, (1, 2, 3))[..., ::-1])


def test_svm_emp_stacks_the_profiles_of_its_components(tiny: Scene) -> None:
    method = fitted(SvmEmpOptions(n_components=2, radii=(1, 3), **ALONE), tiny, make_split(tiny, "count:5", 0))
    features = method.features(tiny)
    assert features.shape == (*tiny.shape, 10)
    components = fit_components(tiny.cube, 2).apply(tiny.cube)
    assert np.array_equal(features[..., [2, 7]], components)
    assert method.details() == {"chosen": {"C": 10.0, "gamma_factor": 1.0}}


# --- svm-multiscale


def test_multiscale_features_are_means(tiny: Scene) -> None:
    options = SvmMultiscaleOptions(n_components=2, windows=(1, 3), pixels_per_segment=(20,), **ALONE)
    features = fitted(options, tiny, make_split(tiny, "count:5", 0)).features(tiny)
    components = fit_components(tiny.cube, 2).apply(tiny.cube)
    assert features.shape == (*tiny.shape, 6)
    assert np.array_equal(features[..., :2], components)
    np.testing.assert_allclose(features[7, 9, 2:4], components[6:9, 8:11].mean(axis=(0, 1)), atol=1e-5)
    segments = superpixels(components, 20)
    here = segments == segments[7, 9]
    np.testing.assert_allclose(features[7, 9, 4:], components[here].mean(axis=0), atol=1e-5)


def test_coordinates_weigh_as_much_as_everything_else(tiny: Scene) -> None:
    options = SvmMultiscaleOptions(n_components=3, windows=(1, 3), pixels_per_segment=(), coordinates=True, **ALONE)
    features = fitted(options, tiny, make_split(tiny, "count:5", 0)).features(tiny)
    assert features.shape == (*tiny.shape, 6 + 6)
    assert np.array_equal(features[5, 7, 6:], [5, 7] * 3)


def test_only_coordinates_tell_two_fields_of_the_same_crop_apart() -> None:
    labels = np.repeat([1, 2, 3], 10)[None].repeat(20, axis=0).astype(np.uint8)
    spectra = np.array([[100.0, 500, 300], [900, 200, 800], [100, 500, 300]])
    cube = spectra[labels - 1] + np.random.default_rng(0).normal(0, 5, (20, 30, 3))
    scene = scene_of(labels, cube=cube)
    split = make_split(scene, "count:15", 0)
    accuracies = [
        (class_map(SvmMultiscaleOptions(coordinates=on), scene, split) == labels).mean() for on in (False, True)
    ]
    assert accuracies[0] < 0.93
    assert accuracies[1] > 0.95


@pytest.mark.parametrize("options", [SvmEmpOptions(**ALONE), SvmMultiscaleOptions(**ALONE)], ids=["emp", "multiscale"])
def test_stripes(options: MethodOptions) -> None:
    scene = separable_scene(20, 24)
    assert (class_map(options, scene, make_split(scene, "count:8", 0)) == scene.ground_truth).mean() > 0.9


def test_an_extreme_pixel_does_not_turn_superpixels_into_squares() -> None:
    """Two halves that differ by 1, and one pixel of 1000: no segment crosses the border."""
    image = np.zeros((40, 40, 2), dtype=np.float32)
    image[:, 20:] = 1
    image[3, 3] = 1000
    segments = superpixels(image, 64)
    assert not set(np.unique(segments[:, :20])) & set(np.unique(segments[:, 20:]))
