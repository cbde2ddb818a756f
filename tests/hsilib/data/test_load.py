"""`load_scene`: published scenes, generated ones, files of one's own."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pooch
import pytest
import scipy.io
from numpy.typing import NDArray

from hsilib.data.load import GENERATED, availability, fetch, load_scene, scene_names, split_key
from hsilib.data.scene import Scene
from hsilib.data.store import local_folders
from hsilib.errors import InputError

INDIAN_PINES_COUNTS = [46, 1428, 830, 237, 483, 730, 28, 478, 20, 972, 2455, 593, 205, 1265, 386, 93]


@pytest.fixture(scope="module")
def indian_pines() -> Scene:
    return load_scene("indian-pines")


def test_indian_pines_needs_no_network(indian_pines: Scene) -> None:
    assert indian_pines.cube.shape == (145, 145, 200)
    assert indian_pines.cube.dtype == np.uint16
    assert indian_pines.class_counts.tolist() == INDIAN_PINES_COUNTS
    assert indian_pines.sha256() == "c63d4e9007eefb8d59ed9e94963e8a7b979638823182b5ee76e8c2c981503a02"
    assert indian_pines.wavelengths_nm is not None
    assert indian_pines.wavelengths_nm.shape == (200,)


def test_indian_pines_as_published_lacks_the_lost_byte(indian_pines: Scene) -> None:
    assert not (indian_pines.cube & 0xFF == 0x0D).any()
    assert not (indian_pines.cube >> 8 == 0x0D).any()


def test_the_copy_in_the_users_folder_comes_before_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Indian_pines_corrected.mat").write_bytes(b"damaged")
    monkeypatch.setenv("HSILIB_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"Indian_pines_corrected\.mat: its sha256"):
        load_scene("indian-pines")


def test_labels_alone_give_a_scene_of_no_bands() -> None:
    scene = load_scene("indian-pines", with_cube=False)
    assert scene.cube.shape == (145, 145, 0)
    assert scene.class_counts.tolist() == INDIAN_PINES_COUNTS
    assert len(scene.sha256()) == 64


def test_a_scene_that_is_not_at_hand_without_network() -> None:
    with pytest.raises(InputError, match=r"'pavia-university': PaviaU_gt\.mat is not at hand.*HSILIB_DATA"):
        load_scene("pavia-university")


def test_an_unknown_scene_gets_the_nearest_names() -> None:
    with pytest.raises(InputError, match="unknown scene 'salinasa': did you mean salinas"):
        load_scene("salinasa")


@pytest.mark.parametrize("name", ["synthetic-tiny"])
def test_a_generated_scene_carries_its_name(name: str) -> None:
    assert load_scene(name).name == name


def test_every_name_is_listed_once() -> None:
    assert len(set(scene_names())) == len(scene_names())
    assert {"indian-pines", "synthetic-tiny", "synthetic-pavia-like"} <= set(scene_names())


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, cube: NDArray[Any], labels: NDArray[Any]) -> None:
    """Stand in for the files of Dioni, whose hashes are not on record."""
    import tifffile

    tifffile.imwrite(folder / "Dioni.tif", cube)
    tifffile.imwrite(folder / "Dioni_GT.tif", labels)
    monkeypatch.setenv("HSILIB_DATA", str(folder))


def test_the_label_values_of_the_catalogue_are_renumbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    values = np.array([0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14], dtype=np.uint8)
    labels = generator.choice(values, (250, 1376))
    publish(tmp_path, monkeypatch, np.zeros((1, 1, 1), dtype=np.uint8), labels)
    scene = load_scene("dioni", with_cube=False)
    assert scene.n_classes == 12
    assert np.array_equal(values[scene.ground_truth], labels)


def test_a_published_cube_of_another_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(15, dtype=np.uint8).reshape(3, 5)
    publish(tmp_path, monkeypatch, np.random.default_rng(0).integers(0, 99, (9, 8, 7)).astype(np.uint8), labels)
    with pytest.raises(InputError, match=r"the cube has shape \(9, 8, 7\); expected \(250, 1376, 176\)"):
        load_scene("dioni")


def test_own_files_with_keys(tiny: Scene, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "cube.mat", {"data": tiny.cube, "other": tiny.cube[::-1]})
    scipy.io.savemat(tmp_path / "labels.mat", {"gt": tiny.ground_truth.astype(float), "old": tiny.ground_truth})
    scene = load_scene(f"{tmp_path}/cube.mat:data,{tmp_path}/labels.mat:gt")
    assert scene.name == "cube"
    assert scene.sha256() == tiny.sha256()
    assert scene.class_names == ("class 1", "class 2", "class 3", "class 4")


def test_own_files_without_keys_where_they_hold_one_array(tiny: Scene, tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", tiny.cube)
    np.save(tmp_path / "labels.npy", tiny.ground_truth)
    assert load_scene(f"{tmp_path}/cube.npy,{tmp_path}/labels.npy").sha256() == tiny.sha256()


def test_own_matlab_73_file_with_both_arrays(tiny: Scene, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "both.mat", "w") as file:
        file["cube"], file["ground_truth"] = tiny.cube.T, tiny.ground_truth.T
    assert load_scene(str(tmp_path / "both.mat")).sha256() == tiny.sha256()


def test_own_file_without_the_expected_key(tiny: Scene, tmp_path: Path) -> None:
    np.savez(tmp_path / "scene.npz", cubes=tiny.cube, ground_truth=tiny.ground_truth)
    with pytest.raises(InputError, match="unknown array 'cube': did you mean cubes"):
        load_scene(str(tmp_path / "scene.npz"))


def test_one_file_that_cannot_hold_two_arrays(tiny: Scene, tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", tiny.cube)
    with pytest.raises(InputError, match="one file must hold both arrays"):
        load_scene(str(tmp_path / "cube.npy"))


def test_three_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected FILE\.npz or CUBE,GROUND_TRUTH"):
        load_scene("a.mat,b.mat,c.mat")


def test_own_labels_that_are_not_consecutive(tiny: Scene, tmp_path: Path) -> None:
    labels = np.array([0, 1, 10, 12, 14])[tiny.ground_truth]
    np.savez(tmp_path / "scene.npz", cube=tiny.cube, ground_truth=labels)
    with pytest.raises(InputError, match=r"labels 1, 10, 12, 14; .*renumber_labels"):
        load_scene(str(tmp_path / "scene.npz"))


def test_own_labels_with_fractions_or_nan(tiny: Scene, tmp_path: Path) -> None:
    for value in (1.5, np.nan):
        labels = tiny.ground_truth.astype(float)
        labels[0, 0] = value
        np.savez(tmp_path / "scene.npz", cube=tiny.cube, ground_truth=labels)
        with pytest.raises(InputError, match=r"whole numbers|expected integers"):
            load_scene(str(tmp_path / "scene.npz"))


def test_a_huge_label_costs_no_memory(tiny: Scene, tmp_path: Path) -> None:
    """As where unlabelled pixels are marked by the largest integer: no name may be made for every number below it."""
    labels = tiny.ground_truth.astype(np.int64)
    labels[0, 0] = 1_000_000
    np.savez(tmp_path / "scene.npz", cube=tiny.cube, ground_truth=labels)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="1000000"):
            load_scene(str(tmp_path / "scene.npz"))
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "path", "key"),
    [
        ("cube.mat:data", "cube.mat", "data"),
        ("cube.mat", "cube.mat", None),
        ("C:/data/cube.mat", "C:/data/cube.mat", None),
        ("C:/data/cube.mat:data", "C:/data/cube.mat", "data"),
        ("folder:odd/cube.npy", "folder:odd/cube.npy", None),
    ],
)
def test_a_key_is_told_from_a_drive_letter(text: str, path: str, key: str | None) -> None:
    assert split_key(text) == (Path(path), key)


def test_availability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert availability("indian-pines") == availability("synthetic-tiny") == "yes"
    assert availability("salinas") == "no"
    (tmp_path / "Salinas_gt.mat").write_bytes(b"")
    monkeypatch.setenv("HSILIB_DATA", str(tmp_path))
    assert availability("salinas") == "labels only"
    (tmp_path / "Salinas_corrected.mat").write_bytes(b"")
    assert availability("salinas") == "yes"


def test_fetch_downloads_what_is_not_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    downloaded = []

    def retrieve(url: str, **options: Any) -> str:
        downloaded.append(options["fname"])
        return str(Path(options["path"]) / options["fname"])

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    local_folders()[-1].mkdir(parents=True)
    (local_folders()[-1] / "Pavia_gt.mat").write_bytes(b"no hash on record")
    assert fetch("pavia-centre") == [local_folders()[-1] / name for name in ("Pavia.mat", "Pavia_gt.mat")]
    assert downloaded == ["Pavia.mat"]


def test_fetch_of_a_generated_or_unknown_scene() -> None:
    assert [fetch(name) for name in GENERATED] == [[]] * len(GENERATED)
    with pytest.raises(InputError, match="unknown scene 'pavia': did you mean"):
        fetch("pavia")


def test_a_saved_scene_comes_back_whole(tmp_path: Path) -> None:
    scene = load_scene("synthetic-tiny")
    placed = replace(scene, crs="EPSG:32632", transform=(1.5, 0.0, 100.0, 0.0, -1.5, 200.0), note="a note")
    loaded = load_scene(str(placed.save(tmp_path / "scene.npz")))
    assert np.array_equal(loaded.cube, placed.cube)
    assert loaded.cube.dtype == placed.cube.dtype
    assert np.array_equal(loaded.ground_truth, placed.ground_truth)
    assert np.array_equal(loaded.wavelengths_nm, placed.wavelengths_nm)
    for name in ("class_names", "crs", "transform", "note"):
        assert getattr(loaded, name) == getattr(placed, name)


def test_a_published_file_with_other_values_than_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes may be a known edition and still not the scene that the package carries."""
    ground_truth = load_scene("indian-pines", with_cube=False).ground_truth.copy()
    path = tmp_path / "Indian_pines_gt.mat"
    monkeypatch.setattr("hsilib.data.load.find_file", lambda file: path)
    scipy.io.savemat(path, {"indian_pines_gt": ground_truth})
    assert np.array_equal(load_scene("indian-pines", with_cube=False).ground_truth, ground_truth)
    ground_truth[0, 0] = 3 if ground_truth[0, 0] != 3 else 4
    scipy.io.savemat(path, {"indian_pines_gt": ground_truth})
    with pytest.raises(InputError, match="two editions"):
        load_scene("indian-pines", with_cube=False)
