"""Two ways to do the same, timed in turns, and what a benchmark reports."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from hsilib.progress import progress


@dataclass(frozen=True)
class Comparison:
    """Times of a baseline and of ours, measured in turns.

    Attributes
    ----------
    what : the task that both did, with its size.
    baseline, ours : what each side is, in words.
    baseline_s, ours_s : seconds of each repeat, in the order they were measured.
    """

    what: str
    baseline: str
    ours: str
    baseline_s: list[float]
    ours_s: list[float]

    @property
    def ratio(self) -> float:
        """Median time of the baseline over ours; above 1 ours is faster."""
        return statistics.median(self.baseline_s) / statistics.median(self.ours_s)

    @property
    def ratio_range(self) -> tuple[float, float]:
        """Smallest and largest ratio of neighbouring repeats."""
        ratios = [baseline / ours for baseline, ours in zip(self.baseline_s, self.ours_s, strict=True)]
        return min(ratios), max(ratios)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every time, the medians and the ratio."""
        medians = {
            "baseline_median_s": statistics.median(self.baseline_s),
            "ours_median_s": statistics.median(self.ours_s),
        }
        return asdict(self) | medians | {"ratio": self.ratio, "ratio_range": list(self.ratio_range)}


@dataclass(frozen=True)
class Report:
    """What a benchmark found out.

    Attributes
    ----------
    name : the benchmark's.
    comparisons : the first one is the headline; its ratio is the report's. None, where nothing was timed.
    facts : further figures, such as differences of results, peak memory or times of stages.
    """

    name: str
    comparisons: list[Comparison]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The headline's."""
        return self.comparisons[0].ratio if self.comparisons else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        comparisons = [comparison.as_dict() for comparison in self.comparisons]
        return {"benchmark": self.name, "ratio": self.ratio, "comparisons": comparisons, "facts": self.facts}


def compare(
    what: str,
    baseline: tuple[str, Callable[[], object]],
    ours: tuple[str, Callable[[], object]],
    repeats: int = 5,
    warm_up: bool = True,
) -> Comparison:
    """Time both sides in turns, so that a machine that slows down slows both.

    Parameters
    ----------
    what : the task. baseline, ours : a side's name and what it does.
    repeats : timed runs of each side. warm_up : one run of each before, not counted.
    """
    sides = {"baseline": baseline, "ours": ours}
    times: dict[str, list[float]] = {side: [] for side in sides}
    total = (repeats + warm_up) * len(sides)
    with progress(total, what, "run") as bar:
        for repeat in range(-warm_up, repeats):
            for side, (_, function) in sides.items():
                seconds = timed(function)
                if repeat >= 0:
                    times[side].append(seconds)
                bar.update()
    return Comparison(what, baseline[0], ours[0], times["baseline"], times["ours"])


def timed(function: Callable[[], object]) -> float:
    """Seconds of one call; a GPU's work is waited for."""
    _synchronize()
    started = time.perf_counter()
    function()
    _synchronize()
    return time.perf_counter() - started


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
