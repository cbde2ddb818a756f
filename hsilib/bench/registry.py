"""Every benchmark by its name.

Contents: `BENCHMARKS`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from hsilib.bench.comparison import Report
from hsilib.bench.dense import bench_dense

BENCHMARKS: dict[str, Callable[[torch.device], Report]] = {
    "dense": bench_dense,
}
