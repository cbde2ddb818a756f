"""Files of published scenes: the user's folder first, then the cache, then mirror after mirror, every byte checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pooch
import pytest

from hsilib.data.catalog import CatalogEntry, SceneFile, catalog
from hsilib.data.store import fetch_file, find_file, local_folders
from hsilib.errors import InputError

CONTENT = b"the published bytes"
FILE = SceneFile(
    "scene.mat", "key", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), upload="a/aa/scene.mat", mirror="S/scene.mat"
)
ENTRY: CatalogEntry = catalog()["salinas-a"]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("HSILIB_DATA", str(folder))
    return folder


@pytest.fixture
def cache_folder() -> Path:
    folder = local_folders()[-1]
    folder.mkdir(parents=True)
    return folder


def test_a_file_that_is_nowhere() -> None:
    assert find_file(FILE) is None


def test_the_users_folder_comes_before_the_cache(own_folder: Path, cache_folder: Path) -> None:
    (cache_folder / FILE.file).write_bytes(CONTENT)
    assert find_file(FILE) == cache_folder / FILE.file
    (own_folder / FILE.file).write_bytes(CONTENT)
    assert find_file(FILE) == own_folder / FILE.file


def test_an_empty_variable_names_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSILIB_DATA", "")
    assert len(local_folders()) == 1


def test_a_copy_with_other_bytes_is_refused(own_folder: Path) -> None:
    (own_folder / FILE.file).write_bytes(CONTENT + b"!")
    with pytest.raises(InputError, match=r"scene\.mat: its sha256 is .*expected .*remove it") as caught:
        find_file(FILE)
    assert str(FILE.sha256)[:16] in str(caught.value)


def test_a_file_whose_hash_is_not_on_record_is_taken_as_it_is(own_folder: Path) -> None:
    (own_folder / "free.tif").write_bytes(b"anything")
    assert find_file(SceneFile("free.tif")) == own_folder / "free.tif"


def test_mirrors_are_tried_in_order_until_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def second_answers(url: str, **options: Any) -> str:
        asked.append({"url": url, **options})
        if len(asked) == 1:
            raise OSError("down")
        target = Path(options["path"]) / options["fname"]
        target.write_bytes(CONTENT)
        return str(target)

    monkeypatch.setattr(pooch, "retrieve", second_answers)
    path = fetch_file(FILE, ENTRY)
    assert path == local_folders()[-1] / FILE.file
    assert [call["url"] for call in asked] == FILE.urls()
    assert {call["known_hash"] for call in asked} == {f"sha256:{FILE.sha256}"}
    assert find_file(FILE) == path


def test_a_mirror_that_answers_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answers(url: str, **options: Any) -> str:
        asked.append(url)
        return str(Path(options["path"]) / options["fname"])

    monkeypatch.setattr(pooch, "retrieve", answers)
    fetch_file(FILE, ENTRY)
    assert asked == FILE.urls()[:1]


def test_all_mirrors_fail_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_bytes_or_down(url: str, **options: Any) -> str:
        raise ValueError("hash differs") if "ehu.eus" in url else OSError("down")

    monkeypatch.setattr(pooch, "retrieve", wrong_bytes_or_down)
    with pytest.raises(InputError) as caught:
        fetch_file(FILE, ENTRY)
    message = str(caught.value)
    assert "'salinas-a'" in message
    assert all(url in message for url in FILE.urls())
    assert str(local_folders()[-1]) in message
    assert "HSILIB_DATA" in message
    assert "\n" not in message
    assert not list(local_folders()[-1].iterdir())


def test_a_file_without_address_points_to_its_page() -> None:
    entry = catalog()["loukia"]
    with pytest.raises(InputError, match=r"its page is https://doi\.org/10\.5281/zenodo\.1222202"):
        fetch_file(entry.cube, entry)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "file" / project)
    with pytest.raises(InputError, match="cannot write to the folder"):
        fetch_file(FILE, ENTRY)
