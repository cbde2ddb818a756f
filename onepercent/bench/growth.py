"""``hsilib bench growth``: how time and memory grow with the scene's area, its bands and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hsilib.progress import progress
from onepercent.bench.comparison import Comparison, Report
from onepercent.bench.growth_point import Cost, Point, measure_apart

AREAS = (1, 2, 4, 8, 16)
BANDS = (50, 100, 200, 400)
SPLITS = tuple(f"count:{n}" for n in (5, 10, 20, 50)) + tuple(f"percent:{p}" for p in (0.01, 0.02, 0.05, 0.1))


def bench_growth(
    device: torch.device,
    rows: int = 145,
    cols: int = 145,
    bands: int = 100,
    areas: Sequence[int] = AREAS,
    band_counts: Sequence[int] = BANDS,
    splits: Sequence[str] = SPLITS,
    repeats: int = 2,
) -> Report:
    """Dense prediction against area and bands, one epoch of the recipe ``paper`` against bands and labels.

    The comparison is the largest area against the smallest: a ratio like that of the areas is growth in proportion.

    Parameters
    ----------
    rows, cols, bands : the size from which one thing at a time is varied.
    areas : times that size, made by more rows.
    band_counts, splits : see there.
    """
    plan = {
        "area": [Point("predict", area * rows, cols, bands) for area in areas],
        "bands": [Point("predict", rows, cols, count) for count in band_counts],
        "bands, one epoch": [Point("epoch", rows, cols, count) for count in band_counts],
        "labels": [Point("epoch", rows, cols, bands, split) for split in splits],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in plan}
    with progress(sum(map(len, plan.values())), "growth", "point") as bar:
        for name, points in plan.items():
            for point in points:
                costs[name].append(measure_apart(point, device, repeats))
                bar.update()
    sizes = {
        "area": [float(point.rows * point.cols) for point in plan["area"]],
        "bands": [float(count) for count in band_counts],
        "bands, one epoch": [float(count) for count in band_counts],
        "labels": [float(cost.labels) for cost in costs["labels"]],
    }
    tasks = {"predict": "dense prediction", "epoch": "one epoch of training"}
    units = {"area": "pixels", "bands": "bands", "bands, one epoch": "bands", "labels": "training pixels"}
    axes = {name: axis(tasks[plan[name][0].task], units[name], sizes[name], costs[name]) for name in plan}
    comparison = Comparison(
        f"dense prediction of {areas[-1]} × the area of {rows} × {cols} × {bands}",
        f"{areas[-1]} × the area",
        f"{areas[0]} × the area",
        costs["area"][-1].seconds,
        costs["area"][0].seconds,
    )
    return Report("growth", [comparison], {"axes": axes})


def axis(task: str, unit: str, sizes: Sequence[float], costs: Sequence[Cost]) -> dict[str, Any]:
    """The points in rising order and the exponents that fit them best: 1 is growth in proportion, 0 none."""
    points = [
        {"x": size, "seconds": cost.median_s, "added_mb": cost.added_mb, "idle_mb": cost.idle_mb}
        for size, cost in sorted(zip(sizes, costs, strict=True), key=lambda pair: pair[0])
    ]
    x = [point["x"] for point in points]
    return {
        "task": task,
        "unit": unit,
        "points": points,
        "time_slope": log_slope(x, [point["seconds"] for point in points]),
        "memory_slope": log_slope(x, [point["added_mb"] for point in points]),
    }


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The b of y = a · x^b: slope of the least-squares line on log axes, for positive values and two x at least."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
