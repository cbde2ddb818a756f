"""`Scene` checks its input once, at the door."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hsilib.data.load import load_scene
from hsilib.data.scene import Scene, renumber_labels
from hsilib.errors import InputError
from tests.helpers import scene_of

LABELS = np.array([[0, 1, 2], [2, 1, 1]], dtype=np.uint8)


def a_cube(shape: tuple[int, ...] = (2, 3, 4), dtype: Any = np.float32) -> NDArray[Any]:
    return np.random.default_rng(0).uniform(1, 100, shape).astype(dtype)


def test_sizes_and_counts() -> None:
    scene = Scene("s", a_cube(), LABELS, ("a", "b"), np.arange(4.0))
    assert (scene.shape, scene.n_bands, scene.n_classes) == ((2, 3), 4, 2)
    assert scene.class_counts.tolist() == [3, 2]


def test_cube_and_ground_truth_of_different_size() -> None:
    with pytest.raises(InputError, match=r"2 × 4 pixels but the ground truth 2 × 3"):
        Scene("s", a_cube((2, 4, 4)), LABELS, ("a", "b"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_their_bands(value: float) -> None:
    cube = a_cube()
    cube[0, 1, 2] = cube[1, 1, 2] = cube[0, 0, 3] = value
    with pytest.raises(InputError, match=r"3 values are NaN or infinite, in bands 2, 3 \(counted from 0\)"):
        Scene("s", cube, LABELS, ("a", "b"))


def test_constant_bands_are_named() -> None:
    cube = a_cube()
    cube[:, :, 1] = 7
    with pytest.raises(InputError, match=r"band 1 \(counted from 0\) hold"):
        Scene("s", cube, LABELS, ("a", "b"))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 1), (0, 3, 4)])
def test_a_cube_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected \(rows, columns, bands\)"):
        Scene("s", a_cube(shape), LABELS, ("a", "b"))


@pytest.mark.parametrize("dtype", [np.complex64, bool, object, "U3"])
def test_a_cube_that_holds_no_real_numbers(dtype: Any) -> None:
    with pytest.raises(InputError, match="expected real numbers"):
        Scene("s", a_cube().astype(dtype), LABELS, ("a", "b"))


@pytest.mark.parametrize(
    "labels",
    [LABELS * 10, LABELS + (LABELS == 2), -LABELS.astype(np.int16)],
    ids=["10 and 20", "2 is missing", "negative"],
)
def test_labels_that_are_not_consecutive(labels: NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"every label from 1 to 2\. Renumber them with hsilib\.renumber_labels"):
        Scene("s", a_cube(), labels, ("a", "b"))


@pytest.mark.parametrize("labels", [LABELS.astype(float), LABELS[0]])
def test_a_ground_truth_of_another_kind(labels: NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"expected integers in \(rows, columns\)"):
        Scene("s", a_cube(), labels, ("a", "b"))


def test_wavelengths_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="3 wavelengths for 4 bands"):
        Scene("s", a_cube(), LABELS, ("a", "b"), np.arange(3.0))


def test_the_hash_is_of_the_values_and_not_of_their_layout() -> None:
    cube = a_cube(dtype=np.uint16)
    one = Scene("one", cube, LABELS, ("a", "b")).sha256()
    assert one == Scene("two", np.asfortranarray(cube), LABELS.astype(np.int64), ("c", "d")).sha256()
    assert one == Scene("big-endian", cube.astype(">u2"), LABELS, ("a", "b")).sha256()


def test_the_hash_tells_different_data_apart() -> None:
    cube = a_cube(dtype=np.uint16)
    other_value, other_label = cube.copy(), LABELS.copy()
    other_value[1, 2, 3] += 1
    other_label[0, 0] = 1
    scenes = [(cube, LABELS), (other_value, LABELS), (cube, other_label), (cube.astype(np.uint32), LABELS)]
    scenes.append((cube.transpose(1, 0, 2).reshape(cube.shape), LABELS))
    hashes = {Scene("s", cube, labels, ("a", "b")).sha256() for cube, labels in scenes}
    assert len(hashes) == len(scenes)


def test_without_ground_truth_keeps_everything_but_the_labels(tiny: Scene) -> None:
    blank = tiny.without_ground_truth()
    assert not blank.ground_truth.any()
    assert tiny.ground_truth.any()
    assert (blank.shape, blank.n_classes, blank.class_names) == (tiny.shape, tiny.n_classes, tiny.class_names)
    assert blank.cube is tiny.cube


def test_with_cube_checks_the_new_values(tiny: Scene) -> None:
    changed = tiny.with_cube(tiny.cube + np.uint16(1), name="brighter", note="one more")
    assert (changed.name, changed.note) == ("brighter", "one more")
    assert np.array_equal(changed.ground_truth, tiny.ground_truth)
    with pytest.raises(InputError, match="same area"):
        tiny.with_cube(tiny.cube[1:])


def test_save_and_load(tiny: Scene, tmp_path: Path) -> None:
    again = load_scene(str(tiny.save(tmp_path / "mine.npz")))
    assert again.name == "mine"
    assert again.sha256() == tiny.sha256()
    assert again.class_names == tiny.class_names
    assert tiny.wavelengths_nm is not None
    assert again.wavelengths_nm is not None
    assert np.array_equal(again.wavelengths_nm, tiny.wavelengths_nm)


def test_save_under_another_suffix(tiny: Scene, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"saved as \.npz"):
        tiny.save(tmp_path / "mine.mat")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_save_leaves_the_old_file(tiny: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(b"old")

    def half(stream: IO[bytes], **_: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", half)
    with pytest.raises(KeyboardInterrupt):
        tiny.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_renumbering_the_labels_of_salinas_a() -> None:
    labels = np.array([[0, 1, 10], [11, 12, 13], [14, 14, 0]])
    renumbered, old = renumber_labels(labels)
    assert renumbered.tolist() == [[0, 1, 2], [3, 4, 5], [6, 6, 0]]
    assert old == (1, 10, 11, 12, 13, 14)
    assert scene_of(renumbered).n_classes == 6


def test_renumbering_keeps_the_given_labels_in_the_given_order() -> None:
    renumbered, old = renumber_labels(np.array([[5, 3], [9, 0]]), (9, 3))
    assert renumbered.tolist() == [[0, 2], [1, 0]]
    assert old == (9, 3)


def test_more_labels_than_a_ground_truth_holds() -> None:
    with pytest.raises(InputError, match="256 different labels"):
        renumber_labels(np.arange(257).reshape(1, -1))
    assert renumber_labels(np.arange(256).reshape(1, -1))[0].max() == 255


def test_a_scene_of_more_classes_than_a_class_map_holds() -> None:
    """Class maps are uint8: the 256th class would come out as unlabelled."""
    labels = np.arange(300).reshape(15, 20)
    with pytest.raises(InputError, match="255"):
        scene_of(labels)
