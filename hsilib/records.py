"""Run records: one JSON file a run, found again by what was run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hsilib.errors import InputError
from hsilib.files import write_atomically


@dataclass(frozen=True)
class Record:
    """What one run was and what came of it. Metrics are fractions in 0…1, times in seconds.

    ``split`` holds how it was drawn, ``n_train, n_val, n_test``, ``leakage`` and ``untested_classes``
    by name; ``provenance`` the commit, data hash, versions, device and time, and (not in the oldest) the processor,
    its instruction set and the threads.
    """

    id: str
    recipe: str
    config: dict[str, Any]
    scene: str
    split: dict[str, Any]
    seed: int
    metrics: dict[str, Any]
    timing: dict[str, float]
    memory: dict[str, float]
    model: dict[str, Any]
    provenance: dict[str, Any]
    path: Path | None = field(default=None, compare=False)


def changed_options(options: Any) -> Any:
    """A dataclass as nested dicts of the fields that differ from their defaults.

    Ids are made of these, so that an option added later, whose default keeps the old behaviour,
    leaves the ids of older records as they are.
    """
    if not is_dataclass(options):
        return options
    changed = {}
    for f in fields(options):
        value = getattr(options, f.name)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if value != default:
            changed[f.name] = changed_options(value)
    return changed


def record_id(method: Any, scene: str, split: str, seed: int) -> str:
    """Eight hexadecimal digits that stand for configuration, scene, split and seed."""
    content = [method.kind, changed_options(method), scene, split, seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]


def record_path(folder: Path, scene: str, split: str, recipe: str, seed: int, identity: str) -> Path:
    """``<folder>/<scene>/<split>/<recipe>/seed-<n>-<id>.json``; signs that no file name may hold become ``-``."""
    return folder / _slug(scene) / _slug(split) / recipe / f"seed-{seed}-{identity}.json"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


def write_record(record: Record, path: Path) -> Path:
    """Write ``record`` to ``path``, whole or not at all."""
    content = asdict(record)
    del content["path"]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    # An innermost list on one line: a confusion matrix reads row by row and diffs stay short.
    text = re.sub(r"\[\n[^\[\]{}\"]*\]", lambda m: "[" + " ".join(m.group()[1:-1].split()) + "]", text)
    with write_atomically(path) as stream:
        stream.write(text.encode() + b"\n")
    return path


def read_record(path: str | Path) -> Record:
    """Read one record.

    Raises
    ------
    InputError : the file is not a record.
    """
    path = Path(path)
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")), path=path)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a run record ({error}).") from error


def read_records(folder: str | Path) -> Iterator[Record]:
    """Every record below ``folder``, in the order of their paths."""
    for path in sorted(Path(folder).rglob("seed-*.json")):
        yield read_record(path)
