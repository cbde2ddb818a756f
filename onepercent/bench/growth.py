"""``hsilib bench growth``: how time and memory grow with the scene's area, its bands and its labels."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.inference.dense import predict_logits
from hsilib.network_method import NetworkOptions
from hsilib.progress import progress
from hsilib.registry import create_model
from hsilib.training.fit import fit
from onepercent.bench.apart import run_apart
from onepercent.bench.comparison import Comparison, Report, timed
from onepercent.recipes import recipe

N_CLASSES = 16
LABELLED_SHARE = 0.5

AREAS = (1, 2, 4, 8, 16)
BANDS = (50, 100, 200, 400)
SPLITS = tuple(f"count:{n}" for n in (5, 10, 20, 50)) + tuple(f"percent:{p}" for p in (0.01, 0.02, 0.05, 0.1))


@dataclass(frozen=True)
class Point:
    """One point: what is measured.

    Attributes
    ----------
    task : ``predict``, the dense pass over the scene, or ``epoch``, one epoch of `fit` as the recipe ``paper`` sets it.
    rows, cols, bands : size of the scene.
    split : which pixels an epoch has.
    """

    task: str
    rows: int
    cols: int
    bands: int
    split: str = "count:5"


@dataclass(frozen=True)
class Cost:
    """What a point cost.

    Attributes
    ----------
    labels : training pixels of an epoch; 0 where the task has none.
    seconds : of each repeat, in their order.
    added_mb : peak memory above that of the idle process, the scene and the model included.
    idle_mb : peak memory before, see `Apart`.
    """

    labels: int
    seconds: list[float]
    added_mb: float
    idle_mb: float

    @property
    def median_s(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.seconds)


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


def measure_apart(point: Point, device: torch.device, repeats: int) -> Cost:
    """`measure` in a process of its own, whose peak memory is its own too."""
    done = run_apart(measure, device, asdict(point) | {"repeats": repeats})
    return Cost(**done.result, added_mb=done.added_mb, idle_mb=done.idle_mb)


def measure(
    device: torch.device, task: str, rows: int, cols: int, bands: int, split: str, repeats: int
) -> dict[str, Any]:
    """Training pixels and times of a `Point`, after one run that is not counted.

    The values of the scene are noise: they change neither time nor memory.
    """
    random = np.random.default_rng(0)
    cube = random.integers(0, 10_000, (rows, cols, bands), dtype=np.uint16)
    torch.manual_seed(0)
    model = create_model("dual-branch", bands, N_CLASSES).to(device)
    model.set_standardizer(Standardizer(np.full(bands, 5e3), np.full(bands, 3e3), "nothing"))
    labels = 0
    if task == "predict":
        seconds = [timed(lambda: predict_logits(model, cube)) for _ in range(1 + repeats)]
    else:
        ground_truth = random.integers(1, N_CLASSES + 1, cube.shape[:2]).astype(np.uint8)
        ground_truth[random.random(cube.shape[:2]) > LABELLED_SHARE] = 0
        names = tuple(f"class {k}" for k in range(1, N_CLASSES + 1))
        drawn = make_split(Scene("noise", cube[:, :, :0], ground_truth, names), split, seed=0)
        options = recipe("paper").method
        assert isinstance(options, NetworkOptions)
        schedule = replace(options.fit, epochs=1)
        sampler, generator = PatchSampler(cube, model.patch_size, device), torch.Generator().manual_seed(0)
        seconds = [timed(lambda: fit(model, sampler, drawn, schedule, generator)) for _ in range(1 + repeats)]
        labels = len(drawn.train)
    return {"labels": labels, "seconds": seconds[1:]}


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
