"""A folder of labelled patches becomes a scene whose patches are the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from hsilib.data.load import load_scene
from hsilib.data.patch_folder import load_patch_folder
from hsilib.data.patches import PatchSampler
from hsilib.data.splits import make_split
from hsilib.errors import InputError


def write_patches(folder: Path, counts: dict[str, int], shape: tuple[int, int, int] = (7, 7, 4)) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    patches = []
    for name, count in sorted(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            patch = generator.integers(0, 1000, shape).astype(np.uint16)
            if i % 2:
                scipy.io.savemat(folder / name / f"{i:03}.mat", {"patch": patch})
            else:
                np.save(folder / name / f"{i:03}.npy", patch)
            patches.append(patch)
    return patches


@pytest.mark.parametrize("counts", [{"cirrus": 3, "clear": 2}, {"a": 1}, {"a": 4, "b": 5}, {"a": 2, "b": 8}], ids=str)
def test_each_labelled_pixel_is_the_centre_of_its_file(counts: dict[str, int], tmp_path: Path) -> None:
    patches = write_patches(tmp_path / "clouds", counts)
    scene = load_scene(str(tmp_path / "clouds"))
    assert (scene.name, scene.class_names) == ("clouds", tuple(sorted(counts)))
    assert scene.class_counts.tolist() == [counts[name] for name in sorted(counts)]
    pixels = torch.from_numpy(np.flatnonzero(scene.ground_truth))
    cut = PatchSampler(scene.cube, 7, torch.device("cpu"))(pixels).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(cut, np.stack(patches))
    labels = [k for k, name in enumerate(sorted(counts), start=1) for _ in range(counts[name])]
    assert scene.ground_truth.ravel()[pixels.numpy()].tolist() == labels


def test_patches_of_an_even_size(tmp_path: Path) -> None:
    """The centre is the pixel after the middle, so that a window one smaller fits."""
    patches = write_patches(tmp_path, {"a": 3, "b": 2}, (6, 6, 2))
    scene = load_patch_folder(tmp_path)
    pixels = torch.from_numpy(np.flatnonzero(scene.ground_truth))
    cut = PatchSampler(scene.cube, 5, torch.device("cpu"))(pixels).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(cut, np.stack(patches)[:, 1:, 1:])


def test_a_split_and_no_overlap(tmp_path: Path) -> None:
    write_patches(tmp_path, {"a": 9, "b": 7})
    split = make_split(load_patch_folder(tmp_path), "count:3", 0)
    assert (len(split.train), len(split.train) + len(split.val) + len(split.test)) == (6, 16)
    assert split.leakage(7)["overlaps"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: [p.unlink() for p in (f / "a").iterdir()], "a class without a patch"),
        (lambda f: np.save(f / "a" / "900.npy", np.zeros((7, 6, 4))), r"900.npy: the patch has shape \(7, 6, 4\)"),
        (lambda f: np.save(f / "a" / "900.npy", np.zeros((5, 5, 4))), r"900.npy.*expected \(7, 7, 4\): .* of 000.npy"),
        (lambda f: np.save(f / "b" / "900.npy", np.zeros((7, 7, 3))), r"900.npy.*expected \(7, 7, 4\)"),
        (lambda f: (f / "b" / "900.txt").write_text("notes"), r"900.txt: cannot read .txt"),
        (lambda f: (f / "b" / "900.npy").write_text("notes"), r"900.npy: not a readable .npy file"),
    ],
)
def test_folders_that_cannot_be_used(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_patches(tmp_path, {"a": 2, "b": 2})
    change(tmp_path)
    with pytest.raises(InputError, match=message):
        load_patch_folder(tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one folder a class"):
        load_scene(str(tmp_path))
