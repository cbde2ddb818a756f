"""Records: found again by what was run, whole or not there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hsilib.config import settings, with_overrides
from hsilib.errors import InputError
from hsilib.files import ensure_writable, write_atomically
from hsilib.network_method import NetworkOptions
from hsilib.records import (
    Record,
    changed_options,
    read_record,
    read_records,
    record_id,
    record_path,
    write_record,
)
from hsilib.registry import network_arguments
from hsilib.training.fit_options import FitOptions
from onepercent.peers.classical.svm import SvmOptions
from onepercent.recipes import recipe


def a_record(**changes: Any) -> Record:
    content: dict[str, Any] = {
        "id": "0123abcd",
        "recipe": "quick",
        "config": {"network": "dual-branch", "fit": {"epochs": 60, "learning_rate": 1e-3}},
        "scene": "indian-pines",
        "split": {"spec": "percent:0.01", "n_train": 115, "leakage": {"patch_size": 15, "contains": 0.8}},
        "seed": 0,
        "metrics": {
            "overall_accuracy": 2 / 3,
            "average_accuracy": 0.1 + 0.2,
            "kappa": -1e-17,
            "per_class_recall": [0.5, None, 1.0],
            "confusion": [[1, 1, 0], [0, 0, 0], [0, 0, 1]],
        },
        "timing": {"fit_s": 1.5},
        "memory": {"peak_mb": 512.0},
        "model": {"history": {"train_loss": [], "val_loss": [1.0, 0.5]}},
        "provenance": {"git_commit": None, "device": "CPU “x”, 2 threads"},
    }
    return Record(**{**content, **changes})


def test_round_trip(tmp_path: Path) -> None:
    record = a_record()
    path = write_record(record, tmp_path / "a" / "seed-0-0123abcd.json")
    again = read_record(path)
    assert again == record
    assert again.path == path


def test_text_in_brackets_stays_as_it_is(tmp_path: Path) -> None:
    record = a_record(scene="maps [two  spaces]/scene.npz", provenance={"device": "CPU [ 2 threads ]"})
    assert read_record(write_record(record, tmp_path / "seed-0.json")) == record


def test_the_file_is_plain_json_with_a_confusion_row_a_line(tmp_path: Path) -> None:
    text = write_record(a_record(), tmp_path / "seed-0.json").read_text(encoding="utf-8")
    assert json.loads(text)["metrics"]["overall_accuracy"] == 2 / 3
    assert "path" not in json.loads(text)
    assert [line.strip() for line in text.splitlines()].count("[0, 0, 0],") == 1
    assert text.endswith("}\n")


def test_records_below_a_folder_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for scene, seed in (("b", 1), ("a", 2), ("a", 1)):
        record = a_record(scene=scene, seed=seed)
        write_record(record, record_path(tmp_path, scene, "count:5", "quick", seed, record.id))
    (tmp_path / "a" / "notes.json").write_text("{}")
    assert [(r.scene, r.seed) for r in read_records(tmp_path)] == [("a", 1), ("a", 2), ("b", 1)]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"id": "x"}', '{"unexpected": 1}'])
def test_a_file_that_is_no_record(text: str, tmp_path: Path) -> None:
    (tmp_path / "seed-0.json").write_text(text)
    with pytest.raises(InputError, match="not a run record"):
        read_record(tmp_path / "seed-0.json")


def test_no_such_record(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run record"):
        read_record(tmp_path / "none.json")


# --- where a record lies


def test_the_path_of_a_record(tmp_path: Path) -> None:
    path = record_path(tmp_path, "indian-pines", "blocks:32:7:count:30", "coordinates-1nn", 3, "0123abcd")
    assert path == tmp_path / "indian-pines/blocks-32-7-count-30/coordinates-1nn/seed-3-0123abcd.json"


@pytest.mark.parametrize(
    ("scene", "split"),
    [
        ("indian-pines", "percent:0.01"),
        ("data/cube.mat:data,../labels.mat:gt", "mask:/home/me/maps.mat"),
        ("C:\\data\\scene.npz", "mask:a b?.npz,*.mat"),
        ("../../elsewhere.npz", "mask:../../maps.npz"),
    ],
)
def test_a_path_holds_no_sign_that_a_file_system_refuses_and_stays_in_the_folder(
    scene: str, split: str, tmp_path: Path
) -> None:
    path = record_path(tmp_path, scene, split, "quick", 0, "0123abcd")
    below = path.relative_to(tmp_path)
    assert len(below.parts) == 4
    assert not set(str(below)) & set(':\\*?"<>| ,')
    assert path.resolve().is_relative_to(tmp_path.resolve())


# --- what an id stands for


def test_an_id_is_eight_hexadecimal_digits_and_stays() -> None:
    """Golden: records already committed must be found again."""
    identity = record_id(NetworkOptions(fit=FitOptions(epochs=60)), "indian-pines", "percent:0.01", 0)
    assert identity == GOLDEN_ID
    assert len(bytes.fromhex(identity)) == 4


def test_an_id_changes_with_everything_that_was_run() -> None:
    method = NetworkOptions()
    runs = [
        (method, "indian-pines", "percent:0.01", 0),
        (method, "salinas-a", "percent:0.01", 0),
        (method, "indian-pines", "percent:0.02", 0),
        (method, "indian-pines", "percent:0.01", 1),
        (replace(method, fit=FitOptions(epochs=299)), "indian-pines", "percent:0.01", 0),
        (replace(method, model={"dropout": 0.5}), "indian-pines", "percent:0.01", 0),
        (SvmOptions(), "indian-pines", "percent:0.01", 0),
        (SvmOptions(costs=(1.0,)), "indian-pines", "percent:0.01", 0),
    ]
    assert len({record_id(*run) for run in runs}) == len(runs)


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    added_later: bool = False


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = (1, 2)
    options: dict[str, int] = field(default_factory=dict)
    kind: ClassVar[str] = "Outer"


def test_only_options_that_differ_from_their_defaults_count() -> None:
    assert changed_options(Outer()) == {}
    assert changed_options(Outer(Inner(0.25))) == {"inner": {"rate": 0.25}}
    assert changed_options(Outer(sizes=(1,), options={"a": 1})) == {"sizes": (1,), "options": {"a": 1}}
    same = (Outer(Inner(0.5, False), (1, 2), {}), Outer())
    assert len({record_id(method, "s", "count:5", 0) for method in same}) == 1


@pytest.mark.parametrize("key", settings(recipe("quick").method))
def test_setting_an_option_to_what_it_was_keeps_the_id(key: str) -> None:
    plain = recipe("quick")
    value: Any = plain.method
    for part in key.split("."):
        value = network_arguments("dual-branch")[part] if isinstance(value, dict) else getattr(value, part)
    steps = [f"fit.least_steps={plain.method.fit.least_steps}"] if key == "fit.epochs" else []  # else turned off
    same = with_overrides(plain, [f"{key}={value}", *steps])
    assert record_id(same.method, "s", "count:5", 0) == record_id(plain.method, "s", "count:5", 0)


# --- writing


def write_half(path: Path, interruption: BaseException) -> None:
    with write_atomically(path) as stream:
        stream.write(b"half")
        stream.flush()
        raise interruption


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "new" / "file", KeyboardInterrupt())
    assert list((tmp_path / "new").iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        write_half(path, RuntimeError())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with write_atomically(path) as stream:
        stream.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "atomic") as stream:
        stream.write(b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to the folder"):
        ensure_writable(tmp_path / "file" / "records")


def test_proving_that_a_folder_is_writable_leaves_nothing_in_it(tmp_path: Path) -> None:
    assert ensure_writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


GOLDEN_ID = "e2c2c19e"
