"""What seeds say of a claim: a verdict that noise cannot earn.

A claim is an interval of values that would bear it out, its stated range widened by a tolerance, and a side on which
more is better, if there is one. What was measured is a 95 % interval of the mean over seeds (`statistics.estimate`);
where there is a good side, each of its ends has 95 % confidence by itself. Then the claim is

- *supported* where the measured interval lies inside it; beyond its end on the good side is still inside;
- *exceeds* where it lies wholly beyond the stated range on the good side: better than stated, and not as stated;
- *contradicted* where it lies wholly outside otherwise;
- *undecided* where it lies across an end, or there are fewer than five seeds.

What is counted and not sampled has no interval and needs no seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from onepercent.report.statistics import STATISTICS, Estimate, detectable_effect, estimate, seeds_needed

FEWEST_SEEDS = 5
ROUNDING = 1e-9  # what binary fractions may be off: 97.0 - 96.7 is not quite 0.3


class Verdict(StrEnum):
    """What became of a claim."""

    SUPPORTED = "supported"
    EXCEEDS = "exceeds"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    CONSISTENT = "text consistent"
    INCONSISTENT = "text inconsistent"
    OUR_READING = "depends on our reading"
    NEEDS_SCENE = "needs a scene"
    NEEDS_DEVICE = "needs a device"


@dataclass(frozen=True)
class Bounds:
    """Values that bear a claim out.

    Attributes
    ----------
    low, high : the stated range, widened by its tolerance.
    good : 1 where more than that is better, -1 where less is, 0 where neither is.
    ratio : the values are ratios, judged by their logarithms.
    """

    low: float
    high: float
    good: int = 0
    ratio: bool = False


@dataclass(frozen=True)
class Decision:
    """A verdict and what it rests on.

    Attributes
    ----------
    detectable : the smallest distance from an end of the claim that so many seeds show with 80 % power; of ratios a
        factor. needed : the seeds that would show the distance that was found. Both are NaN where a decision was made
        or nothing can be said, and ``needed`` is infinite where the mean lies on the end.
    """

    verdict: Verdict
    estimate: Estimate
    detectable: float = math.nan
    needed: float = math.nan


def decide(values: Sequence[float], bounds: Bounds) -> Decision:
    """The verdict on values of as many seeds, in the unit of the bounds."""
    found = estimate(values, bounds.ratio, one_sided=bounds.good != 0)
    if len(values) >= FEWEST_SEEDS:
        verdict = place(found.low, found.high, bounds)
        if verdict != Verdict.UNDECIDED:
            return Decision(verdict, found)
    scaled = [math.log(value) for value in values] if bounds.ratio else list(values)
    ends = [math.log(max(end, 1e-300)) if bounds.ratio else end for end in (bounds.low, bounds.high)]
    mean, deviation, one_sided = STATISTICS["mean"](scaled), STATISTICS["std"](scaled), bounds.good != 0
    # The end that matters: on the good side nothing can be missed.
    relevant = {1: ends[:1], -1: ends[1:], 0: ends}[bounds.good]
    distance = min(abs(mean - end) for end in relevant)
    detectable = detectable_effect(deviation, len(values), one_sided)
    needed = float(np.maximum(FEWEST_SEEDS, seeds_needed(distance, deviation, one_sided)))  # NaN stays
    return Decision(Verdict.UNDECIDED, found, math.exp(detectable) if bounds.ratio else detectable, needed)


def place(low: float, high: float, bounds: Bounds) -> Verdict:
    """Where an interval lies: supported, exceeds, contradicted or, across an end, undecided."""
    slack = ROUNDING * max(1.0, abs(bounds.low), abs(bounds.high))
    least, most = bounds.low - slack, bounds.high + slack
    if bounds.good < 0:  # mirrored, so that more is better below
        low, high, least, most = -high, -low, -most, -least
    if low > most:
        return Verdict.EXCEEDS if bounds.good else Verdict.CONTRADICTED
    if high < least:
        return Verdict.CONTRADICTED
    if low >= least and (bounds.good or high <= most):
        return Verdict.SUPPORTED
    return Verdict.UNDECIDED
