"""The arithmetic of a comparison and the order of its runs."""

from __future__ import annotations

import json

import pytest

from onepercent.bench.comparison import Comparison, Report, compare


def test_ratios_by_hand() -> None:
    comparison = Comparison("sum", "slow", "fast", [4.0, 6.0, 5.0], [1.0, 3.0, 2.0])
    assert comparison.ratio == 5.0 / 2.0
    assert comparison.ratio_range == (2.0, 4.0)
    values = Report("sum", [comparison], {"difference": 0.0}).as_dict()
    assert (values["ratio"], values["comparisons"][0]["ours_median_s"]) == (2.5, 2.0)
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(("warm_up", "expected"), [(True, "bobobo"), (False, "bobo")])
def test_sides_take_turns_after_a_warm_up_that_is_not_counted(warm_up: bool, expected: str) -> None:
    calls: list[str] = []
    comparison = compare(
        "calls", ("b", lambda: calls.append("b")), ("o", lambda: calls.append("o")), repeats=2, warm_up=warm_up
    )
    assert "".join(calls) == expected
    assert len(comparison.baseline_s) == len(comparison.ours_s) == 2
    assert min(comparison.baseline_s + comparison.ours_s) > 0
