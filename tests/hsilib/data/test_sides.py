"""Splits that keep training and test apart: folds of blocks, whole fields."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.sides import block_numbers, field_sides, fold_sides, near
from hsilib.data.splits import make_split, make_splits
from hsilib.errors import InputError
from tests.helpers import scene_of


def fields_of(generator: np.random.Generator, rows: int = 60, cols: int = 50) -> NDArray[np.int64]:
    """Rectangles of three classes that do not touch, and one field of a fourth."""
    labels = np.zeros((rows, cols), dtype=np.int64)
    for i, top in enumerate(range(0, rows - 9, 10)):
        for j, left in enumerate(range(0, cols - 9, 10)):
            height, width = generator.integers(2, 8, 2)
            labels[top : top + height, left : left + width] = (i + j) % 3 + 1
    labels[rows - 3 :, cols - 3 :] = 4
    return labels


def mask_of(scene: Scene, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(scene.shape, dtype=bool)
    mask.ravel()[pixels] = True
    return mask


@given(seed=st.integers(0, 1000), n_groups=st.integers(2, 4), buffer=st.integers(0, 9))
def test_a_field_is_tested_once_and_never_trained_in_that_fold(seed: int, n_groups: int, buffer: int) -> None:
    generator = np.random.default_rng(seed)
    labels = fields_of(generator)
    sides = field_sides(labels, n_groups, buffer, generator)
    assert len(sides) == n_groups
    times_tested = sum(side.test.astype(int) for side in sides)
    for label in range(1, 4):
        fields, n_fields = scipy.ndimage.label(labels == label, structure=np.ones((3, 3)))
        assert (times_tested[labels == label] == (1 if n_fields > 1 else 0)).all()
        for field in range(1, n_fields + 1):
            for side in sides:
                assert side.test[fields == field].all() or not side.test[fields == field].any()
    assert not times_tested[labels == 4].any(), "a class of one field"
    assert not times_tested[labels == 0].any()
    for train, test in sides:
        assert not (train & near(test, buffer)).any()
        # Whatever is labelled and far enough away may train.
        assert np.array_equal(train, (labels > 0) & ~test & ~near(test, buffer))


def test_corners_touch() -> None:
    """Two squares that meet at a corner are one field, so the class cannot be tested."""
    labels = np.zeros((8, 8), dtype=int)
    labels[:4, :4] = labels[4:, 4:] = 1
    assert not any(side.test.any() for side in field_sides(labels, 2, 0, np.random.default_rng(0)))


def test_groups_are_of_like_size() -> None:
    labels = np.zeros((40, 40), dtype=int)
    labels[::4, ::4] = 1  # a hundred fields of one pixel
    for side in field_sides(labels, 4, 0, np.random.default_rng(0)):
        assert side.test.sum() == 25


@given(seed=st.integers(0, 1000), n_folds=st.integers(2, 6), buffer=st.integers(0, 16))
def test_each_pixel_is_tested_in_one_fold_far_from_its_training_side(seed: int, n_folds: int, buffer: int) -> None:
    shape = (100, 75)
    sides = fold_sides(shape, n_folds, buffer, np.random.default_rng(seed))
    assert np.array_equal(sum(side.test.astype(int) for side in sides), np.ones(shape))
    blocks = block_numbers(shape, 2 * buffer + 1)
    share = (blocks.max() + 1) // n_folds
    for train, test in sides:
        assert len(np.unique(blocks[test])) in (share, share + 1), "blocks are dealt out evenly"
        assert np.array_equal(train, ~near(test, buffer))


def test_no_two_patches_overlap_at_a_buffer_of_fourteen() -> None:
    scene = load_scene("indian-pines", with_cube=False)
    for split in make_splits(scene, "folds:5:14:percent:0.01", 0):
        assert split.leakage(15)["overlaps"] == 0
    for split in make_splits(scene, "fields:2:7:percent:0.01", 0):
        assert split.leakage(15)["contains"] == 0


@pytest.mark.parametrize("spec", ["fields:2:7:percent:0.01", "folds:5:14:percent:0.01", "folds:3:2:count:5"])
def test_folds_are_splits_of_their_own(spec: str) -> None:
    scene = load_scene("indian-pines", with_cube=False)
    splits = make_splits(scene, spec, 3)
    labels = scene.ground_truth.ravel()
    tested = np.concatenate([split.test for split in splits])
    assert np.unique(tested).size == tested.size
    never = set(range(1, 17)) - set(labels[tested])
    for split in splits:
        assert split.spec == spec
        assert set(split.untested_classes) == never
        assert set(split.test_labels) <= set(split.train_labels), "what is tested was trained"
        assert np.array_equal(split.train_labels, labels[split.train])
    again = make_splits(scene, spec, 3)
    assert all(np.array_equal(a.train, b.train) for a, b in zip(splits, again, strict=True))
    other = make_splits(scene, spec, 4)
    assert not all(np.array_equal(a.train, b.train) for a, b in zip(splits, other, strict=False))


def test_classes_of_one_field_are_named() -> None:
    scene = load_scene("indian-pines", with_cube=False)
    alone = [k for k in range(1, 17) if scipy.ndimage.label(scene.ground_truth == k, structure=np.ones((3, 3)))[1] == 1]
    for split in make_splits(scene, "fields:2:7:percent:0.01", 0):
        assert set(alone) <= set(split.untested_classes)


def test_one_percent_stays_one_percent() -> None:
    """Of the whole class, as far as the training side has so many."""
    scene = load_scene("indian-pines", with_cube=False)
    whole = make_split(scene, "percent:0.01", 0)
    for split in make_splits(scene, "fields:2:7:percent:0.01", 0):
        drawn, wanted = (np.bincount(labels, minlength=17) for labels in (split.train_labels, whole.train_labels))
        assert (drawn <= wanted).all()
        tested = np.unique(split.test_labels)
        assert drawn[tested].sum() >= 0.9 * wanted[tested].sum()


def test_several_folds_where_one_split_is_wanted(tiny: Scene) -> None:
    with pytest.raises(InputError, match=r"'fields:2:1:count:3' has 2 folds; this takes one"):
        make_split(tiny, "fields:2:1:count:3", 0)


def test_too_far_apart() -> None:
    labels = np.zeros((20, 20), dtype=int)
    labels[:6, :6], labels[10:, 10:] = 1, 1
    with pytest.raises(InputError, match="no class has pixels for training and test so far apart"):
        make_splits(scene_of(labels), "fields:2:19:count:3", 0)


@pytest.mark.parametrize(
    "spec", ["fields", "fields:2", "fields:1:7:count:3", "fields:2:-1:count:3", "folds:5:14", "folds:0:1:count:3"]
)
def test_text_that_is_no_split(tiny: Scene, spec: str) -> None:
    with pytest.raises(InputError, match="split '"):
        make_splits(tiny, spec, 0)


# --- validation pixels


@pytest.mark.parametrize("spec", ["percent:0.05", "count:5", "fields:2:1:count:4", "total:0.1"])
def test_validation_pixels_join_the_training_pixels(tiny: Scene, spec: str) -> None:
    for plain, joined in zip(make_splits(tiny, spec, 1), make_splits(tiny, f"{spec}+val", 1), strict=True):
        assert np.array_equal(joined.train, np.sort(np.append(plain.train, plain.val)))
        assert np.array_equal(joined.train_labels, tiny.ground_truth.ravel()[joined.train])
        assert joined.val.size == joined.val_labels.size == 0
        assert np.array_equal(joined.test, plain.test)
        assert joined.spec == f"{spec}+val"


def test_validation_pixels_can_be_hidden(tiny: Scene) -> None:
    split = make_split(tiny, "percent:0.05", 1)
    hidden = split.without_validation()
    assert hidden.val.size == hidden.val_labels.size == 0
    assert np.array_equal(hidden.train, split.train)
    assert not np.isin(split.val, hidden.test).any(), "nobody is tested on them"
