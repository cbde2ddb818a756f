"""Verdicts: the rule at its edges, and that noise never earns one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from onepercent.report.statistics import (
    confidence_half_width,
    detectable_effect,
    estimate,
    power,
    seeds_needed,
)
from onepercent.report.verdict import FEWEST_SEEDS, Bounds, Verdict, decide, place

S, E, C, U = Verdict.SUPPORTED, Verdict.EXCEEDS, Verdict.CONTRADICTED, Verdict.UNDECIDED
GAIN = Bounds(0.2, 0.4, good=1)  # 0.3 ± 0.1 points or more

finite = st.floats(-100, 100, allow_nan=False)
samples = st.lists(finite, min_size=FEWEST_SEEDS, max_size=12)
bounds = st.builds(
    lambda ends, good: Bounds(min(ends), max(ends), good), st.tuples(finite, finite), st.sampled_from([-1, 0, 1])
)


@pytest.mark.parametrize(
    ("good", "low", "high", "verdict"),
    [
        (0, 2.0, 7.0, S),
        (0, 3.0, 4.0, S),
        (0, 1.9, 3.0, U),
        (0, 6.0, 7.1, U),
        (0, 1.0, 8.0, U),
        (0, 1.0, 1.9, C),
        (0, 7.1, 9.0, C),
        (1, 2.0, 7.0, S),
        (1, 6.0, 9.0, S),  # surely at least 2
        (1, 7.1, 9.0, E),
        (1, 27.0, 29.0, E),  # 28 × is not "2 to 7 ×"
        (1, 1.9, 9.0, U),
        (1, 1.0, 1.9, C),
        (-1, 2.0, 7.0, S),
        (-1, 0.1, 6.0, S),
        (-1, 0.1, 1.9, E),  # a twentieth of what is stated is no "at most" as stated
        (-1, 3.0, 7.1, U),
        (-1, 7.1, 9.0, C),
    ],
)
def test_where_an_interval_lies(good: int, low: float, high: float, verdict: Verdict) -> None:
    assert place(low, high, Bounds(2.0, 7.0, good)) == verdict


def test_binary_fractions_are_no_disagreement() -> None:
    assert 97.0 - 96.7 != 0.3
    assert place(97.0 - 96.7, 97.0 - 96.7, Bounds(0.3, 0.3)) == S
    assert place(0.2999, 0.2999, Bounds(0.3, 0.3)) == C


@given(values=samples, bounds=bounds, extra=st.floats(0, 50))
def test_a_wider_interval_never_earns_support(values: list[float], bounds: Bounds, extra: float) -> None:
    found = estimate(values, one_sided=bounds.good != 0)
    before = place(found.low, found.high, bounds)
    after = place(found.low - extra, found.high + extra, bounds)
    if before in (C, U):
        assert after != S
        assert after != E


@given(values=samples, bounds=bounds)
def test_more_seeds_of_the_same_mean_and_spread_never_weaken(values: list[float], bounds: Bounds) -> None:
    before, after = decide(values, bounds).verdict, decide(values + values, bounds).verdict
    assert before == U or after == before or (before, after) == (S, E)  # surely beyond, where it was at least within


@given(values=st.lists(finite, min_size=2, max_size=FEWEST_SEEDS - 1), bounds=bounds)
def test_few_seeds_decide_nothing(values: list[float], bounds: Bounds) -> None:
    assert decide(values, bounds).verdict == U


@given(
    half=st.lists(st.floats(1e-3, 100), min_size=3, max_size=10), gain=st.floats(1e-3, 5), tolerance=st.floats(0, 0.9)
)
def test_noise_around_zero_never_supports_a_gain(half: list[float], gain: float, tolerance: float) -> None:
    """Values as often above as below zero, by as much; a gain's tolerance is less than the gain."""
    noise = [*half, *(-value for value in half)]
    verdict = decide(noise, Bounds(gain * (1 - tolerance), gain * (1 + tolerance), good=1)).verdict
    assert verdict in (U, C)


def test_drawn_noise_supports_a_gain_in_fewer_than_one_case_of_twenty() -> None:
    generator = np.random.default_rng(0)
    found = [estimate(list(generator.normal(0, 1, 5)), one_sided=True) for _ in range(4000)]
    verdicts = [place(f.low, f.high, Bounds(0.0, 0.5, good=1)) for f in found]
    wrong = sum(verdict in (S, E) for verdict in verdicts) / len(verdicts)
    assert 0.04 < wrong < 0.06, "the mean lies on the claim's very end: the error is the 5 % that a side is given"


def test_the_case_that_started_it() -> None:
    """-5.98 with an interval of -10.06 to -1.90 was once "reproduced" against a bound of -2."""
    assert place(-10.06, -1.90, Bounds(-2.0, 2.0, good=1)) == U
    assert decide([-5.96], Bounds(-2.0, 2.0, good=1)).verdict == U


def test_intervals_are_students() -> None:
    values = [0.5, 0.7, 0.9, 0.8, 0.6]
    low, high = scipy.stats.t.interval(0.95, 4, loc=0.7, scale=scipy.stats.sem(values))
    two = estimate(values)
    assert (two.value, two.low, two.high, two.n) == (pytest.approx(0.7), pytest.approx(low), pytest.approx(high), 5)
    low, high = scipy.stats.t.interval(0.90, 4, loc=0.7, scale=scipy.stats.sem(values))
    one = estimate(values, one_sided=True)
    assert (one.low, one.high) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(confidence_half_width([0.5]))


def test_ratios_are_averaged_as_factors() -> None:
    found = estimate([2.0, 0.5], ratio=True)
    assert found.value == pytest.approx(1.0)
    assert found.low * found.high == pytest.approx(1.0)
    swapped = estimate([1 / 3, 1 / 5, 1 / 4], ratio=True)
    straight = estimate([3, 5, 4], ratio=True)
    assert swapped.value == pytest.approx(1 / straight.value)
    assert swapped.low == pytest.approx(1 / straight.high)
    speed = Bounds(2.0, 7.0, good=1, ratio=True)
    assert decide([3, 4, 5, 4, 3.5], speed).verdict == S
    assert decide([28, 25, 33, 27, 30], speed).verdict == E
    assert decide([1.1, 1.2, 1.0, 1.1, 1.2], speed).verdict == C


def test_power_against_drawn_samples() -> None:
    """The share of 4000 drawn samples whose one-sided interval lies above zero."""
    generator = np.random.default_rng(1)
    drawn = generator.normal(1.0, 1.0, (4000, 6))
    shown = np.mean([estimate(list(row), one_sided=True).low > 0 for row in drawn])
    assert power(1.0, 1.0, 6, one_sided=True) == pytest.approx(shown, abs=0.025)


@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_the_detectable_effect_has_eighty_percent_power(n: int, one_sided: bool) -> None:
    effect = detectable_effect(2.0, n, one_sided)
    assert power(effect, 2.0, n, one_sided) == pytest.approx(0.8, abs=1e-6)
    assert seeds_needed(effect * 1.0001, 2.0, one_sided) == n


def test_the_books_own_example() -> None:
    """A textbook case: with a standard deviation of 2.2 points, 1 point takes some 40 pairs, three show only 7."""
    assert detectable_effect(2.2, 3) == pytest.approx(7.0, abs=0.6)
    assert 36 <= seeds_needed(1.0, 2.2) <= 44


def test_what_undecided_says() -> None:
    decision = decide([0.1, 0.5, 0.9, -0.2, 0.3], GAIN)
    assert decision.verdict == U
    assert decision.detectable == pytest.approx(detectable_effect(np.std([0.1, 0.5, 0.9, -0.2, 0.3], ddof=1), 5, True))
    assert decision.needed > 5
    assert decide([0.2, 0.2, 0.3], GAIN).needed >= FEWEST_SEEDS
    single = decide([0.5], GAIN)
    assert math.isnan(single.detectable)
    assert math.isnan(single.needed)
    assert decide([0.2 + d for d in (-0.1, 0.1, -0.1, 0.1, 0.0)], GAIN).needed == math.inf


@given(values=samples, bounds=bounds)
def test_mirrored_values_and_bounds_have_the_same_verdict(values: list[float], bounds: Bounds) -> None:
    assume(bounds.good != 0)
    mirrored = Bounds(-bounds.high, -bounds.low, -bounds.good)
    assert decide(values, bounds).verdict == decide([-value for value in values], mirrored).verdict
