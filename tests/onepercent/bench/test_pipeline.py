"""The arithmetic of the extrapolation, and a small pipeline."""

from __future__ import annotations

import json

import torch

from onepercent.bench.comparison import Comparison
from onepercent.bench.pipeline import bench_pipeline, extrapolated, whole
from tests.helpers import SMALL_SETTINGS

CPU = torch.device("cpu")


def test_a_share_is_multiplied_up_and_the_stages_are_added_repeat_by_repeat() -> None:
    share = Comparison("fit", "slow", "fast", [1.0, 2.0], [0.5, 0.25])
    part = extrapolated(share, "300 epochs", baseline_times=300, ours_times=10)
    assert (part.baseline_s, part.ours_s) == ([300.0, 600.0], [5.0, 2.5])
    total = whole("all", [part, Comparison("other", "slow", "fast", [10.0, 20.0], [1.0, 2.0])])
    assert (total.baseline_s, total.ours_s) == ([310.0, 620.0], [6.0, 4.5])
    assert "1/300 and 1/10" in part.what


def test_a_small_pipeline() -> None:
    settings = [*SMALL_SETTINGS, "fit.epochs=2", "pretrain.epochs=1"]
    report = bench_pipeline(CPU, "synthetic-tiny", settings, baseline_rows=3, repeats=1, workers=(0,))
    assert [part.what.partition(":")[0] for part in report.comparisons[1:]] == ["rm-ssl", "mr-ssl", "fit", "predict"]
    total, *parts = report.comparisons
    assert total.ours_s == [sum(part.ours_s[0] for part in parts)]
    stages = report.facts["stages"]
    assert stages["fit"]["work"] == "2 epochs of 1 steps"
    assert stages["predict"]["work"] == "16 views of 24 × 20 pixels"
    measured = sum(stage["measured_s"] for stage in stages.values())
    assert measured <= report.facts["measured_s"] + 0.01
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()
