"""Both ways of training several seeds, tiny."""

from __future__ import annotations

import json

import pytest
import torch

from hsilib.errors import InputError
from onepercent.bench.seeds import ONE_BY_ONE, TOGETHER, bench_seeds, compare_seeds
from tests.helpers import SMALL_SETTINGS

CPU = torch.device("cpu")
SETTINGS = [*SMALL_SETTINGS, "fit.epochs=2"]


def test_the_report() -> None:
    schedules = {"quick": SETTINGS, "paper": [*SETTINGS, "pretrain.epochs=1"]}
    report = compare_seeds(CPU, "synthetic-tiny", schedules, n_seeds=3, repeats=1)
    assert [(c.what, c.baseline, c.ours) for c in report.comparisons] == [
        ("3 seeds of quick", ONE_BY_ONE, TOGETHER),
        ("3 seeds of paper", ONE_BY_ONE, TOGETHER),
    ]
    differences = {name: value for name, value in report.facts.items() if name.startswith("largest difference")}
    assert len(differences) == 2
    assert max(differences.values()) < 1e-3
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()


def test_seeds_are_stacked_on_a_gpu_only() -> None:
    with pytest.raises(InputError, match="no CUDA device"):
        bench_seeds(CPU)
