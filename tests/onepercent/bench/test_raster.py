"""A small run of the raster benchmark whose processes are real."""

from __future__ import annotations

import json

import pytest
import torch

from hsilib.inference.dense import TILE
from onepercent.bench.raster import bench_raster


@pytest.mark.slow
def test_both_ways_give_the_same_map_and_memory_is_measured() -> None:
    report = bench_raster(torch.device("cpu"), side=TILE + 10, bands=6, times=2, repeats=1)
    facts = report.facts
    assert facts["identical labels, windows"]
    assert facts["identical labels, two workers"]
    assert facts["classes in the map"] == 9
    assert facts["seconds per megapixel"] == pytest.approx(
        report.comparisons[0].ours_s[0] / (TILE + 10) ** 2 * 1e6, rel=0.01
    )
    peaks = facts["peak memory, MB"]
    assert list(peaks) == [f"{way}, {area} × the area" for way in ("windows", "whole") for area in (1, 4)]
    assert min(peaks.values()) > 50
    small, large = list(peaks.values())[:2]
    assert facts["peak memory of windows, 4 × to 1 × the area"] == round(large / small, 3)
    assert json.loads(json.dumps(report.as_dict()))["facts"] == facts
