"""``hsilib bench``: run a benchmark."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from onepercent.cli.common import device_option, table

if TYPE_CHECKING:
    from onepercent.bench.comparison import Report
    from onepercent.cli.common import Commands

NAMES = ("dense", "pipeline", "growth", "seeds", "train", "raster", "cluster", "rerun")  # of onepercent.bench.registry
FOLDER = Path("results/bench")


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    benching = commands.add_parser("bench", help="time both sides of a comparison on this machine")
    benching.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    benching.add_argument("--json", action="store_true", help="one JSON object on standard output")
    benching.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=FOLDER,
        metavar="FOLDER",
        help=f"also store the report in a folder ({FOLDER}), as NAME-cpu.json or NAME-GPU.json",
    )
    device_option(benching)
    benching.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    benching.set_defaults(command=run_benchmark)


def run_benchmark(options: argparse.Namespace) -> None:
    """Run one benchmark, print what it found and, if asked for, store it."""
    import torch

    from hsilib.errors import InputError, unknown_name
    from hsilib.files import ensure_writable
    from hsilib.provenance import machine
    from hsilib.training.device import find_device
    from onepercent.bench.registry import BENCHMARKS
    from onepercent.report.benchmarks import write_benchmark

    if options.name not in BENCHMARKS:
        raise unknown_name("benchmark", options.name, BENCHMARKS)
    if options.threads < 1:
        raise InputError(f"--threads is {options.threads}; expected at least 1.")
    torch.set_num_threads(options.threads)
    device = find_device(options.device)
    if options.write:
        ensure_writable(options.write)  # before the long part, not after it
    started = datetime.now(UTC)
    report = BENCHMARKS[options.name](device)
    content = report.as_dict() | {"provenance": machine(device, started)}
    print(json.dumps(content, indent=1) if options.json else described(report))
    if options.write:
        path = write_benchmark(options.write, content, cuda=device.type == "cuda")
        print(path, file=sys.stderr if options.json else sys.stdout)


def described(report: Report) -> str:
    """Medians with their spread, ratios, then every further figure."""
    rows = [("COMPARISON", "BASELINE", "OURS", "RATIO", "FROM – TO")]
    for comparison in report.comparisons:
        low, high = comparison.ratio_range
        rows.append(
            (
                comparison.what,
                f"{comparison.baseline}: {_seconds(comparison.baseline_s)}",
                f"{comparison.ours}: {_seconds(comparison.ours_s)}",
                f"{comparison.ratio:.2f}",
                f"{low:.2f} – {high:.2f}",
            )
        )
    facts = [f"{name}: {value}" for name, value in report.facts.items()]
    return "\n".join([table(rows), *facts])


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.4g} s"
