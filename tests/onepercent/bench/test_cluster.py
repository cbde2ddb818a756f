"""The benchmark of clusters, small: what both sides give is compared inside it."""

from __future__ import annotations

import json

import pytest
import torch

from onepercent.bench.cluster import bench_cluster

pytest.importorskip("distributed")
pytest.importorskip("rasterio")


@pytest.mark.slow
def test_a_small_one_is_complete() -> None:
    threads = torch.get_num_threads()
    report = bench_cluster(torch.device("cpu"), 40, 6, "coordinates-1nn", "synthetic-tiny", seeds=2, repeats=1)
    content = json.loads(json.dumps(report.as_dict()))
    assert [len(c["ours_s"]) for c in content["comparisons"]] == [1, 1]
    assert content["facts"] == {"identical labels": True, "identical results of all runs": True}
    assert torch.get_num_threads() == threads
