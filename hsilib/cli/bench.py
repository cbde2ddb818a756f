"""``hsilib bench``: run a benchmark."""

from __future__ import annotations

import argparse
import json
import statistics
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import torch

from hsilib.bench.comparison import Report
from hsilib.bench.registry import BENCHMARKS
from hsilib.cli.common import table
from hsilib.experiment import find_device, machine

if TYPE_CHECKING:
    from hsilib.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    benching = commands.add_parser("bench", help="time both sides of a comparison on this machine")
    benching.add_argument("name", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    benching.add_argument("--json", action="store_true", help="one JSON object on standard output")
    benching.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes CUDA when found"
    )
    benching.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    benching.set_defaults(command=run_benchmark)


def run_benchmark(options: argparse.Namespace) -> None:
    """Run one benchmark and print what it found."""
    torch.set_num_threads(options.threads)
    device = find_device(options.device)
    started = datetime.now(UTC)
    report = BENCHMARKS[options.name](device)
    if options.json:
        print(json.dumps(report.as_dict() | {"provenance": machine(device, started)}, indent=1))
    else:
        print(described(report))


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
