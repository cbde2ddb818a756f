"""Campaigns: read strictly, resumed by what exists, longest first, a failure stops nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsilib import InputError
from hsilib.campaign import START_UP_S, Run, estimate_costs, read_campaign, sweep
from hsilib.reporting.records import read_records, write_record

GRID = """
purpose: a test
stopping_rule: all of it
grid:
  - recipes: [coordinates-1nn]
    scenes: [synthetic-tiny, {other}]
    splits: ["count:2"]
    seeds: {seeds}
"""


def campaign(folder: Path, other: str = "ksc", seeds: str = "2", text: str = GRID) -> Path:
    path = folder / "campaign.yaml"
    path.write_text(text.format(other=other, seeds=seeds), encoding="utf-8")
    return path


def test_grid_is_every_combination_once(tmp_path: Path) -> None:
    runs = read_campaign(campaign(tmp_path, seeds="[4, 1, 4]"))
    assert runs == [
        Run("coordinates-1nn", scene, "count:2", seed) for scene in ("synthetic-tiny", "ksc") for seed in (4, 1)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: []", "purpose, stopping_rule and grid"),
        ("[1, 2]", "purpose, stopping_rule and grid"),
        ("purpose: x: y", "not a readable campaign"),
        (GRID.replace("seeds:", "seed:"), "recipes, scenes, splits, seeds"),
        (GRID.replace("coordinates-1nn", "coordinates-2nn"), "did you mean coordinates-1nn"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_campaign(campaign(tmp_path, text=text))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        read_campaign(tmp_path / "nowhere.yaml")


@pytest.mark.slow
def test_sweep_runs_skips_resumes_and_survives_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tmp_path / "records"
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"no scene")
    path = campaign(tmp_path, other=f"ksc, {damaged}")

    assert sweep(path, records, workers=2) == 2  # the damaged scene, two seeds
    output = capsys.readouterr().out
    assert "skipped: ksc is not at hand" in output
    assert output.count("FAILED") == 2
    assert "synthetic-tiny" in output.splitlines()[-2]  # the table at the end
    found = list(read_records(records))
    assert [(r.scene, r.seed) for r in found] == [("synthetic-tiny", 0), ("synthetic-tiny", 1)]
    failures = list(records.rglob("failed-*.json"))
    assert len(failures) == 2
    assert "damaged.npz" in json.loads(failures[0].read_text())["error"]

    # Resumed: what exists stays untouched, what failed is tried again.
    before = {r.path: r.path.stat().st_mtime_ns for r in found if r.path}
    assert sweep(path, records) == 2
    assert "2 recorded, 2 to do" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_failure_is_forgotten_once_the_run_succeeds(tmp_path: Path) -> None:
    run = Run("coordinates-1nn", "synthetic-tiny", "count:2", 0)
    failed = run.path(tmp_path).with_name(f"failed-{run.path(tmp_path).name.removeprefix('seed-')}")
    failed.parent.mkdir(parents=True)
    failed.write_text("{}")
    from hsilib.campaign import execute

    line, succeeded = execute(run, tmp_path, "cpu", threads=1)
    assert succeeded, line
    assert run.path(tmp_path).exists()
    assert not failed.exists()


def test_costs_come_from_the_nearest_records(tmp_path: Path) -> None:
    from dataclasses import replace

    from hsilib import recipe
    from hsilib import run as run_config

    config = replace(recipe("coordinates-1nn"), scene="synthetic-tiny", split="count:2")
    record, _ = run_config(config)
    for i, seconds in enumerate((10.0, 30.0, 50.0)):
        timed = replace(record, timing={"fit_s": seconds, "predict_s": 0.0})
        write_record(timed, tmp_path / f"seed-{i}-x.json")
    known = Run("coordinates-1nn", "synthetic-tiny", "count:2", 7)
    other_split = Run("coordinates-1nn", "indian-pines", "percent:0.5", 7)
    unknown = Run("svm", "synthetic-tiny", "count:2", 7)
    costs = estimate_costs([known, other_split, unknown], tmp_path)
    assert costs[known] == START_UP_S + 30.0
    assert costs[other_split] == START_UP_S + 30.0
    assert costs[unknown] == START_UP_S + 60.0
