"""Campaigns: a grid of recipe × scene × split × seed, run to the end whatever single runs do.

A campaign file says what is run, and when it ends, before anything is run::

    purpose: What the campaign is to find out.
    stopping_rule: When it ends; which runs may be left out, and why that is no choice by results.
    grid:
      - recipes: [svm, random-forest]
        scenes: [indian-pines]
        splits: ["percent:0.01"]
        seeds: 10            # 0 to 9

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
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import yaml

from hsilib.config import recipe
from hsilib.data.catalog import catalog
from hsilib.data.load import availability
from hsilib.errors import InputError
from hsilib.files import ensure_writable, write_atomically
from hsilib.reporting.query import Results
from hsilib.reporting.records import read_records, record_id, record_path

GRID_KEYS = ("recipes", "scenes", "splits", "seeds")
UNKNOWN_COST_S = 60.0
START_UP_S = 4.0  # a process, its imports and the scene, which no record counts


@dataclass(frozen=True)
class Run:
    """One cell of a campaign's grid."""

    recipe: str
    scene: str
    split: str
    seed: int

    def path(self, records: Path) -> Path:
        """Where its record stands or will stand."""
        identity = record_id(recipe(self.recipe).method, self.scene, self.split, self.seed)
        return record_path(records, self.scene, self.split, self.recipe, self.seed, identity)

    def arguments(self) -> list[str]:
        """What to give to ``hsilib``."""
        where = ["--scene", self.scene, "--split", self.split, "--seed", str(self.seed)]
        return ["run", self.recipe, *where]


def read_campaign(path: str | Path) -> list[Run]:
    """Every run of a campaign file, in the order it is written there, each once.

    Raises
    ------
    InputError : no such file, no purpose or stopping rule, an unknown key or recipe.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable campaign file ({error}).") from error
    if not isinstance(content, dict) or set(content) != {"purpose", "stopping_rule", "grid"}:
        raise InputError(f"{path}: a campaign has exactly the keys purpose, stopping_rule and grid.")
    runs: dict[Run, None] = {}
    for part in content["grid"]:
        if not isinstance(part, dict) or set(part) != set(GRID_KEYS):
            raise InputError(f"{path}: each part of the grid has exactly the keys {', '.join(GRID_KEYS)}.")
        seeds = range(part["seeds"]) if isinstance(part["seeds"], int) else part["seeds"]
        for name in part["recipes"]:
            recipe(name)
        cells = product(part["recipes"], part["scenes"], part["splits"], seeds)
        runs |= dict.fromkeys(Run(*cell) for cell in cells)
    return list(runs)


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
    known: dict[tuple[str, ...], list[float]] = {}
    for record in read_records(records):
        seconds = record.timing["fit_s"] + record.timing["predict_s"]
        cell = (record.recipe, record.split["spec"], record.scene)
        for length in (1, 2, 3):
            known.setdefault(cell[:length], []).append(seconds)
    costs = {}
    for run in runs:
        cell = (run.recipe, run.split, run.scene)
        found = next((known[cell[:n]] for n in (3, 2, 1) if cell[:n] in known), [UNKNOWN_COST_S])
        costs[run] = START_UP_S + statistics.median(found)
    return costs


def print_table(runs: Iterable[Run], records: Path) -> None:
    """Overall accuracy of every cell: mean ± standard deviation in percent, and the number of seeds."""
    results = Results(records)
    print(f"\n{'scene':24} {'split':24} {'recipe':18} {'OA %':>13} {'seeds':>6}")
    for scene, split, name in dict.fromkeys((run.scene, run.split, run.recipe) for run in runs):
        if results.cell(scene, split, name):
            cell = f"{scene}/{split}/{name}/overall_accuracy"
            mean, spread, n = (results.query(f"{cell}:{statistic}").value for statistic in ("mean", "std", "n"))
            print(f"{scene:24} {split:24} {name:18} {100 * mean:6.2f} ± {100 * spread:4.2f} {n:6.0f}")
        else:
            print(f"{scene:24} {split:24} {name:18} {'no record':>13}")


def _at_hand(run: Run) -> bool:
    if run.scene not in catalog():
        return True  # generated or the reader's own file
    enough = ("yes",) if recipe(run.recipe).method.uses_spectra else ("yes", "labels only")
    return availability(run.scene) in enough


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
