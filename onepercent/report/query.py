"""Ask the records for a number: ``SCENE/SPLIT/RECIPE/METRIC:STATISTIC``.

A recipe with other settings is its name with the assignments of ``--set`` in brackets:
``paper[tta=0;fit.loss.name=cross-entropy]``. Several queries joined by `` - ``, `` + `` or `` / `` are reckoned
from left to right seed by seed, over the seeds that all of them have; the statistic at the end is of the outcome. Of
ratios (the last sign is `` / ``) the mean is the geometric one.
"""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsilib.config import with_overrides
from hsilib.errors import InputError, unknown_name
from hsilib.method import SEEDS_TOGETHER
from hsilib.records import Record, read_records, record_id
from onepercent.recipes import RECIPES, recipe
from onepercent.report.derived import DERIVED
from onepercent.report.statistics import (
    RATIO_STATISTICS,
    STATISTICS,
    PairedDifference,
    confidence_half_width,
    p_value,
)

DEFAULT_RECORDS = Path("results/records")
TERM = re.compile(r"([^/]+)/([^/]+)/([^/\[\]]+(?:\[[^\]]*\])?)/([^/:\s]+)(?::(\S+))?")

OPERATORS: dict[str, Callable[[float, float], float]] = {
    "-": operator.sub,
    "+": operator.add,
    "/": operator.truediv,
}


class NotMeasuredError(InputError):
    """The question is a good one, but no record answers it; the message gives the command."""


def in_checkout(relative: str | Path) -> Path | None:
    """A file or folder of the checkout that the working directory lies in; None where there is no such thing.

    The working directory comes first, then its parents.
    """
    here = Path.cwd()
    return next((up / relative for up in (here, *here.parents) if (up / relative).exists()), None)


def records_folder() -> Path:
    """``results/records`` of the checkout; where there is none, the relative path that ``hsilib run`` writes to."""
    return in_checkout(DEFAULT_RECORDS) or DEFAULT_RECORDS


def split_variant(name: str) -> tuple[str, tuple[str, ...]]:
    """``recipe[key=value;key=value]`` → the recipe's name and the assignments."""
    base, bracket, rest = name.partition("[")
    return base, tuple(rest.removesuffix("]").split(";")) if bracket else ()


def query_cells(text: str) -> list[tuple[str, str, str]]:
    """Scene, split and recipe of every part of a query.

    Raises
    ------
    InputError : not a query.
    """
    return [(match[1], match[2], match[3]) for match in _parsed(text)[1]]


def run_command(cell: str) -> str:
    """The command that measures one more seed of a cell ``SCENE/SPLIT/RECIPE``."""
    scene, split, name = cell.split("/", 2)
    base, settings = split_variant(name)
    changes = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    return f"hsilib run {base} --scene {scene} --split {split}{changes}"


@dataclass(frozen=True)
class Answer:
    """A number, the value of each seed that it is a statistic of, and the records these come from.

    Attributes
    ----------
    ratio : the values are ratios, whose mean is geometric.
    """

    value: float
    values: tuple[float, ...]
    records: tuple[Record, ...]
    ratio: bool = False

    def source(self) -> str:
        """One line on where the number comes from, for a tooltip."""
        seeds = sorted({record.seed for record in self.records})
        shown = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({seeds[0]}…{seeds[-1]})"
        what = {f"{record.recipe} on {record.scene}, {record.split['spec']}": None for record in self.records}
        commits = sorted({(record.provenance["git_commit"] or "no commit")[:8] for record in self.records})
        data = sorted({record.provenance["data_sha256"][:8] for record in self.records})
        device = self.records[0].provenance["device"]
        return f"{' and '.join(what)}, {shown}; commit {', '.join(commits)}; data {', '.join(data)}; {device}"


def paired_difference(
    pairs: Sequence[tuple[Record, Record]], metric: str = "overall_accuracy"
) -> PairedDifference | None:
    """Compare pairs from `Results.pairs` by a metric, named as in a query; None without a pair."""
    if not pairs:
        return None
    values = tuple(_number(a, metric) - _number(b, metric) for a, b in pairs)
    seeds = tuple(a.seed for a, _ in pairs)
    mean, half_width = STATISTICS["mean"](values), confidence_half_width(values)
    return PairedDifference(seeds, values, mean, half_width, p_value(values))


def has_recipes_own_settings(record: Record) -> bool:
    """Whether a record is of a recipe that exists, run without ``--set``."""
    return record.recipe in RECIPES and _is_of(record, recipe(record.recipe).method)


class Results:
    """The records below a folder, read once. Under a recipe's bare name only runs with its own settings count.

    Parameters
    ----------
    folder : for example ``results/records``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._records: dict[tuple[str, str, str], list[Record]] = {}
        for record in read_records(folder):
            self._records.setdefault((record.scene, record.split["spec"], record.recipe), []).append(record)
        self._cells: dict[tuple[str, str, str], list[Record]] = {}

    def cell(self, scene: str, split: str, name: str) -> list[Record]:
        """Every seed's record of one cell, by seed; empty where nothing was run.

        Parameters
        ----------
        name : a recipe, or ``recipe[key=value;key=value]`` for one with other settings.

        Raises
        ------
        InputError : an unknown recipe, or a setting that it does not have.
        """
        if (scene, split, name) not in self._cells:
            base, settings = split_variant(name)
            method = with_overrides(recipe(base), list(settings)).method
            found = [r for r in self._records.get((scene, split, base), []) if _is_of(r, method)]
            self._cells[scene, split, name] = sorted(found, key=lambda record: record.seed)
        return list(self._cells[scene, split, name])

    def pairs(self, first: str, second: str) -> list[tuple[Record, Record]]:
        """The records of two cells ``SCENE/SPLIT/RECIPE`` that share a seed, by seed.

        Raises
        ------
        InputError : not the name of a cell, or a setting that the recipe does not have.
        """
        sides = []
        for cell in (first, second):
            parts = cell.split("/", 2)
            if len(parts) != 3:
                raise InputError(f"cell {cell!r}: expected SCENE/SPLIT/RECIPE.")
            sides.append({record.seed: record for record in self.cell(parts[0], parts[1], parts[2])})
        return [(sides[0][seed], sides[1][seed]) for seed in sorted(sides[0].keys() & sides[1].keys())]

    def query(self, text: str, device: str = "") -> Answer:
        """Answer ``SCENE/SPLIT/RECIPE/METRIC`` with ``:mean`` (the default) or another statistic.

        A statistic is one of ``STATISTICS``, or ``seed-0`` for the value of one seed. METRIC is a key of the record's
        metrics, or a dotted path such as ``timing.fit_s`` or ``split.leakage.contains``.

        Several of them with a sign and spaces between, such as ``A - B:ci95``, are paired by seed. A difference of two
        also has the statistic ``p``, two-sided, of the paired t-test.

        Parameters
        ----------
        device : only records of a device with this in its name count, such as ``T4``. For what a training costs,
            those of seeds that were trained at once do not count.

        Raises
        ------
        NotMeasuredError : nothing was recorded for it.
        InputError : an unknown recipe, metric, setting or statistic.
        """
        signs, matches = _parsed(text)
        cells = [
            [r for r in self.cell(m[1], m[2], m[3]) if device in r.provenance["device"] and not _is_shared(r, m[4])]
            for m in matches
        ]
        sides = [{record.seed: record for record in cell} for cell in cells]
        statistic = matches[-1][5] or "mean"
        seeds = sorted(set.intersection(*map(set, sides)))
        if statistic.startswith("seed-"):
            seeds = [seed for seed in seeds if f"seed-{seed}" == statistic]
            statistic = "mean"
        if not seeds:
            empty = [m for m, side in zip(matches, sides, strict=True) if not side] or matches
            commands = dict.fromkeys(run_command(f"{m[1]}/{m[2]}/{m[3]}") for m in empty)
            raise NotMeasuredError(f"query {text!r}: not measured yet. Run: {'; '.join(commands)}")
        ratio = signs[-1:] == ["/"]
        known = RATIO_STATISTICS if ratio else {**STATISTICS, "p": p_value} if signs == ["-"] else STATISTICS
        if statistic not in known:
            raise unknown_name("statistic", statistic, known)
        columns = [[_number(side[seed], m[4]) for seed in seeds] for m, side in zip(matches, sides, strict=True)]
        values = columns[0]
        for sign, column in zip(signs, columns[1:], strict=True):
            if sign == "/" and 0 in column:
                raise InputError(f"query {text!r}: a divisor is 0.")
            values = list(map(OPERATORS[sign], values, column))
        if ratio and min(values) <= 0:
            raise InputError(f"query {text!r}: a ratio of numbers that are not above 0 has no geometric mean.")
        records = tuple(side[seed] for side in sides for seed in seeds)
        return Answer(known[statistic](values), tuple(values), records, ratio)


def _parsed(text: str) -> tuple[list[str], list[re.Match[str]]]:
    """The signs between the parts of a query, and the parts: scene, split, recipe, metric, statistic or None."""
    parts = re.split(r"\s+([-+/])\s+", text.strip())
    matches = [match for match in map(TERM.fullmatch, parts[::2]) if match]
    if len(matches) < len(parts[::2]) or any(match[5] for match in matches[:-1]):
        form = "SCENE/SPLIT/RECIPE/METRIC:STATISTIC"
        raise InputError(f"query {text!r}: expected {form}, or several of them with the statistic at the end.")
    return parts[1::2], matches


def _is_of(record: Record, method: Any) -> bool:
    return record.id == record_id(method, record.scene, record.split["spec"], record.seed)


def _is_shared(record: Record, metric: str) -> bool:
    """Whether it is a cost of several seeds at once, which says nothing about a single run."""
    return SEEDS_TOGETHER in record.timing and metric in ("timing.pretrain_s", "timing.fit_s", "memory.peak_mb")


def _number(record: Record, metric: str) -> float:
    if metric.startswith("derived."):
        name = metric.removeprefix("derived.")
        if name not in DERIVED:
            raise unknown_name("derived metric", name, DERIVED)
        return DERIVED[name](record)
    value: Any = record.metrics if "." not in metric else vars(record)
    for key in metric.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(f"{record.path}: no {metric!r} in this record.")
        value = value[key]
    return float(value)
