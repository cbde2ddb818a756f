"""Record ids are forever: renaming a class, a field or a module must not lose a committed record.

``record_ids.json`` holds the id of every recipe as it stands and with each of its settings changed. A new setting is
added to it. What stands there changes only where a recipe or a method changes on purpose, so that no old record is
taken for a new one.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hsilib import read_records, with_overrides
from hsilib.config import settings
from hsilib.records import record_id
from onepercent.recipes import RECIPES, recipe
from onepercent.recipes.before_budget import BEFORE
from onepercent.report.query import Results
from tests.helpers import ROOT

RECORDS = ROOT / "results" / "records"
# The recipe takes these for another class's sake and refuses to have them changed.
REFUSED = {"probe": {"pretrain.rm_ssl", "pretrain.mr_ssl", "pretrain.cmtssl"}}
GOLDEN: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("record_ids.json").read_text(encoding="utf-8"))


def identity(name: str, assignments: str) -> str:
    config = with_overrides(recipe(name), assignments.split(" ") if assignments else [])
    return record_id(config.method, "indian-pines", "percent:0.01", 0)


@pytest.mark.parametrize("name", RECIPES)
def test_ids_stay(name: str) -> None:
    found = {assignments: identity(name, assignments) for assignments in GOLDEN[name]}
    assert found == GOLDEN[name]


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_has_a_golden_id(name: str) -> None:
    method = recipe(name).method
    covered = {part.partition("=")[0] for assignments in GOLDEN[name] for part in assignments.split(" ")}
    options = {key for key in settings(method) if not key.startswith("model.")} - REFUSED.get(name, set())
    assert options <= covered, f"add {sorted(options - covered)} to record_ids.json"


def test_ids_tell_settings_apart() -> None:
    ids = [identity for golden in GOLDEN.values() for identity in golden.values()]
    assert len(ids) == len(set(ids))


def test_every_class_has_a_kind_of_its_own() -> None:
    """A subclass that inherits its parent's would share its ids."""
    kinds = {type(recipe(name).method): recipe(name).method.kind for name in RECIPES}
    assert len(set(kinds.values())) == len(kinds)


def restored(options: Any, stored: dict[str, Any]) -> Any:
    """The options that a record's ``config`` was written from; what is newer than the record has its default."""
    values: dict[str, Any] = {}
    for f in fields(options):
        if f.name not in stored:
            values[f.name] = f.default_factory() if f.default_factory is not MISSING else f.default
        if f.name in stored:
            current, value = getattr(options, f.name), stored[f.name]
            restore = is_dataclass(current)
            values[f.name] = (
                restored(current, value) if restore else tuple(value) if isinstance(current, tuple) else value
            )
    assert set(stored) <= set(values), f"{set(stored) - set(values)} stands in a record and nowhere in the options"
    return replace(options, **values)


def test_committed_records_have_the_id_of_what_they_say() -> None:
    records = list(read_records(RECORDS))
    assert records
    for record in records:
        method = restored(recipe(record.recipe).method, record.config)
        assert record_id(method, record.scene, record.split["spec"], record.seed) == record.id, record.path


def test_records_of_before_the_budget_rule_are_found_by_their_settings() -> None:
    results = Results(RECORDS)
    for name, variant in BEFORE.items():
        assert results.cell("indian-pines", "percent:0.01", variant), variant
        for record in results.cell("indian-pines", "percent:0.01", name):
            assert record.config["fit"]["choose"] == "last", "a new record, of the recipe as it is now"
