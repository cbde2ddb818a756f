"""``hsilib bench rerun``: how far a repeated run lies from the first on another number of threads or another processor.

The same recipe, split and seed, each time in a new process that computes with other instructions: what an older
processor would have to use is forced on this one. The order of float32 sums differs then, and a training enlarges it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from hsilib.config import with_overrides
from hsilib.experiment import run
from hsilib.progress import progress
from onepercent.bench.apart import run_apart
from onepercent.bench.comparison import Report
from onepercent.recipes import recipe

ONEDNN, ATEN = "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"
# What the processor has is used where a variable is not set; whoever set it here does not change the measurement.
UNSET: Mapping[str, str | None] = {ONEDNN: None, ATEN: None}


@dataclass(frozen=True)
class Setting:
    """How a process computes: its threads, and the variables that limit the instructions of oneDNN and of ATen."""

    name: str
    threads: int = 2
    variables: Mapping[str, str] = field(default_factory=dict)


FIRST = Setting("2 threads")
OTHERS = (
    Setting("1 thread", 1),
    Setting("2 threads, oneDNN AVX2", 2, {ONEDNN: "AVX2"}),
    Setting("2 threads, oneDNN SSE41", 2, {ONEDNN: "SSE41"}),
    Setting("2 threads, ATen avx2", 2, {ATEN: "avx2"}),
    Setting("2 threads, ATen default", 2, {ATEN: "default"}),
    Setting("1 thread, oneDNN SSE41, ATen default", 1, {ONEDNN: "SSE41", ATEN: "default"}),
)


def bench_rerun(
    device: torch.device,
    scenes: Sequence[str] = ("salinas-a", "indian-pines"),
    changes: Sequence[str] = (),
    others: Sequence[Setting] = OTHERS,
) -> Report:
    """The recipe ``quick`` with seed 0, at one percent, under each setting; and once more under the first.

    Parameters
    ----------
    scenes : of `load_scene`. changes : of the recipe, as for ``--set``. others : settings beside the first.

    Returns
    -------
    No comparison of times. The facts of each scene: overall accuracy (0…1) under each setting and the share of all
    pixels of the class map whose label is not that of the first run; the largest accuracy minus the smallest; and
    whether the same setting gave the same map again.
    """
    facts: dict[str, Any] = {}
    with progress(len(scenes) * (2 + len(others)), "rerun", "run") as bar:
        for scene in scenes:
            found = []
            for setting in (FIRST, FIRST, *others):
                arguments = {"scene": scene, "changes": list(changes)}
                found.append(run_apart(run_once, device, arguments, setting.threads, {**UNSET, **setting.variables}))
                bar.update()
            facts[scene] = summary([setting.name for setting in others], [apart.result for apart in found])
    return Report("rerun", [], facts)


def summary(others: Sequence[str], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of one scene.

    Parameters
    ----------
    others : names of the settings beside the first.
    results : of `run_once` under the first setting, under it again, and under each of the others.
    """
    first, again, *rest = results
    accuracies = [result["overall_accuracy"] for result in results]
    return {
        "same setting again, identical": first == again,
        "spread of overall accuracy": max(accuracies) - min(accuracies),
        "settings": {
            name: {
                "overall accuracy": result["overall_accuracy"],
                "share of other labels": float(np.mean(np.array(result["labels"]) != np.array(first["labels"]))),
            }
            for name, result in zip((FIRST.name, *others), (first, *rest), strict=True)
        },
    }


def run_once(device: torch.device, scene: str, changes: list[str]) -> dict[str, Any]:
    """One run here: its overall accuracy (0…1) and the labels of its class map, row by row."""
    config = replace(with_overrides(recipe("quick"), changes), scene=scene, device=device.type)
    record, class_map = run(replace(config, split="percent:0.01", seed=0))
    return {"overall_accuracy": record.metrics["overall_accuracy"], "labels": class_map.ravel().tolist()}
