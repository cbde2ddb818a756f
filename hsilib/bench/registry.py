"""Every benchmark by its name.

Contents: `BENCHMARKS`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from hsilib.bench.cluster import bench_cluster
from hsilib.bench.comparison import Report
from hsilib.bench.dense import bench_dense
from hsilib.bench.growth import bench_growth
from hsilib.bench.pipeline import bench_pipeline
from hsilib.bench.raster import bench_raster
from hsilib.bench.seeds import bench_seeds
from hsilib.bench.train import bench_train

BENCHMARKS: dict[str, Callable[[torch.device], Report]] = {
    "dense": bench_dense,
    "pipeline": bench_pipeline,
    "growth": bench_growth,
    "seeds": bench_seeds,
    "train": bench_train,
    "raster": bench_raster,
    "cluster": bench_cluster,
}
