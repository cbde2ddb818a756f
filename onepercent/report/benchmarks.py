"""Reports of ``hsilib bench`` on disk, ``results/bench/NAME-HARDWARE.json``, and the book's table of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsilib.errors import InputError
from hsilib.files import write_atomically
from onepercent.report.query import in_checkout

DEFAULT_BENCHMARKS = Path("results/bench")
COLUMNS = ("benchmark", "task", "baseline", "ours", "ratio", "from – to", "device", "measured")


@dataclass(frozen=True)
class Benchmark:
    """A stored report.

    Attributes
    ----------
    name : the benchmark's. hardware : ``cpu``, or a GPU's name in small letters with hyphens.
    comparisons, facts, provenance : as ``hsilib bench NAME --json`` prints them.
    """

    name: str
    hardware: str
    comparisons: list[dict[str, Any]]
    facts: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def measured(self) -> str:
        """Day and commit; a star marks a checkout with changes that were not committed."""
        commit = (self.provenance["git_commit"] or "no commit")[:9]
        return f"{self.provenance['started_utc'][:10]}, {commit}{'*' if self.provenance['dirty'] else ''}"


def write_benchmark(folder: str | Path, content: dict[str, Any], cuda: bool) -> Path:
    """Store what ``hsilib bench NAME --json`` prints; an older report of the same hardware is replaced.

    Parameters
    ----------
    content : with the keys ``benchmark`` and ``provenance``.
    cuda : measured on a GPU: the file is named after it, otherwise ``NAME-cpu.json``.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    device = content["provenance"]["device"]
    hardware = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") if cuda else "cpu"
    path = Path(folder) / f"{content['benchmark']}-{hardware}.json"
    with write_atomically(path) as stream:
        stream.write(json.dumps(content, indent=1).encode() + b"\n")
    return path


def read_benchmarks(folder: str | Path) -> list[Benchmark]:
    """Every report in ``folder``, by name and hardware, the CPU's first; none where there is no such folder.

    Raises
    ------
    InputError : a file that is no report.
    """
    reports = []
    for path in Path(folder).glob("*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            name = content["benchmark"]
            hardware = path.stem.removeprefix(f"{name}-")
            reports.append(Benchmark(name, hardware, content["comparisons"], content["facts"], content["provenance"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no report of a benchmark ({error!r}); `hsilib bench` writes them.") from error
    return sorted(reports, key=lambda report: (report.name, report.hardware != "cpu", report.hardware))


def benchmarks_folder() -> Path:
    """``results/bench`` of the checkout; where there is none, the relative path that `bench_command` writes to."""
    return in_checkout(DEFAULT_BENCHMARKS) or DEFAULT_BENCHMARKS


def bench_command(name: str) -> str:
    """The command that measures a benchmark here and stores its report."""
    return f"hsilib bench {name} --write"


def benchmark_table(reports: Sequence[Benchmark], names: Sequence[str]) -> str:
    """A Markdown table with a row a comparison, in the order of ``names``; one without a report gives its command."""
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for name in names:
        of_name = [report for report in reports if report.name == name]
        if not of_name:
            lines.append((f"**{name}**", f"not measured yet: `{bench_command(name)}`", *["–"] * (len(COLUMNS) - 2)))
        for report in of_name:
            lines += [comparison_row(report, comparison) for comparison in report.comparisons]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def comparison_row(report: Benchmark, comparison: dict[str, Any]) -> tuple[str, ...]:
    """The cells of one comparison, in the order of ``COLUMNS``; times are medians."""
    low, high = comparison["ratio_range"]
    return (
        f"**{report.name}**",
        comparison["what"],
        f"{comparison['baseline']}: {duration(comparison['baseline_median_s'])}",
        f"{comparison['ours']}: {duration(comparison['ours_median_s'])}",
        f"{comparison['ratio']:.3g}",
        f"{low:.3g} – {high:.3g}",
        report.provenance["device"],
        report.measured,
    )


def duration(seconds: float) -> str:
    """A time in the unit that suits it, to three digits at most: ``15 ms``, ``4.1 s``, ``52 min``, ``3.2 h``."""
    for unit, length, least in (("h", 3600, 6000), ("min", 60, 100), ("s", 1, 1)):
        if seconds >= least:
            return f"{_three_digits(seconds / length)} {unit}"
    return f"{_three_digits(1000 * seconds)} ms"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"
