"""The peers: rules and classical classifiers behind the `Method` contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.method import Method, MethodOptions, one_hot
from hsilib.network_method import NetworkOptions
from onepercent.peers.classical.coordinates_1nn import Coordinates1NNOptions
from onepercent.peers.classical.random_forest import RandomForestOptions
from onepercent.peers.classical.spectrum_classifier import SpectrumClassifier
from onepercent.peers.classical.superpixel_vote import SuperpixelVoteOptions
from onepercent.peers.classical.svm import SvmOptions
from onepercent.peers.probe import ProbeOptions
from onepercent.peers.whole_image.method import WholeImageOptions
from onepercent.recipes import RECIPES, recipe
from tests.helpers import SMALL, scene_of, separable_scene, split_of

CPU = torch.device("cpu")


def fitted(options: MethodOptions, scene: Scene, split: Split, seed: int = 0) -> Any:
    method: Method = options.build(CPU)
    method.fit(scene.without_ground_truth(), split.hide_test_labels(), torch.Generator().manual_seed(seed))
    return method


def quick_options(name: str) -> MethodOptions:
    """The recipe's options with one epoch of everything, small where the recipe is large."""
    options = recipe(name).method
    if isinstance(options, NetworkOptions):
        small = {**SMALL, "patch_size": 9} if options.network == "dual-branch" else options.model
        schedule = replace(options.fit, epochs=1, warmup_epochs=1, least_steps=0)
        return replace(options, model=small, pretrain=replace(options.pretrain, epochs=1), fit=schedule)
    if isinstance(options, ProbeOptions):
        return replace(options, model=SMALL, pretrain=replace(options.pretrain, epochs=1))
    if isinstance(options, WholeImageOptions):
        return replace(options, fit=replace(options.fit, epochs=1))
    quick = {"svm": SvmOptions(costs=(1.0, 100.0), gammas=(0.2, 1.0)), "random-forest": RandomForestOptions(trees=10)}
    return quick.get(name, options)


@pytest.mark.parametrize("name", RECIPES)
def test_probabilities_of_every_recipes_method(name: str, tiny: Scene) -> None:
    options, scene = quick_options(name), tiny
    if isinstance(options, NetworkOptions) and options.network != "dual-branch":
        scene = separable_scene(14, 14, n_bands=32)  # as many bands as a recipe has components
    split = make_split(scene, "count:5", 0)
    first, second = (fitted(options, scene, split).predict_proba(scene) for _ in range(2))
    assert first.shape == (*scene.shape, scene.n_classes)
    assert first.dtype == np.float32
    assert (first >= 0).all()
    np.testing.assert_allclose(first.sum(axis=-1), 1, atol=1e-5)
    assert np.array_equal(first, second), "the same seed gave other probabilities"


def test_one_hot() -> None:
    assert one_hot(np.array([[2, 1], [3, 3]]), 3).tolist() == [[[0, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, 1]]]


# --- coordinates-1nn


@pytest.mark.parametrize("seed", range(3))
def test_coordinates_1nn_against_scikit_learn(seed: int, tiny: Scene) -> None:
    split = make_split(tiny, "percent:0.05", seed)
    class_map = fitted(Coordinates1NNOptions(), tiny, split).predict_proba(tiny).argmax(axis=-1) + 1
    pixels = np.indices(tiny.shape).reshape(2, -1).T
    neighbours = KNeighborsClassifier(1).fit(pixels[split.train], split.train_labels)
    # Where nearest training pixels of two classes are equally far, either answer is right.
    squared = ((pixels[:, None] - pixels[split.train][None]) ** 2).sum(axis=-1)
    nearest = squared == squared.min(axis=1, keepdims=True)
    decided = np.array([np.unique(split.train_labels[row]).size == 1 for row in nearest])
    assert decided.mean() > 0.8
    assert np.array_equal(class_map.ravel()[decided], neighbours.predict(pixels)[decided])
    assert np.array_equal(class_map.ravel()[split.train], split.train_labels)


def test_coordinates_1nn_needs_no_spectra(tiny: Scene) -> None:
    split = make_split(tiny, "count:3", 0)
    bare = Scene("bare", np.zeros((*tiny.shape, 0)), tiny.ground_truth, tiny.class_names)
    with_cube, without = (fitted(Coordinates1NNOptions(), s, split).predict_proba(s) for s in (tiny, bare))
    assert np.array_equal(with_cube, without)


# --- superpixel-vote


def clean_blocks(noise: float, places: tuple[int, ...] = (1,)) -> tuple[Scene, Split]:
    """4 × 5 blocks of 10 × 10 pixels, five classes, training pixels on the diagonal of each block."""
    layout = np.array([[1, 2, 3, 4, 5], [3, 4, 5, 1, 2], [5, 1, 2, 3, 4], [2, 3, 4, 5, 1]])
    labels = np.kron(layout, np.ones((10, 10), dtype=np.uint8)).astype(np.uint8)
    generator = np.random.default_rng(0)
    spectra = generator.uniform(100, 1000, (5, 6))
    scene = scene_of(labels, cube=spectra[labels - 1] + noise * generator.standard_normal((40, 50, 6)))
    corners = (axis.ravel() for axis in np.meshgrid(np.arange(0, 40, 10), np.arange(0, 50, 10), indexing="ij"))
    rows, cols = (np.concatenate([corner + place for place in places]) for corner in corners)
    train = np.sort(rows * 50 + cols)
    rest = np.setdiff1d(np.arange(2000), train)
    return scene, split_of(scene, train, rest[::7], np.setdiff1d(rest, rest[::7]))


def test_superpixel_vote_on_clean_blocks_is_perfect() -> None:
    scene, split = clean_blocks(noise=1.0)
    method = fitted(SuperpixelVoteOptions((100,)), scene, split)
    assert np.array_equal(method.predict_proba(scene).argmax(axis=-1) + 1, scene.ground_truth)
    by_distance = fitted(Coordinates1NNOptions(), scene, split).predict_proba(scene).argmax(axis=-1) + 1
    assert (by_distance == scene.ground_truth).mean() < 0.9  # so the borders come from the spectra


def test_superpixel_vote_keeps_the_size_that_is_best_on_training_pixels_held_out() -> None:
    """Three in each block, so that two are left to vote for the third; no validation pixel is looked at."""
    scene, split = clean_blocks(noise=1.0, places=(1, 5, 8))
    details = fitted(SuperpixelVoteOptions((1000, 100)), scene, split.without_validation()).details()
    scores = details["cross_validated_accuracy"]
    assert set(scores) == {100, 1000}
    assert scores[100] > scores[1000]
    assert details["chosen_pixels_per_segment"] == 100


def test_superpixel_vote_takes_the_majority_and_else_the_nearest_label() -> None:
    """Two stripes, one superpixel each: the majority of the labels wins, also over a label that is nearer."""
    labels = np.repeat([1, 2], 10)[None].repeat(10, axis=0).astype(np.uint8)
    generator = np.random.default_rng(0)
    cube = np.where(labels[..., None] == 1, [100, 500, 300], [900, 200, 800]) + generator.normal(0, 1, (10, 20, 3))
    scene = scene_of(labels, cube=cube)
    train, train_labels = np.array([0, 1, 2]), np.array([2, 1, 1])
    empty = np.zeros(0, dtype=np.int64)
    split = Split("s", scene.shape, train, empty, np.array([199]), train_labels, empty, np.array([2]))
    class_map = fitted(SuperpixelVoteOptions((100,)), scene, split).predict_proba(scene).argmax(axis=-1) + 1
    assert (class_map[:, :10] == 1).all()
    assert (class_map[:, 10:] == 1).all()  # no training pixel there; pixel 2 is the nearest to its centre


def test_superpixel_vote_on_spectra_of_rank_one() -> None:
    """Bands in proportion leave fewer principal components than are asked for."""
    labels = np.repeat([1, 2], 10)[None].repeat(20, axis=0).astype(np.uint8)
    scene = scene_of(labels, cube=labels[..., None] * np.array([1.0, 3.0, 7.0]))
    split = make_split(scene, "count:5", 0)
    class_map = fitted(SuperpixelVoteOptions(), scene, split).predict_proba(scene).argmax(axis=-1) + 1
    assert np.array_equal(class_map, labels)


# --- svm, random-forest


def without_class(split: Split, missing: int) -> Split:
    kept = split.train_labels != missing
    return Split(
        split.spec,
        split.shape,
        split.train[kept],
        split.val,
        split.test,
        split.train_labels[kept],
        split.val_labels,
        split.test_labels,
    )


PIXELWISE = [SvmOptions(costs=(1.0, 100.0), gammas=(0.2, 1.0)), RandomForestOptions(trees=10)]


def decisions(method: SpectrumClassifier, scene: Scene) -> NDArray[np.int64]:
    spectra = Standardizer.fit(scene.cube).apply(scene.cube).reshape(-1, scene.n_bands)
    return np.asarray(method._estimator.predict(spectra)).reshape(scene.shape)


@pytest.mark.parametrize("options", PIXELWISE, ids=["svm", "random-forest"])
@pytest.mark.parametrize("missing", [None, 1, 3])
def test_a_class_without_training_pixels_has_probability_zero(
    options: MethodOptions, missing: int | None, tiny: Scene
) -> None:
    split = make_split(tiny, "count:8", 0)
    if missing is not None:
        split = without_class(split, missing)
    method = fitted(options, tiny, split)
    probabilities = method.predict_proba(tiny)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    if missing is not None:
        assert not probabilities[..., missing - 1].any()
    class_map = probabilities.argmax(axis=-1) + 1
    assert np.array_equal(class_map, decisions(method, tiny))
    assert len(np.unique(class_map)) == (4 if missing is None else 3)


@pytest.mark.parametrize("options", PIXELWISE, ids=["svm", "random-forest"])
def test_two_classes(options: MethodOptions) -> None:
    """An SVM's decision function is one column then."""
    scene = separable_scene(n_classes=2)
    method = fitted(options, scene, make_split(scene, "count:8", 0))
    class_map = method.predict_proba(scene).argmax(axis=-1) + 1
    assert np.array_equal(class_map, scene.ground_truth)
    assert np.array_equal(class_map, decisions(method, scene))


def test_svm_with_a_single_training_pixel_of_a_class() -> None:
    scene = separable_scene()
    method = fitted(SvmOptions(), scene, make_split(scene, "count:1", 0))
    assert (method.predict_proba(scene).argmax(axis=-1) + 1 == scene.ground_truth).mean() > 0.9
    assert method.details() == {"chosen": {"C": 100.0, "gamma": "scale"}}
    assert {name: method._estimator.get_params()[name] for name in ("C", "gamma")} == method.details()["chosen"]


def test_svm_chooses_among_the_given_settings_on_training_pixels_alone(tiny: Scene) -> None:
    split = make_split(tiny, "count:8", 0)
    options = SvmOptions(costs=(1e-4, 100.0), gammas=(1e-6, 1.0))
    method = fitted(options, tiny, split)
    assert method.details()["chosen"] == {"C": 100.0, "gamma_factor": 1.0}
    estimator = method._estimator.best_estimator_
    assert estimator.gamma == pytest.approx(1 / tiny.n_bands)
    assert estimator.shape_fit_ == (len(split.train), tiny.n_bands)


def test_the_seed_decides_the_forest(tiny: Scene) -> None:
    split = make_split(tiny, "count:8", 0)
    options = RandomForestOptions(trees=10)
    first, second = (fitted(options, tiny, split, seed).predict_proba(tiny) for seed in (0, 1))
    assert not np.array_equal(first, second)
