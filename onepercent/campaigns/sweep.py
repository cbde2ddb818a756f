"""`sweep`: every run of a campaign that has no record yet, here or on a cluster.

Each task is the command ``hsilib run`` in a process of its own: a crash takes nothing else with it, memory is
measured run by run, and anybody can repeat one by hand. Records are written whole or not at all, and what has one
is not run again, so it does no harm if a task is done twice.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from hsilib.cluster import connect, run_tasks
from hsilib.data.catalog import catalog
from hsilib.data.load import availability
from hsilib.files import ensure_writable, write_atomically
from hsilib.network_method import NetworkOptions
from hsilib.records import read_records
from hsilib.training.device import find_device
from onepercent.campaigns.campaign import Run, read_campaign
from onepercent.campaigns.spinning import SPINNING
from onepercent.recipes import recipe
from onepercent.report.query import Results

UNKNOWN_COST_S = 60.0
START_UP_S = 4.0  # a process, its imports and the scene, which no record counts

Task = tuple[Run, ...]  # runs that differ in their seed only
Outcome = tuple[str, int]  # a line a run, and how many of the runs failed


def sweep(
    campaign: str | Path,
    records: Path,
    workers: int | None = None,
    device: str = "auto",
    scheduler: str | None = None,
) -> int:
    """Run what has no record yet, longest first; print a line a finished run and a table at the end.

    Parameters
    ----------
    campaign : the file. records : the folder of records.
    workers : tasks at a time; None takes what is fastest. On the CPU that is a run a core, with one thread each;
        on a GPU one task, in which all seeds of a network are trained together.
    device : as for ``hsilib run``.
    scheduler : a dask scheduler that hands out the tasks instead, see `connect`. Its workers must see this folder
        and that of the records under the same names. On it the seeds of a network are one task with
        ``device="cuda"`` only, and a worker's own environment says how many threads a task has.

    Returns
    -------
    How many runs failed. Each leaves a file ``failed-…json`` with its error where its record would be.

    Raises
    ------
    InputError : a campaign, folder, device or scheduler that cannot be used.
    """
    runs = read_campaign(campaign)
    cuda = device == "cuda" if scheduler else find_device(device).type == "cuda"
    records = ensure_writable(records).resolve()
    here = [run for run in runs if _at_hand(run)]
    for scene in sorted({run.scene for run in runs} - {run.scene for run in here}):
        print(f"skipped: {scene} is not at hand (hsilib fetch {scene})", flush=True)
    todo = [run for run in here if not run.path(records).exists()]
    print(f"{len(runs)} runs: {len(here) - len(todo)} recorded, {len(todo)} to do", flush=True)
    single_costs = estimate_costs(todo, records)
    costs = {task: sum(single_costs[run] for run in task) for task in tasks_of(todo, together=cuda)}
    tasks = sorted(costs, key=lambda task: -costs[task])
    workers = min(workers or (1 if cuda else usable_cores()), max(1, len(tasks)))
    threads = None if scheduler else max(1, usable_cores() // workers)
    do = partial(execute, records=records, device=device, threads=threads, folder=Path.cwd())
    finished = _on_cluster(do, tasks, scheduler) if scheduler else _side_by_side(do, tasks, workers)
    started, failed, left = time.perf_counter(), 0, sum(costs.values())
    total = left
    for done, (task, (outcome, n_failed)) in enumerate(finished, start=1):
        failed += n_failed
        left -= costs[task]
        pace = (time.perf_counter() - started) / max(total - left, 1e-9)
        print(f"[{done}/{len(tasks)}, {_clock(pace * left)} left] {outcome}", flush=True)
    print_table(here, records)
    return failed


def tasks_of(runs: Iterable[Run], together: bool) -> list[Task]:
    """Runs as tasks; if ``together``, the seeds of a network are one."""
    tasks: dict[Run, list[Run]] = {}
    for run in runs:
        stacks = together and isinstance(run.method, NetworkOptions)
        tasks.setdefault(replace(run, seed=0) if stacks else run, []).append(run)
    return [tuple(task) for task in tasks.values()]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _side_by_side(do: Callable[[Task], Outcome], tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, Outcome]]:
    """Results in order of completion; after an interruption no further task begins."""
    with ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(do, task): task for task in tasks}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_cluster(do: Callable[[Task], Outcome], tasks: Sequence[Task], scheduler: str) -> Iterator[tuple[Task, Outcome]]:
    with connect(scheduler) as client:
        yield from run_tasks(client, do, tasks)


def execute(task: Task, records: Path, device: str, threads: int | None, folder: Path) -> Outcome:
    """Do what of a task has no record yet, in a process of its own.

    Parameters
    ----------
    threads : for the process; None leaves that to the environment.
    folder : where the process runs; files of one's own, and what an interrupted run goes on from, are found there.
    """
    left = [run for run in task if not run.path(records).exists()]
    if not left:
        return f"recorded meanwhile: {' '.join(task[0].arguments([run.seed for run in task]))}", 0
    arguments = left[0].arguments([run.seed for run in left])
    command = [sys.executable, "-m", "onepercent.cli", *arguments, "--records", str(records), "--device", device]
    # Progress bars of several processes at once would be unreadable; each finished run gets a line instead.
    environment = {**SPINNING, **os.environ, "TQDM_DISABLE": "1"} | (
        {"OMP_NUM_THREADS": str(threads)} if threads else {}
    )
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    lines = [line for line in result.stdout.splitlines() if line.startswith(f"{left[0].recipe} on ")]
    error = result.stderr.strip() or f"ended with signal or code {result.returncode}"
    n_failed = 0
    for run in left:
        path = run.path(records)
        failure = path.with_name(f"failed-{path.name.removeprefix('seed-')}")
        if path.exists():
            failure.unlink(missing_ok=True)
            continue
        n_failed += 1
        content = {**asdict(run), "returncode": result.returncode, "error": error}
        with write_atomically(failure) as stream:
            stream.write(json.dumps(content, indent=1).encode())
    if n_failed:
        lines.append(f"FAILED {' '.join(arguments)}: {error.splitlines()[-1]}")
    return "\n".join(lines), n_failed


def estimate_costs(runs: Iterable[Run], records: Path) -> dict[Run, float]:
    """Seconds that each run should take, from records of the same recipe; the nearest kind of cell counts."""
    runs = list(runs)
    known: dict[tuple[str, ...], list[float]] = {}
    for record in read_records(records):
        seconds = sum(value for name, value in record.timing.items() if name.endswith("_s"))
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
