"""Campaigns: a grid of recipe × scene × split × seed, run to the end whatever single runs do.

A campaign file says what is run, and when it ends, before anything is run::

    purpose: What the campaign is to find out.
    stopping_rule: When it ends; which runs may be left out, and why that is no choice by results.
    grid:
      - recipes: [svm, random-forest]
        scenes: [indian-pines]
        splits: ["percent:0.01"]
        seeds: 10            # 0 to 9
      - recipes: [quick]
        scenes: [indian-pines]
        splits: ["percent:0.01"]
        seeds: 10
        variants:            # optional: a label and what --set changes; the seeds are the same for all
          without attention: [model.attention=none]

Each run is the command ``hsilib run`` in a process of its own: a crash takes nothing else with it,
memory is measured run by run, and anybody can repeat one by hand.

Contents: `Run`, `read_campaign`, `sweep`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from hsilib.config import with_overrides
from hsilib.data.catalog import catalog
from hsilib.data.load import availability
from hsilib.errors import InputError
from hsilib.files import ensure_writable, write_atomically
from hsilib.models.method import MethodOptions
from hsilib.recipes import recipe
from hsilib.reporting.query import Results
from hsilib.reporting.records import read_records, record_id, record_path

GRID_KEYS = ("recipes", "scenes", "splits", "seeds")  # and, optionally, variants
UNKNOWN_COST_S = 60.0
START_UP_S = 4.0  # a process, its imports and the scene, which no record counts


@dataclass(frozen=True)
class Run:
    """One cell of a campaign's grid.

    Attributes
    ----------
    settings : assignments as for ``--set``.
    variant : what the campaign calls these settings.
    """

    recipe: str
    scene: str
    split: str
    seed: int
    settings: tuple[str, ...] = ()
    variant: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The recipe with its settings, as a query names them."""
        return f"{self.recipe}[{';'.join(self.settings)}]" if self.settings else self.recipe

    @property
    def method(self) -> MethodOptions:
        """What is run."""
        return with_overrides(recipe(self.recipe), list(self.settings)).method

    def path(self, records: Path) -> Path:
        """Where its record stands or will stand."""
        identity = record_id(self.method, self.scene, self.split, self.seed)
        return record_path(records, self.scene, self.split, self.recipe, self.seed, identity)

    def arguments(self) -> list[str]:
        """What to give to ``hsilib``."""
        where = ["--scene", self.scene, "--split", self.split, "--seed", str(self.seed)]
        return ["run", self.recipe, *where, *(text for setting in self.settings for text in ("--set", setting))]


def read_campaign(path: str | Path) -> list[Run]:
    """Every run of a campaign file, in the order it is written there, each once.

    Raises
    ------
    InputError : no such file, no purpose or stopping rule, an unknown key, recipe or setting.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable campaign file ({error}).") from error
    if not isinstance(content, dict) or set(content) != {"purpose", "stopping_rule", "grid"}:
        raise InputError(f"{path}: a campaign has exactly the keys purpose, stopping_rule and grid.")
    runs: dict[Path, Run] = {}  # by record: what is the same run under two names is listed once
    for part in content["grid"]:
        if not isinstance(part, dict) or set(part) - {"variants"} != set(GRID_KEYS):
            raise InputError(
                f"{path}: each part of the grid has exactly the keys {', '.join(GRID_KEYS)} and, optionally, variants."
            )
        seeds = range(part["seeds"]) if isinstance(part["seeds"], int) else part["seeds"]
        variants = _read_variants(path, part)
        cells = product(part["recipes"], variants.items(), part["scenes"], part["splits"], seeds)
        for name, (label, settings), scene, split, seed in cells:
            run = Run(name, scene, split, seed, settings, label)
            runs.setdefault(run.path(Path()), run)
    return list(runs.values())


def _read_variants(path: Path, part: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Label → assignments, each tried on each recipe of the part."""
    for name in part["recipes"]:
        recipe(name)
    if "variants" not in part:
        return {"": ()}
    variants = part["variants"]
    if not isinstance(variants, dict) or not all(
        isinstance(settings, list) and all(isinstance(setting, str) for setting in settings)
        for settings in variants.values()
    ):
        raise InputError(f"{path}: variants give each label a list of assignments, such as [fit.epochs=100].")
    for label, settings in variants.items():
        for name in part["recipes"]:
            try:
                with_overrides(recipe(name), settings)
            except InputError as error:
                raise InputError(f"{path}: variant {label!r} of {name}: {error}") from error
    return {str(label): tuple(settings) for label, settings in variants.items()}


def sweep(campaign: str | Path, records: Path, workers: int = 1, device: str = "auto") -> int:
    """Run what has no record yet, longest first; print a line a finished run and a table at the end.

    Parameters
    ----------
    campaign : the file. records : the folder of records. workers : runs at a time.
    device : as for ``hsilib run``.

    Returns
    -------
    How many runs failed. Each leaves a file ``failed-…json`` with its error where its record would be.
    """
    runs = read_campaign(campaign)
    ensure_writable(records)
    here = [run for run in runs if _at_hand(run)]
    for scene in sorted({run.scene for run in runs} - {run.scene for run in here}):
        print(f"skipped: {scene} is not at hand (hsilib fetch {scene})", flush=True)
    todo = [run for run in here if not run.path(records).exists()]
    print(f"{len(runs)} runs: {len(here) - len(todo)} recorded, {len(todo)} to do", flush=True)
    costs = estimate_costs(todo, records)
    todo.sort(key=lambda run: -costs[run])
    threads = max(1, (os.cpu_count() or 1) // workers)
    started, failed, left = time.perf_counter(), 0, sum(costs.values())
    total = left
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(execute, run, records, device, threads): run for run in todo}
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                run, (outcome, ok) = jobs[job], job.result()
                failed += not ok
                left -= costs[run]
                pace = (time.perf_counter() - started) / max(total - left, 1e-9)
                print(f"[{done}/{len(todo)}, {_clock(pace * left)} left] {outcome}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    print_table(here, records)
    return failed


def execute(run: Run, records: Path, device: str, threads: int) -> tuple[str, bool]:
    """Do one run in a process of its own; return a line about it and whether it succeeded."""
    command = [sys.executable, "-m", "hsilib.cli", *run.arguments(), "--records", str(records), "--device", device]
    # Progress bars of several processes at once would be unreadable; each finished run gets a line instead.
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    path = run.path(records)
    failure = path.with_name(f"failed-{path.name.removeprefix('seed-')}")
    if result.returncode == 0:
        failure.unlink(missing_ok=True)
        return result.stdout.strip().splitlines()[0], True
    error = result.stderr.strip() or f"ended with signal or code {result.returncode}"
    with write_atomically(failure) as stream:
        stream.write(json.dumps({**asdict(run), "returncode": result.returncode, "error": error}, indent=1).encode())
    return f"FAILED {' '.join(run.arguments())}: {error.splitlines()[-1]}", False


def estimate_costs(runs: Iterable[Run], records: Path) -> dict[Run, float]:
    """Seconds that each run should take, from records of the same recipe; the nearest kind of cell counts."""
    runs = list(runs)
    known: dict[tuple[str, ...], list[float]] = {}
    for record in read_records(records):
        seconds = sum(record.timing.values())
        cell = (record.recipe, record.split["spec"], record.scene, _cost_key(record.config))
        for length in (1, 2, 3, 4):
            known.setdefault(cell[:length], []).append(seconds)
    costs = {}
    for run in runs:
        cell = (run.recipe, run.split, run.scene, _cost_key(asdict(run.method)))  # type: ignore[call-overload]
        found = next((known[cell[:n]] for n in (4, 3, 2, 1) if cell[:n] in known), [UNKNOWN_COST_S])
        costs[run] = START_UP_S + statistics.median(found)
    return costs


def _cost_key(config: dict[str, Any]) -> str:
    """A record's configuration, to be found by; JSON has lists where options have tuples."""
    return json.dumps(config, sort_keys=True, default=str)


def print_table(runs: Iterable[Run], records: Path) -> None:
    """Overall accuracy of every cell: mean ± standard deviation in percent, and the number of seeds."""
    results = Results(records)
    cells = {(run.scene, run.split, run.name): run for run in runs}
    labels = {cell: f"{run.recipe}, {run.variant}" if run.variant else run.recipe for cell, run in cells.items()}
    width = max(map(len, [*labels.values(), "recipe"]))
    print(f"\n{'scene':24} {'split':24} {'recipe':{width}} {'OA %':>13} {'seeds':>6}")
    for (scene, split, name), label in labels.items():
        if results.cell(scene, split, name):
            cell = f"{scene}/{split}/{name}/overall_accuracy"
            mean, spread, n = (results.query(f"{cell}:{statistic}").value for statistic in ("mean", "std", "n"))
            print(f"{scene:24} {split:24} {label:{width}} {100 * mean:6.2f} ± {100 * spread:4.2f} {n:6.0f}")
        else:
            print(f"{scene:24} {split:24} {label:{width}} {'no record':>13}")


def _at_hand(run: Run) -> bool:
    if run.scene not in catalog():
        return True  # generated or the reader's own file
    enough = ("yes",) if recipe(run.recipe).method.uses_spectra else ("yes", "labels only")
    return availability(run.scene) in enough


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
