"""Where the files of published scenes lie: local folders first, then the network, every byte checked."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from hsilib.data.catalog import CatalogEntry, SceneFile
from hsilib.errors import InputError
from hsilib.files import ensure_writable


def local_folders() -> list[Path]:
    """Where files are looked for: ``HSILIB_DATA`` first, then the download cache."""
    own = os.environ.get("HSILIB_DATA")
    return [*([Path(own)] if own else []), Path(pooch.os_cache("hsilib"))]


def local_copy(name: str | Path) -> Path | None:
    """The first file of that name in the local folders, unchecked; None where there is none."""
    return next((path for folder in local_folders() if (path := folder / name).is_file()), None)


def find_local(path: Path) -> Path:
    """``path`` itself, or where nothing is there, a file of that name in one of the local folders."""
    return path if path.is_file() else local_copy(path) or path


def find_file(file: SceneFile) -> Path | None:
    """The local copy of ``file`` with its hash checked, or None where there is none.

    Raises
    ------
    InputError : a copy is there but its bytes are not the published ones.
    """
    path = local_copy(file.file)
    if path is None or file.sha256 is None:
        return path
    actual = pooch.file_hash(str(path))
    if actual != file.sha256:
        raise InputError(
            f"{path}: its sha256 is {actual[:16]}…, expected {file.sha256[:16]}… ({file.bytes:,} bytes, has "
            f"{path.stat().st_size:,}); the file is damaged or another edition: remove it and run "
            f"`hsilib fetch` again."
        )
    return path


def fetch_file(file: SceneFile, entry: CatalogEntry) -> Path:
    """Download ``file`` into the cache, trying every mirror, and check its hash.

    Raises
    ------
    InputError : no mirror gave the right bytes; the message says what was tried and where to put
        the file by hand.
    """
    cache_folder = ensure_writable(local_folders()[-1])
    known = f"sha256:{file.sha256}" if file.sha256 else None
    failures = []
    for url in file.urls():
        try:
            return Path(pooch.retrieve(url, known_hash=known, fname=file.file, path=cache_folder, progressbar=True))
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
            failures.append(f"{url} ({type(error).__name__})")
    tried = "tried " + ", ".join(failures) if failures else f"its page is {entry.page}"
    raise InputError(
        f"scene {entry.name!r}: {file.file} is not at hand and could not be downloaded: {tried}. "
        f"Put the file into {cache_folder} or into a folder that HSILIB_DATA names."
    )
