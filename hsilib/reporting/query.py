"""Ask the records for a number: ``SCENE/SPLIT/RECIPE/METRIC:STATISTIC``.

Contents: `Results`, `Answer`, `confidence_half_width`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from hsilib.config import RECIPES, recipe
from hsilib.errors import InputError, unknown_name
from hsilib.reporting.records import Record, read_records, record_id

CONFIDENCE = 0.95


def confidence_half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean by Student's t; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan
    quantile = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(n)


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda v: float(np.mean(v)),
    "std": lambda v: float(np.std(v, ddof=1)) if len(v) > 1 else math.nan,
    "ci95": confidence_half_width,
    "median": lambda v: float(np.median(v)),
    "n": lambda v: len(v),
    "min": lambda v: float(np.min(v)),
    "max": lambda v: float(np.max(v)),
}


@dataclass(frozen=True)
class Answer:
    """A number and the records it comes from."""

    value: float
    records: tuple[Record, ...]

    def source(self) -> str:
        """One line on where the number comes from, for a tooltip."""
        first = self.records[0]
        seeds = sorted(record.seed for record in self.records)
        commits = sorted({(record.provenance["git_commit"] or "no commit")[:8] for record in self.records})
        shown = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({seeds[0]}…{seeds[-1]})"
        return (
            f"{first.recipe} on {first.scene}, {first.split['spec']}, {shown}; "
            f"commit {', '.join(commits)}; data {first.provenance['data_sha256'][:8]}; {first.provenance['device']}"
        )


def has_recipes_own_settings(record: Record) -> bool:
    """Whether a record is of a recipe that exists, run without ``--set``."""
    if record.recipe not in RECIPES:
        return False
    own = record_id(recipe(record.recipe).method, record.scene, record.split["spec"], record.seed)
    return record.id == own


class Results:
    """The records below a folder. Only runs with a recipe's own settings count under its name.

    Parameters
    ----------
    folder : for example ``results/records``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._cells: dict[tuple[str, str, str], list[Record]] = {}
        for record in read_records(folder):
            if has_recipes_own_settings(record):
                self._cells.setdefault((record.scene, record.split["spec"], record.recipe), []).append(record)

    def cell(self, scene: str, split: str, recipe_name: str) -> list[Record]:
        """Every seed's record of one cell, by seed; empty where nothing was run."""
        return sorted(self._cells.get((scene, split, recipe_name), []), key=lambda record: record.seed)

    def query(self, text: str) -> Answer:
        """Answer ``SCENE/SPLIT/RECIPE/METRIC`` with ``:mean`` (the default) or another statistic.

        A statistic is one of ``STATISTICS``, or ``seed-0`` for the value of one seed.

        METRIC is a key of the record's metrics, or a dotted path such as ``timing.fit_s`` or
        ``split.leakage.contains``.

        Raises
        ------
        InputError : nothing was recorded for it, or an unknown metric or statistic.
        """
        parts = text.strip().split("/")
        if len(parts) != 4:
            raise InputError(f"query {text!r}: expected SCENE/SPLIT/RECIPE/METRIC:STATISTIC.")
        scene, split, recipe_name, rest = parts
        metric, _, statistic = rest.partition(":")
        records = self.cell(scene, split, recipe_name)
        if statistic.startswith("seed-"):
            records = [record for record in records if f"seed-{record.seed}" == statistic]
            statistic = "mean"
        if not records:
            raise InputError(
                f"query {text!r}: not measured yet. Run: hsilib run {recipe_name} --scene {scene} --split {split}"
            )
        statistic = statistic or "mean"
        if statistic not in STATISTICS:
            raise unknown_name("statistic", statistic, STATISTICS)
        return Answer(STATISTICS[statistic]([_number(record, metric) for record in records]), tuple(records))


def _number(record: Record, metric: str) -> float:
    value: Any = record.metrics if "." not in metric else vars(record)
    for key in metric.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(f"{record.path}: no {metric!r} in this record.")
        value = value[key]
    return float(value)
