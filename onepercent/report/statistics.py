"""What is said of the values of several seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

CONFIDENCE = 0.95


def confidence_half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean by Student's t; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan
    quantile = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(n)


def p_value(differences: Sequence[float]) -> float:
    """Two-sided p of the paired t-test; NaN for fewer than two pairs, 1 where all differences are 0."""
    if len(differences) < 2:
        return math.nan
    return float(scipy.stats.ttest_1samp(differences, 0.0).pvalue) if any(differences) else 1.0


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
class PairedDifference:
    """One cell against another, seed by seed.

    Attributes
    ----------
    seeds : the seeds that both have.
    values : first minus second of each seed.
    mean, half_width : of the differences; the half of their mean's 95 % interval is NaN for a single pair.
    p : two-sided, of the paired t-test.
    """

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    half_width: float
    p: float

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.values)
