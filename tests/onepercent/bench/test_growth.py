"""Exponents in closed form, and a small growth run whose processes are real."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from onepercent.bench.apart import peak_mb
from onepercent.bench.growth import Cost, Point, axis, bench_growth, log_slope, measure, measure_apart

CPU = torch.device("cpu")


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 2.3])
def test_the_slope_of_a_power_law_is_its_exponent(exponent: float) -> None:
    x = [50.0, 100.0, 200.0, 400.0]
    assert log_slope(x, [7.0 * value**exponent for value in x]) == pytest.approx(exponent, abs=1e-12)


def test_the_slope_is_that_of_the_least_squares_line() -> None:
    """By hand: log x is 0, 1, 2 and log y is 0, 0, 3, so b = Σ (u − 1)(v − 1) / Σ (u − 1)² = 3 / 2."""
    assert log_slope([1, np.e, np.e**2], [1, 1, np.e**3]) == pytest.approx(1.5)


def test_an_axis_is_in_rising_order_and_takes_medians() -> None:
    costs = [Cost(0, [4.0, 9.0, 3.0], 80.0, 300.0), Cost(0, [1.0, 2.0, 5.0], 20.0, 300.0)]
    found = axis("some task", "things", [40.0, 10.0], costs)
    assert [point["x"] for point in found["points"]] == [10.0, 40.0]
    assert [point["seconds"] for point in found["points"]] == [2.0, 4.0]
    assert (found["time_slope"], found["memory_slope"]) == (pytest.approx(0.5), pytest.approx(1.0))


def test_memory_is_the_points_own() -> None:
    """A process that is started by a large one does not inherit its peak; and the scene is counted."""
    ballast = np.ones(600 * 2**20, dtype=np.uint8)
    here = peak_mb(CPU)
    cost = measure_apart(Point("predict", 64, 64, 1024), CPU, repeats=1)
    del ballast
    assert cost.idle_mb + cost.added_mb < here
    # 2 bytes a value as generated and 4 in the padded copy
    assert cost.added_mb > 64 * 64 * 1024 * 6 / 2**20


def test_what_is_varied_and_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs of known exponents instead of measured ones: time as area · √bands and as labels, memory as its square."""

    def known(point: Point, device: torch.device, repeats: int) -> Cost:
        labels = 16 * int(point.split.removeprefix("count:")) if point.task == "epoch" else 0
        size = (labels or point.rows * point.cols) * point.bands**0.5
        return Cost(labels, [size] * repeats, size**2, 300.0)

    monkeypatch.setattr("onepercent.bench.growth.measure_apart", known)
    report = bench_growth(CPU, 24, 40, 6, areas=(1, 3), band_counts=(4, 8), splits=("count:4", "count:2"), repeats=2)
    axes = report.facts["axes"]
    assert {name: [point["x"] for point in found["points"]] for name, found in axes.items()} == {
        "area": [24 * 40, 3 * 24 * 40],
        "bands": [4, 8],
        "bands, one epoch": [4, 8],
        "labels": [2 * 16, 4 * 16],
    }
    slopes = {name: (found["time_slope"], found["memory_slope"]) for name, found in axes.items()}
    assert slopes == {
        "area": pytest.approx((1, 2)),
        "bands": pytest.approx((0.5, 1)),
        "bands, one epoch": pytest.approx((0.5, 1)),
        "labels": pytest.approx((1, 2)),
    }
    assert report.ratio == pytest.approx(3)
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_an_epoch_is_measured_after_a_run_that_is_not_counted() -> None:
    cost = measure(CPU, "epoch", 24, 20, 6, "count:2", repeats=2)
    assert cost["labels"] == 2 * 16
    assert len(cost["seconds"]) == 2
    assert min(cost["seconds"]) > 0


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="count:9999"):
        measure_apart(Point("epoch", 24, 20, 4, "count:9999"), CPU, repeats=1)
