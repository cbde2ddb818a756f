"""Which pixels train, validate and test: disjoint, counted, repeatable, and honest about leakage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat

from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.splits import SMALLEST_TRAINING_CLASS, Split, make_split
from hsilib.errors import InputError
from tests.helpers import scene_of, split_of


def random_labels(rows: int, cols: int, n_classes: int, seed: int, unlabelled: bool = True) -> NDArray[np.int64]:
    """Labels 1…K in random order, every class at least 30 times where there is room, and some 0."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0 if unlabelled else 1, n_classes + 1, rows * cols)
    certain = np.repeat(np.arange(1, n_classes + 1), 30)
    labels[: certain.size] = certain
    return generator.permutation(labels).reshape(rows, cols)


def as_mask(shape: tuple[int, int], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    mask.ravel()[pixels] = True
    return mask


def window(mask: NDArray[np.bool_], pixel: int, reach: int) -> NDArray[np.bool_]:
    """The part of ``mask`` within ``reach`` rows and columns of a flat index."""
    row, col = divmod(int(pixel), mask.shape[1])
    return mask[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1]


SPECS = [
    "percent:0.01",
    "percent:0.2",
    "total:0.1",
    "count:1",
    "count:10",
    "blocks:8:0:count:4",
    "blocks:5:3:percent:0.1",
]


@given(
    spec=st.sampled_from(SPECS),
    rows=st.integers(12, 30),
    cols=st.integers(12, 30),
    n_classes=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_parts_are_disjoint_labelled_and_repeatable(spec: str, rows: int, cols: int, n_classes: int, seed: int) -> None:
    scene = scene_of(random_labels(rows, cols, n_classes, seed % 1000))
    try:
        split = make_split(scene, spec, seed)
    except InputError:
        assume(spec.startswith("blocks"))  # all blocks but a few pixels may lie within the buffer
        raise AssertionError("30 pixels a class are enough for this split") from None
    together = np.concatenate([split.train, split.val, split.test])
    assert np.unique(together).size == together.size
    for pixels, labels in (
        (split.train, split.train_labels),
        (split.val, split.val_labels),
        (split.test, split.test_labels),
    ):
        assert (np.diff(pixels) > 0).all()
        assert np.array_equal(scene.ground_truth.ravel()[pixels], labels)
        assert (labels > 0).all()
    again = make_split(scene, spec, seed)
    assert all(np.array_equal(getattr(split, part), getattr(again, part)) for part in ("train", "val", "test"))


@pytest.mark.parametrize("spec", ["percent:0.05", "count:5", "blocks:8:1:count:5"])
def test_another_seed_draws_other_pixels(spec: str, tiny: Scene) -> None:
    first, second = (make_split(tiny, spec, seed) for seed in (0, 1))
    assert not np.array_equal(first.train, second.train)


@given(
    sizes=st.lists(st.integers(8, 1500), min_size=1, max_size=4),
    fraction=st.sampled_from([0.003, 0.01, 0.05, 0.25, 0.5]),
)
def test_percent_counts_in_closed_form(sizes: list[int], fraction: float) -> None:
    labels = np.repeat(np.arange(1, len(sizes) + 1), sizes)[None]
    split = make_split(scene_of(labels), f"percent:{fraction}", 0)
    for label, n in enumerate(sizes, start=1):
        n_train, n_val = max(3, round(fraction * n)), max(1, round(0.005 * n))
        counts = [(part == label).sum() for part in (split.train_labels, split.val_labels, split.test_labels)]
        assert counts == [n_train, n_val, n - n_train - n_val]


def test_count_is_the_same_for_every_class(tiny: Scene) -> None:
    split = make_split(tiny, "count:7", 3)
    assert np.bincount(split.train_labels).tolist() == [0, 7, 7, 7, 7]


def test_all_labelled_pixels_are_used(tiny: Scene) -> None:
    split = make_split(tiny, "percent:0.1", 0)
    assert split.train.size + split.val.size + split.test.size == (tiny.ground_truth > 0).sum()


def test_one_percent_of_pavia_is_428_in_total_not_per_class() -> None:
    """METHOD A2: the description prints 428 per class, which is 1 % of all 42,776 labelled pixels."""
    sizes = [6631, 18649, 2099, 3064, 1345, 5029, 1330, 3682, 947]
    assert sum(sizes) == 42776
    split = make_split(scene_of(np.repeat(np.arange(1, 10), sizes)[None]), "percent:0.01", 42)
    assert abs(split.train.size - 428) <= 2


def test_list_of_lists_indexing_trap(tiny: Scene) -> None:
    """Under NumPy ≥ 1.23 a well-known toolbox's split put every training pixel into the test set.

    It cleared the training pixels from the test map with a list of two lists, which indexes whole
    rows. Here the test map is built from the split the way a user would, and must not hold one.
    """
    split = make_split(tiny, "percent:0.1", 0)
    rows_and_cols = [list(axis) for axis in np.unravel_index(split.train, split.shape)]
    test_map = as_mask(split.shape, split.test)
    assert not test_map[tuple(rows_and_cols)].any()
    assert test_map.sum() == split.test.size
    assert not set(split.train.tolist()) & set(split.test.tolist())


@pytest.mark.parametrize(("spec", "needed"), [("count:10", 12), ("percent:0.01", 5)])
def test_a_class_that_is_too_small_is_named(spec: str, needed: int) -> None:
    def scene_with(n: int) -> Scene:
        return scene_of(np.repeat([1, 2], [100, n])[None])

    assert make_split(scene_with(needed), spec, 0).test_labels.tolist().count(2) == 1
    with pytest.raises(InputError, match=rf"class 2 \({needed - 1} pixels, needs {needed}\)") as caught:
        make_split(scene_with(needed - 1), spec, 0)
    assert "class 1" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        "percent",
        "percent:",
        "percent:1",
        "percent:0",
        "percent:-0.1",
        "percent:nan",
        "percent:a",
        "percent:1%",
        "count",
        "count:0",
        "count:-3",
        "count:2.5",
        "blocks",
        "blocks:8",
        "blocks:8:1",
        "blocks:8:1:count",
        "blocks:0:1:count:3",
        "blocks:8:-1:count:3",
        "blocks:8:1:count:0",
        "blocks:8:1:percent:2",
        "blocks:8:1:draw:2",
        "blocks:8:1:count:3:4",
        "mask",
        "mask:",
        "persent:0.01",
        "",
    ],
)
def test_text_that_is_no_split(spec: str, tiny: Scene) -> None:
    with pytest.raises(InputError):
        make_split(tiny, spec, 0)


def test_an_unknown_protocol_gets_the_nearest_name(tiny: Scene) -> None:
    with pytest.raises(InputError, match=r"unknown split 'persent': did you mean percent\?"):
        make_split(tiny, "persent:0.01", 0)


def test_blocks_larger_than_the_scene_leave_no_test_side(tiny: Scene) -> None:
    for size in (100, 10**9):
        with pytest.raises(InputError, match="no test pixels"):
            make_split(tiny, f"blocks:{size}:7:count:3", 0)


# --- leakage


@given(
    rows=st.integers(1, 14),
    cols=st.integers(2, 14),
    radius=st.integers(0, 5),
    n_train=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_leakage_against_a_brute_force_loop(rows: int, cols: int, radius: int, n_train: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).permutation(rows * cols)
    n_train = min(n_train, rows * cols - 1)
    scene = scene_of(np.ones((rows, cols), dtype=np.uint8))
    split = split_of(scene, np.sort(pixels[:n_train]), [], np.sort(pixels[n_train:]))
    training = as_mask((rows, cols), split.train)
    measured = split.leakage(2 * radius + 1)
    assert measured["patch_size"] == 2 * radius + 1
    assert measured["contains"] == np.mean([window(training, p, radius).any() for p in split.test])
    # Two patches share a pixel if their centres are at most twice the radius apart.
    assert measured["overlaps"] == np.mean([window(training, p, 2 * radius).any() for p in split.test])


def test_a_single_pixel_patch_never_contains_a_training_pixel(tiny: Scene) -> None:
    leakage = make_split(tiny, "percent:0.3", 0).leakage(1)
    assert (leakage["contains"], leakage["overlaps"]) == (0.0, 0.0)


# --- blocks

STRIPES = np.tile(np.arange(96) // 8 % 3 + 1, (80, 1))


@pytest.mark.parametrize("seed", range(5))
def test_no_test_patch_contains_any_training_block_pixel(seed: int) -> None:
    """Drawn are 99 % of the labels, so that training and validation together show the whole training blocks."""
    split = make_split(scene_of(STRIPES), "blocks:16:7:percent:0.99", seed)
    blocks = as_mask(split.shape, np.concatenate([split.train, split.val]))
    shares = blocks.reshape(5, 16, 6, 16).mean(axis=(1, 3))
    assert set(np.unique(shares)) == {0.0, 1.0}
    assert shares.sum() == 15
    assert not any(window(blocks, pixel, 7).any() for pixel in split.test)
    assert split.leakage(15)["contains"] == 0.0
    # The buffer is no wider than asked for: some test pixel is 8 away from a training block.
    assert any(window(blocks, pixel, 8).any() for pixel in split.test)


def test_a_smaller_buffer_leaks_into_a_larger_patch() -> None:
    assert make_split(scene_of(STRIPES), "blocks:16:2:percent:0.99", 0).leakage(15)["contains"] > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_few_labels_are_drawn_from_the_training_blocks(seed: int) -> None:
    split = make_split(scene_of(STRIPES), "blocks:16:7:count:10", seed)
    assert np.bincount(split.train_labels).tolist() == [0, 10, 10, 10]
    assert split.untested_classes == ()
    assert split.leakage(15)["contains"] == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_classes_that_cannot_stand_on_both_sides_are_left_out_of_the_test(seed: int) -> None:
    labels = STRIPES.copy()
    labels[2:6, 2:6] = 4  # inside one block
    split = make_split(scene_of(labels), "blocks:16:7:count:5", seed)
    assert split.untested_classes == (4,)
    assert 4 not in split.test_labels
    assert set(split.test_labels) == {1, 2, 3}


@pytest.mark.parametrize("seed", range(4))
def test_validation_does_not_starve_the_training_of_a_tested_class(seed: int) -> None:
    """Class 1 has six pixels in one block and 2,000, so ten for validation, in the other."""
    labels = np.full((64, 128), 2)
    labels[30, 20:26] = 1
    labels[10:50, 70:120] = 1
    split = make_split(scene_of(labels), "blocks:64:0:count:5", seed)
    for label in set(split.test_labels):
        assert (split.train_labels == label).sum() >= SMALLEST_TRAINING_CLASS


# --- mask


def given_maps(seed: int = 0) -> tuple[Scene, NDArray[np.uint8], NDArray[np.uint8]]:
    """A scene with unlabelled rows, a training map that labels some of them, and a test map."""
    labels = np.tile(np.array([0, 1, 2, 3], dtype=np.uint8), (6, 2))
    train, test = np.zeros_like(labels), np.zeros_like(labels)
    train[0] = labels[0]
    train[1, 0] = 3  # outside the ground truth
    test[2:] = labels[2:]
    return scene_of(labels), train, test


def check_given(split: Split, train: NDArray[np.uint8], test: NDArray[np.uint8]) -> None:
    assert np.array_equal(split.train, np.flatnonzero(train))
    assert np.array_equal(split.train_labels, train[train > 0])
    assert np.array_equal(split.test, np.flatnonzero(test))
    assert np.array_equal(split.test_labels, test[test > 0])


def test_given_maps_in_one_file_with_training_labels_outside_the_ground_truth(tmp_path: Path) -> None:
    scene, train, test = given_maps()
    np.savez(tmp_path / "maps.npz", train=train, test=test)
    split = make_split(scene, f"mask:{tmp_path}/maps.npz", 0)
    check_given(split, train, test)
    assert split.val.size == 0
    outside = np.flatnonzero(scene.ground_truth.ravel()[split.train] == 0)
    assert split.train_labels[outside].tolist() == [3]


def test_a_validation_map_is_used_where_there_is_one(tmp_path: Path) -> None:
    scene, train, test = given_maps()
    val = np.zeros_like(train)
    val[1, 1:4] = [1, 2, 3]
    np.savez(tmp_path / "maps.npz", train=train, test=test, val=val)
    split = make_split(scene, f"mask:{tmp_path}/maps.npz", 0)
    assert split.val.tolist() == [9, 10, 11]
    assert split.val_labels.tolist() == [1, 2, 3]


def test_given_maps_in_two_files(tmp_path: Path) -> None:
    scene, train, test = given_maps()
    savemat(tmp_path / "tr.mat", {"TR": train.astype(float)})
    savemat(tmp_path / "te.mat", {"TE": test, "other": test[::-1]})
    check_given(make_split(scene, f"mask:{tmp_path}/tr.mat,{tmp_path}/te.mat:TE", 0), train, test)


def changed_map(change: str) -> dict[str, NDArray[Any]]:
    _, train, test = given_maps()
    if change == "shape":
        return {"train": train[1:], "test": test}
    if change == "label":
        return {"train": train, "test": np.where(test == 3, 4, test)}
    if change == "negative":
        return {"train": -train.astype(np.int16), "test": test}
    if change == "overlap":
        return {"train": train, "test": test + train}
    if change == "no training":
        return {"train": train * 0, "test": test}
    if change == "no test":
        return {"train": train, "test": test * 0}
    return {"training": train, "test": test}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("shape", r"the train map is \(5, 8\), the scene \(6, 8\)"),
        ("label", r"the test map holds labels outside 0…3"),
        ("negative", r"the train map holds labels outside 0…3"),
        ("overlap", "more than one of train, validation and test"),
        ("no training", "no train pixels"),
        ("no test", "no test pixels"),
        ("key", "unknown array 'train': did you mean training"),
    ],
)
def test_given_maps_that_do_not_fit(change: str, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "maps.npz", **changed_map(change))
    with pytest.raises(InputError, match=message):
        make_split(given_maps()[0], f"mask:{tmp_path}/maps.npz", 0)


@pytest.mark.parametrize("value", [np.nan, 1.5])
def test_given_maps_of_fractions(value: float, tmp_path: Path) -> None:
    scene, train, test = given_maps()
    broken = train.astype(float)
    broken[0, 1] = value
    np.savez(tmp_path / "maps.npz", train=broken, test=test)
    with pytest.raises(InputError):
        make_split(scene, f"mask:{tmp_path}/maps.npz", 0)


def test_a_mask_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        make_split(given_maps()[0], f"mask:{tmp_path}/none.mat", 0)


def test_three_mask_files(tmp_path: Path) -> None:
    scene, train, test = given_maps()
    for name, labels in (("a", train), ("b", test), ("c", test)):
        np.save(tmp_path / f"{name}.npy", labels)
    with pytest.raises(InputError):
        make_split(scene, f"mask:{tmp_path}/a.npy,{tmp_path}/b.npy,{tmp_path}/c.npy", 0)


# --- the Split itself


def test_hidden_test_labels_leave_the_positions(tiny: Scene) -> None:
    split = make_split(tiny, "count:5", 0)
    hidden = split.hide_test_labels()
    assert not hidden.test_labels.any()
    assert hidden.test_labels.shape == split.test_labels.shape
    assert split.test_labels.all()
    for part in ("train", "val", "test", "train_labels", "val_labels"):
        assert np.array_equal(getattr(hidden, part), getattr(split, part))


@pytest.mark.parametrize("parts", [([0, 1], [1], [2]), ([0, 1], [], [1, 2]), ([0], [2], [2])])
def test_a_pixel_in_two_parts_is_refused(parts: tuple[list[int], ...]) -> None:
    with pytest.raises(InputError, match="more than one"):
        split_of(scene_of(np.ones((1, 3), dtype=np.uint8)), *parts)


def test_mask_files_are_found_by_name_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = load_scene("synthetic-tiny")
    train, test = np.zeros(scene.shape, dtype=np.uint8), np.zeros(scene.shape, dtype=np.uint8)
    train[0], test[5] = 1, 2
    np.save(tmp_path / "train.npy", train)
    np.save(tmp_path / "test.npy", test)
    monkeypatch.setenv("HSILIB_DATA", str(tmp_path))
    split = make_split(scene, "mask:train.npy,test.npy", seed=0)
    assert np.array_equal(split.train, np.arange(scene.shape[1]))
    assert set(split.test_labels) == {2}
    with pytest.raises(InputError, match=r"nowhere\.npy: no such file"):
        make_split(scene, "mask:nowhere.npy,test.npy", seed=0)


# --- a share of all labelled pixels


def test_total_counts_all_labelled_pixels_together() -> None:
    scene = scene_of(random_labels(40, 40, 4, 0))
    labelled = int((scene.ground_truth > 0).sum())
    split = make_split(scene, "total:0.1", 0)
    assert (len(split.train), len(split.val)) == (round(0.1 * labelled), round(0.005 * labelled))
    assert len(split.train) + len(split.val) + len(split.test) == labelled
    assert not np.array_equal(split.train, make_split(scene, "total:0.1", 1).train)


def test_total_draws_classes_in_proportion_and_may_leave_one_out() -> None:
    labels = np.ones((50, 60), dtype=np.uint8)
    labels[:, 40:] = 2
    labels[0, 0] = 3  # one pixel of 3000
    scene = scene_of(labels)
    splits = [make_split(scene, "total:0.1", seed) for seed in range(20)]
    assert np.mean([np.mean(split.train_labels == 2) for split in splits]) == pytest.approx(1 / 3, abs=0.02)
    without = [split.untrained_classes(3) for split in splits]
    assert set(without) <= {(), (3,)}
    assert without.count((3,)) > 10


@pytest.mark.parametrize("rest", ["0", "1", "1.5", "-0.1", "x", ""])
def test_total_is_a_fraction(rest: str) -> None:
    with pytest.raises(InputError, match=r"total:.*(fraction|number)"):
        make_split(scene_of(random_labels(12, 12, 2, 0)), f"total:{rest}", 0)
