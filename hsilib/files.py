"""Writing files so that an interrupted run leaves either the old file or the new one, never half of one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO

from hsilib.errors import InputError


@contextmanager
def write_atomically(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` for writing bytes; rename it to ``path`` on success.

    Raises
    ------
    InputError : the folder cannot be created or written.
    """
    path = Path(path)
    ensure_writable(path.parent)
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:  # not mkstemp, whose files only their owner may read
            yield stream
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def ensure_writable(folder: str | Path) -> Path:
    """Create ``folder`` if need be and prove that a file can be written there.

    Raises
    ------
    InputError : it cannot; the message names the folder and the reason.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror}; choose another one.") from error
    return folder
