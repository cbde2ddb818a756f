"""Campaigns: read strictly, resumed by what exists, longest first, a failure stops nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hsilib import InputError
from hsilib.records import read_records, write_record
from onepercent.campaigns import sweep as sweep_module
from onepercent.campaigns.campaign import Run, read_campaign
from onepercent.campaigns.sweep import START_UP_S, Task, estimate_costs, execute, sweep, tasks_of
from onepercent.recipes import recipe
from tests.helpers import ROOT

GRID = """
purpose: a test
stopping_rule: all of it
grid:
  - recipes: [coordinates-1nn]
    scenes: [synthetic-tiny, {other}]
    splits: ["count:2"]
    seeds: {seeds}
"""


VARIANTS = """
purpose: a test
stopping_rule: all of it
grid:
  - recipes: [quick]
    scenes: [synthetic-tiny]
    splits: ["count:5"]
    seeds: 2
    variants:
      as it is: []
      no attention: [model.attention=none, fit.epochs=2]
      the default again: [model.attention=quantum]
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


def test_variants_share_the_seeds_and_each_configuration_is_run_once(tmp_path: Path) -> None:
    runs = read_campaign(campaign(tmp_path, text=VARIANTS))
    assert [(run.variant, run.seed) for run in runs] == [
        ("as it is", 0),
        ("as it is", 1),
        ("no attention", 0),
        ("no attention", 1),
    ]
    assert runs[0].arguments()[-2:] == ["--seed", "0"]
    assert runs[2].arguments()[-4:] == ["--set", "model.attention=none", "--set", "fit.epochs=2"]
    assert runs[2].name == "quick[model.attention=none;fit.epochs=2]"


def test_a_variants_record_stands_where_the_command_writes_it(tmp_path: Path) -> None:
    from onepercent.cli import main

    settings = ("superpixel-vote", ("n_components=2",))
    run = Run(settings[0], "synthetic-tiny", "count:5", 3, settings[1])
    assert main([*run.arguments(), "--records", str(tmp_path)]) == 0
    assert run.path(tmp_path).exists()
    assert run.path(tmp_path) != Run("superpixel-vote", "synthetic-tiny", "count:5", 3).path(tmp_path)


@pytest.mark.slow
def test_sweep_runs_variants_and_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {"as it is: []": "short: [fit.epochs=1]", "model.attention=quantum": "model.patch_size=4"}
    text = VARIANTS.replace("seeds: 2", "seeds: 1")
    for old, new in changes.items():
        text = text.replace(old, new)
    assert sweep(campaign(tmp_path, text=text), tmp_path / "records") == 1  # an even patch has no centre
    output = capsys.readouterr().out
    rows = [row.partition(" quick, ")[2] for row in output.splitlines()[-3:]]
    assert [row[:17].strip() for row in rows] == ["short", "no attention", "the default again"]
    assert [row.split()[-1] for row in rows] == ["1", "1", "record"]
    (failure,) = (tmp_path / "records").rglob("failed-*.json")
    content = json.loads(failure.read_text())
    assert (content["settings"], content["variant"]) == (["model.patch_size=4"], "the default again")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VARIANTS.replace("model.attention=none", "model.attend=none"), "'no attention' of quick.*did you mean model"),
        (VARIANTS.replace("fit.epochs=2", "fit.epochs=two"), "'no attention' of quick.*expected int"),
        (VARIANTS.replace("[model.attention=quantum]", "model.attention=quantum"), "list of assignments"),
        (VARIANTS.partition("    variants")[0] + "    variants: [1]\n", "list of assignments"),
        (VARIANTS.replace("variants:", "variant:"), "optionally, variants"),
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


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "campaigns").glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_campaigns_are_read(path: Path) -> None:
    assert read_campaign(path)


def test_the_ablation_changes_one_part_at_a_time_and_adds_one_after_the_other() -> None:
    """Each configuration once; each step of the cumulative order takes settings back and changes no other."""
    runs = read_campaign(ROOT / "results" / "campaigns" / "ablation.yaml")
    variants = {run.variant: set(run.settings) for run in runs}
    assert len({run.path(Path()) for run in runs}) == len(runs) == len(variants) * 2 * 3
    assert next(iter(variants)) == "full recipe"
    assert [run.seed for run in runs[:3]] == [0, 1, 2]
    order = [
        "base",
        "+ SSL",
        "+ quantum attention",
        "+ temperature fusion",
        "+ focal loss",
        "without TTA",
        "full recipe",
    ]
    steps = [variants[name] for name in order]
    assert all(after < before for before, after in pairwise(steps))
    alone = [settings for name, settings in variants.items() if name not in (*order[:5], "full recipe", "without SSL")]
    assert all(len(settings) == 1 for settings in alone)


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
    line, n_failed = execute((run,), tmp_path, "cpu", threads=1, folder=tmp_path)
    assert n_failed == 0, line
    assert line.startswith("coordinates-1nn on synthetic-tiny, count:2, seed 0: OA ")
    assert run.path(tmp_path).exists()
    assert not failed.exists()


def test_costs_come_from_the_nearest_records(tmp_path: Path) -> None:
    from hsilib import run as run_config

    config = replace(recipe("coordinates-1nn"), scene="synthetic-tiny", split="count:2")
    record, _ = run_config(config)
    for i, seconds in enumerate((10.0, 30.0, 50.0)):
        timed = replace(record, timing={"fit_s": seconds, "predict_s": 0.0, "seeds_together": 10})  # no seconds
        write_record(timed, tmp_path / f"seed-{i}-x.json")
    known = Run("coordinates-1nn", "synthetic-tiny", "count:2", 7)
    other_split = Run("coordinates-1nn", "indian-pines", "percent:0.5", 7)
    unknown = Run("svm", "synthetic-tiny", "count:2", 7)
    costs = estimate_costs([known, other_split, unknown], tmp_path)
    assert costs[known] == START_UP_S + 30.0
    assert costs[other_split] == START_UP_S + 30.0
    assert costs[unknown] == START_UP_S + 60.0


def test_costs_of_a_variant_come_from_its_own_records_where_there_are_any(tmp_path: Path) -> None:
    from hsilib import run as run_config
    from hsilib import with_overrides

    own, changed, unknown = (
        Run("superpixel-vote", "synthetic-tiny", "count:5", 0, settings)
        for settings in ((), ("n_components=2",), ("n_components=4",))
    )
    for run, seconds in ((own, 10.0), (changed, 50.0)):
        config = with_overrides(recipe(run.recipe), list(run.settings))
        record, _ = run_config(replace(config, scene=run.scene, split=run.split))
        write_record(replace(record, timing={"fit_s": seconds, "predict_s": 0.0}), run.path(tmp_path))
    costs = estimate_costs([own, changed, unknown], tmp_path)
    assert [costs[run] - START_UP_S for run in (own, changed, unknown)] == [10.0, 50.0, 30.0]


# --- how the runs are handed out


def test_seeds_of_a_network_are_one_task_where_they_are_trained_together(tmp_path: Path) -> None:
    networks, rules = ([Run(name, "synthetic-tiny", "count:5", seed) for seed in (0, 1)] for name in ("quick", "svm"))
    variant = Run("quick", "synthetic-tiny", "count:5", 0, ("fit.epochs=2",))
    runs = [*networks, *rules, variant]
    assert tasks_of(runs, together=False) == [(run,) for run in runs]
    assert tasks_of(runs, together=True) == [tuple(networks), (rules[0],), (rules[1],), (variant,)]
    assert networks[0].arguments([4, 7])[-3:] == ["--seed", "4", "7"]


class Launched:
    """Stands for `subprocess.run`: writes the records of some seeds and ends with a code."""

    def __init__(self, records: Path, written: tuple[int, ...], code: int) -> None:
        self.records, self.written, self.code = records, written, code
        self.commands: list[list[str]] = []
        self.threads: list[str | None] = []
        self.spinning: list[str | None] = []

    def __call__(self, command: list[str], env: dict[str, str], **_: Any) -> SimpleNamespace:
        self.commands.append(command)
        self.threads.append(env.get("OMP_NUM_THREADS"))
        self.spinning.append(env.get("GOMP_SPINCOUNT"))
        for seed in self.written:
            path = Run("quick", "synthetic-tiny", "count:5", seed).path(self.records)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return SimpleNamespace(returncode=self.code, stdout="quick on it\nits.json\nother\n", stderr="first\nlast")


def test_a_task_skips_what_is_recorded_and_names_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task: Task = tuple(Run("quick", "synthetic-tiny", "count:5", seed) for seed in (0, 1, 2))
    launched = Launched(tmp_path, (0, 1), 1)
    launched([], {})
    task[1].path(tmp_path).unlink()
    launched.commands.clear()
    monkeypatch.setattr(subprocess, "run", launched)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)

    line, n_failed = execute(task, tmp_path, "cpu", threads=3, folder=tmp_path)
    (command,) = launched.commands
    assert command[command.index("--seed") + 1 :][:2] == ["1", "2"]
    assert command[:3] == [sys.executable, "-m", "onepercent.cli"]
    assert (launched.threads[-1], launched.spinning[-1]) == ("3", "30000")
    assert n_failed == 1
    assert line.splitlines()[0] == "quick on it"
    assert line.splitlines()[1].endswith("--seed 1 2: last")
    (failure,) = tmp_path.rglob("failed-*.json")
    assert json.loads(failure.read_text())["seed"] == 2

    launched.written = (2,)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert execute(task, tmp_path, "cpu", threads=None, folder=tmp_path) == ("quick on it", 0)
    assert (launched.threads[-1], launched.spinning[-1]) == (os.environ.get("OMP_NUM_THREADS"), "7")
    assert not failure.exists()
    assert execute(task, tmp_path, "cpu", threads=None, folder=tmp_path)[1] == 0
    assert len(launched.commands) == 2, "all are recorded, nothing is started"


@pytest.mark.parametrize(
    ("cuda", "workers", "cores", "n_tasks", "threads"),
    [
        (False, None, 4, 4, 1),
        (False, None, 16, 4, 4),  # four runs on sixteen cores
        (False, 2, 4, 4, 2),
        (True, None, 8, 1, 8),
    ],
)
def test_workers_are_chosen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cuda: bool,
    workers: int | None,
    cores: int,
    n_tasks: int,
    threads: int,
) -> None:
    used: list[tuple[Task, int]] = []
    monkeypatch.setattr(sweep_module, "execute", lambda task, threads, **_: (used.append((task, threads)), ("", 0))[1])
    monkeypatch.setattr(sweep_module, "find_device", lambda _: torch.device("cuda" if cuda else "cpu"))
    monkeypatch.setattr(sweep_module, "usable_cores", lambda: cores)
    text = GRID.replace("coordinates-1nn", "quick").replace(", {other}", "")
    assert sweep(campaign(tmp_path, seeds="4", text=text), tmp_path / "records", workers) == 0
    assert len(used) == n_tasks
    assert {chosen for _, chosen in used} == {threads}
    assert sum(len(task) for task, _ in used) == 4


def metrics_below(folder: Path) -> dict[tuple[str, int], Any]:
    return {(record.recipe, record.seed): record.metrics for record in read_records(folder)}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_cluster_gives_the_same_records_even_if_a_worker_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from distributed import Client, LocalCluster

    from hsilib import run as run_config

    recipes = ("coordinates-1nn", "superpixel-vote")
    path = campaign(tmp_path, seeds="3", text=GRID.replace("coordinates-1nn", ", ".join(recipes)))
    cells = [(name, seed) for name in recipes for seed in range(3)]
    configs = [replace(recipe(name), scene="synthetic-tiny", split="count:2", seed=seed) for name, seed in cells]
    expected = {cell: run_config(config)[0].metrics for cell, config in zip(cells, configs, strict=True)}
    there = tmp_path / "there"
    killed: list[int] = []

    def kill_one(address: str) -> None:
        with Client(address, set_as_default=False) as client:
            while not list(there.rglob("seed-*.json")):
                time.sleep(0.05)
            killed.append(next(iter(client.run(os.getpid).values())))
        os.kill(killed[0], signal.SIGKILL)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster:
        thread = threading.Thread(target=kill_one, args=[cluster.scheduler_address])
        thread.start()
        assert sweep(path, there, scheduler=cluster.scheduler_address) == 0
        thread.join()
    assert killed
    assert "[6/6," in capsys.readouterr().out
    assert metrics_below(there) == expected
    assert not list(there.rglob("failed-*"))


@pytest.mark.slow
def test_a_local_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from onepercent.cli import main

    arguments = [str(campaign(tmp_path, seeds="2")), "--records", str(tmp_path / "records"), "--scheduler", "local"]
    assert main(["sweep", *arguments]) == 0
    assert "2 to do" in capsys.readouterr().out
    assert len(metrics_below(tmp_path / "records")) == 2
    assert main(["sweep", *arguments]) == 0
    assert "0 to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--workers", "0"], ["--workers", "two"], ["--workers", "2", "--scheduler", "local"]]
)
def test_workers_that_mean_nothing(tmp_path: Path, wrong: list[str]) -> None:
    from onepercent.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(campaign(tmp_path)), *wrong])
    assert ended.value.code == 2
