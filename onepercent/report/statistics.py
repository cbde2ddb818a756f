"""What is said of the values of several seeds: means with intervals, paired tests, what so many seeds can show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.optimize
import scipy.stats

CONFIDENCE = 0.95
POWER = 0.8
LARGE = 200  # values, from which on t and normal agree to three digits
MOST_SEEDS = 10_000  # no campaign will ever have more


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval, by Student's t.

    Attributes
    ----------
    value : the mean; of ratios the geometric mean. low, high : of the interval; NaN for fewer than two values.
    n : how many values.
    """

    value: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float], ratio: bool = False, one_sided: bool = False) -> Estimate:
    """The mean of ``values`` and its interval.

    Parameters
    ----------
    ratio : the values are ratios above 0, whose logarithms are averaged: a factor of 2 and one of 1/2 cancel.
    one_sided : each end by itself has 95 % confidence, for a claim that can be missed on one side only.
    """
    logs = [math.log(value) for value in values] if ratio else list(values)
    mean, half = float(np.mean(logs)), confidence_half_width(logs, one_sided)
    value, low, high = (math.exp(end) if ratio else end for end in (mean, mean - half, mean + half))
    return Estimate(value, low, high, len(logs))


def confidence_half_width(values: Sequence[float], one_sided: bool = False) -> float:
    """Half of the 95 % interval of the mean by Student's t; NaN for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.nan
    return t_quantile(n, one_sided) * float(np.std(values, ddof=1)) / math.sqrt(n)


@cache
def t_quantile(n: int, one_sided: bool) -> float:
    """Student's t that ``n`` values exceed with the error that the confidence leaves to a side."""
    return float(scipy.stats.t.ppf(CONFIDENCE if one_sided else 0.5 + CONFIDENCE / 2, n - 1))


def power(effect: float, deviation: float, n: int, one_sided: bool = False) -> float:
    """How probably ``n`` values of a mean that lies ``effect`` away, with this standard deviation, show it.

    By the noncentral t distribution, above 200 values by the normal one, which is as good there; the chance of an error
    to the wrong side is left out.
    """
    if deviation == 0:
        return float(effect > 0)
    shift, quantile = effect / deviation * math.sqrt(n), t_quantile(n, one_sided)
    if n > LARGE or not 0 < shift < LARGE:
        return float(scipy.stats.norm.sf(quantile - shift))
    return float(scipy.stats.nct.sf(quantile, n - 1, shift))


def detectable_effect(deviation: float, n: int, one_sided: bool = False) -> float:
    """The smallest effect that ``n`` values show with 80 % power; NaN for fewer than two values."""
    if n < 2 or math.isnan(deviation):
        return math.nan
    enough = (t_quantile(n, one_sided) + 1) / math.sqrt(n)
    while power(enough, 1.0, n, one_sided) < POWER:
        enough *= 2

    def missing(effect: float) -> float:
        return power(effect, 1.0, n, one_sided) - POWER

    return deviation * float(scipy.optimize.brentq(missing, 0.0, enough))


def seeds_needed(effect: float, deviation: float, one_sided: bool = False) -> float:
    """How many values show ``effect`` with 80 % power; infinity beyond 10,000, NaN where the deviation is unknown."""
    if math.isnan(deviation):
        return math.nan
    if power(effect, deviation, MOST_SEEDS, one_sided) < POWER:
        return math.inf
    low, high = 2, MOST_SEEDS
    while low < high:  # more values never show less
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, deviation, middle, one_sided) >= POWER else (middle + 1, high)
    return float(low)


def p_value(differences: Sequence[float]) -> float:
    """Two-sided p of the paired t-test; NaN for fewer than two pairs, 1 where all differences are 0."""
    if len(differences) < 2:
        return math.nan
    return float(scipy.stats.ttest_1samp(differences, 0.0).pvalue) if any(differences) else 1.0


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda v: float(np.mean(v)),
    "std": lambda v: float(np.std(v, ddof=1)) if len(v) > 1 else math.nan,
    "ci95": confidence_half_width,
    "low": lambda v: estimate(v).low,
    "high": lambda v: estimate(v).high,
    "median": lambda v: float(np.median(v)),
    "n": lambda v: len(v),
    "min": lambda v: float(np.min(v)),
    "max": lambda v: float(np.max(v)),
}
# Of ratios: what has no meaning beside a geometric mean is left out.
RATIO_STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    **{name: STATISTICS[name] for name in ("median", "n", "min", "max")},
    "mean": lambda v: estimate(v, ratio=True).value,
    "low": lambda v: estimate(v, ratio=True).low,
    "high": lambda v: estimate(v, ratio=True).high,
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

    @property
    def detectable(self) -> float:
        """The smallest difference that so many pairs show with 80 % power."""
        return detectable_effect(STATISTICS["std"](self.values), self.n)
