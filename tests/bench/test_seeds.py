"""Both ways of training several seeds, tiny."""

from __future__ import annotations

import json

import pytest
import torch

from hsilib.bench import seeds as seeds_module
from hsilib.bench.comparison import Comparison
from hsilib.bench.seeds import _throughput, bench_seeds
from hsilib.experiment import ONE_BY_ONE, SIDE_BY_SIDE, TOGETHER
from tests.helpers import SMALL_SETTINGS

CPU = torch.device("cpu")
SETTINGS = [*SMALL_SETTINGS, "fit.epochs=2"]


def test_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes take seconds to start; they are tested with the experiment."""
    side_by_side: list[tuple[int, int]] = []
    monkeypatch.setattr(
        seeds_module, "run_side_by_side", lambda _, seeds, workers: (side_by_side.append((len(seeds), workers)), [])[1]
    )
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    schedules = {"quick": SETTINGS, "paper": [*SETTINGS, "pretrain.epochs=1"]}
    report = bench_seeds(CPU, "synthetic-tiny", schedules, n_seeds=3)
    assert [(c.what, c.baseline, c.ours) for c in report.comparisons] == [
        ("3 seeds of quick", ONE_BY_ONE, SIDE_BY_SIDE),
        ("3 seeds of quick", ONE_BY_ONE, TOGETHER),
        ("3 seeds of paper", ONE_BY_ONE, SIDE_BY_SIDE),
    ]
    assert side_by_side == [(3, 2)] * 2
    assert report.facts["chosen for quick"] == SIDE_BY_SIDE
    differences = {name: value for name, value in report.facts.items() if name.startswith("largest difference")}
    assert len(differences) == 2
    assert max(differences.values()) < 1e-3
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_throughput_by_hand() -> None:
    """Ten seeds of four epochs in 8 s, and in 2 s."""
    comparison = Comparison("", "slow", "fast", [8.0], [2.0])
    assert _throughput(comparison, "quick", 40) == {
        "seed-epochs a second, quick, slow": 5.0,
        "seed-epochs a second, quick, fast": 20.0,
    }
