"""Every benchmark by its name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from onepercent.bench.cluster import bench_cluster
from onepercent.bench.comparison import Report
from onepercent.bench.dense import bench_dense
from onepercent.bench.growth import bench_growth
from onepercent.bench.pipeline import bench_pipeline
from onepercent.bench.raster import bench_raster
from onepercent.bench.rerun import bench_rerun
from onepercent.bench.seeds import bench_seeds
from onepercent.bench.train import bench_train

BENCHMARKS: dict[str, Callable[[torch.device], Report]] = {
    "dense": bench_dense,
    "pipeline": bench_pipeline,
    "growth": bench_growth,
    "seeds": bench_seeds,
    "train": bench_train,
    "raster": bench_raster,
    "cluster": bench_cluster,
    "rerun": bench_rerun,
}
NEED_CUDA = ("seeds",)


def runnable() -> list[str]:
    """Names of the benchmarks that this machine can run."""
    return [name for name in BENCHMARKS if name not in NEED_CUDA or torch.cuda.is_available()]
