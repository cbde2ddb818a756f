"""``hsilib bench seeds``: K seeds of a recipe one after the other, and as one stack; on a GPU.

Timed is the training, on a scene that is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from hsilib.config import Config, with_overrides
from hsilib.data.load import load_scene
from hsilib.data.splits import make_split
from hsilib.errors import InputError
from hsilib.experiment import visible
from hsilib.network_method import NetworkMethod, NetworkOptions
from onepercent.bench.comparison import Comparison, Report, compare
from onepercent.many_seeds.fit_together import fit_together
from onepercent.recipes import recipe

# Shorter than the recipes, but of the same steps.
SCHEDULES = MappingProxyType(
    {"quick": ("fit.epochs=10",), "paper": ("fit.epochs=3", "fit.warmup_epochs=1", "pretrain.epochs=1", "tta=0")}
)
CHECKED_EPOCHS = 3
TOGETHER, ONE_BY_ONE = "as one stack", "one after the other"


def bench_seeds(
    device: torch.device,
    scene_name: str = "indian-pines",
    schedules: Mapping[str, Sequence[str]] = SCHEDULES,
    n_seeds: int = 10,
    repeats: int = 1,
) -> Report:
    """The training of K seeds, one after the other against together.

    Parameters
    ----------
    scene_name : of `load_scene`. schedules : recipe → changes of it, as for ``--set``; the first is the headline.
    n_seeds : K. repeats : timed runs of each side; one more of each comes before and is not counted.

    Raises
    ------
    InputError : the device is no GPU; seeds are stacked on GPUs only, see `run_seeds`.
    """
    if device.type != "cuda":
        raise InputError(
            "bench seeds compares what a GPU does with a stack of seeds; no CUDA device was found or asked for."
        )
    return compare_seeds(device, scene_name, schedules, n_seeds, repeats)


def compare_seeds(
    device: torch.device, scene_name: str, schedules: Mapping[str, Sequence[str]], n_seeds: int, repeats: int
) -> Report:
    """`bench_seeds` on any device."""
    comparisons: list[Comparison] = []
    facts: dict[str, Any] = {}
    for i, (name, settings) in enumerate(schedules.items()):
        config = replace(with_overrides(recipe(name), list(settings)), scene=scene_name, device=device.type)
        bench = _Seeds(config, device, range(n_seeds))
        single, ours = ((way, partial(bench.fit, way == TOGETHER)) for way in (ONE_BY_ONE, TOGETHER))
        comparisons.append(compare(f"{n_seeds} seeds of {name}", single, ours, repeats))
        if i == 0:
            facts = _differences(config, device, range(n_seeds))
    return Report("seeds", comparisons, facts)


class _Seeds:
    """Seeds of one config, fitted one way or another."""

    def __init__(self, config: Config, device: torch.device, seeds: Sequence[int]) -> None:
        assert isinstance(config.method, NetworkOptions)
        self.config, self.options, self.device, self.seeds = config, config.method, device, seeds
        scene = load_scene(config.scene)
        self.scene = scene.without_ground_truth()
        self.splits = [visible(make_split(scene, config.split, seed), config.method) for seed in seeds]

    def fit(self, stacked: bool) -> list[NetworkMethod]:
        """Fitted methods, as one stack or one after the other."""
        methods = [self.options.build(self.device) for _ in self.seeds]
        generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        parts = list(zip(methods, self.splits, generators, strict=True))
        for group in [parts] if stacked else [[part] for part in parts]:
            grouped_methods, splits, grouped_generators = zip(*group, strict=True)
            fit_together(grouped_methods, self.scene, splits, grouped_generators)
        return methods


def _differences(config: Config, device: torch.device, seeds: Sequence[int]) -> dict[str, Any]:
    """How far the validation curves of a stack lie from those of single runs where nothing but rounding differs."""
    settings = ["model.dropout=0.0", "fit.choose=validation", f"fit.epochs={CHECKED_EPOCHS}"]
    bench = _Seeds(with_overrides(config, settings), device, seeds)
    alone, stacked = (bench.fit(stacked) for stacked in (False, True))
    found: dict[str, Any] = {}
    for curve in ("val_accuracy", "val_loss"):
        one, other = (np.array([getattr(m.history, curve) for m in methods]) for methods in (alone, stacked))
        what = curve.replace("val_", "validation ")
        found[f"largest difference of {what}, {CHECKED_EPOCHS} epochs without dropout"] = float(abs(one - other).max())
    return found
