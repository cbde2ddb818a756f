"""One point of ``hsilib bench growth``, in a process of its own, so that no earlier peak of memory hides its peak."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.inference.dense import predict_logits
from hsilib.network_method import NetworkOptions
from hsilib.provenance import peak_memory_mb
from hsilib.registry import create_model
from hsilib.training.fit import fit
from onepercent.bench.comparison import timed
from onepercent.recipes import recipe

N_CLASSES = 16
LABELLED_SHARE = 0.5


@dataclass(frozen=True)
class Point:
    """What is measured.

    Attributes
    ----------
    task : ``predict``, the dense pass over the scene, or ``epoch``, one epoch of `fit` as the recipe ``paper`` sets it.
    rows, cols, bands : size of the scene.
    split : which pixels an epoch has.
    """

    task: str
    rows: int
    cols: int
    bands: int
    split: str = "count:5"


@dataclass(frozen=True)
class Cost:
    """What it cost.

    Attributes
    ----------
    labels : training pixels of an epoch; 0 where the task has none.
    seconds : of each repeat, in their order.
    added_mb : peak memory above that of the idle process, the scene and the model included.
    idle_mb : peak memory before: the interpreter and the libraries. 0 on CUDA.
    """

    labels: int
    seconds: list[float]
    added_mb: float
    idle_mb: float

    @property
    def median_s(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.seconds)


def measure_apart(point: Point, device: torch.device, repeats: int) -> Cost:
    """`measure` in a new process with as many threads as this one.

    Raises
    ------
    RuntimeError : it failed; the message is what it wrote to standard error.
    """
    job = {"point": asdict(point), "device": str(device), "repeats": repeats, "threads": torch.get_num_threads()}
    command = [sys.executable, "-m", "onepercent.bench.growth_point", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{point}: the process failed.\n{done.stderr}")
    return Cost(**json.loads(done.stdout))


def measure(point: Point, device: torch.device, repeats: int) -> Cost:
    """Time a point, after one run that is not counted, and find the peak memory of all runs.

    Call it in a fresh process, else the peak may be somebody else's. The values of the scene are noise: they change
    neither time nor memory.
    """
    idle_mb = peak_mb(device)
    random = np.random.default_rng(0)
    cube = random.integers(0, 10_000, (point.rows, point.cols, point.bands), dtype=np.uint16)
    torch.manual_seed(0)
    model = create_model("dual-branch", point.bands, N_CLASSES).to(device)
    model.set_standardizer(Standardizer(np.full(point.bands, 5e3), np.full(point.bands, 3e3), "nothing"))
    labels = 0
    if point.task == "predict":
        seconds = [timed(lambda: predict_logits(model, cube)) for _ in range(1 + repeats)]
    else:
        ground_truth = random.integers(1, N_CLASSES + 1, cube.shape[:2]).astype(np.uint8)
        ground_truth[random.random(cube.shape[:2]) > LABELLED_SHARE] = 0
        names = tuple(f"class {k}" for k in range(1, N_CLASSES + 1))
        split = make_split(Scene("noise", cube[:, :, :0], ground_truth, names), point.split, seed=0)
        options = recipe("paper").method
        assert isinstance(options, NetworkOptions)
        schedule = replace(options.fit, epochs=1)
        sampler, generator = PatchSampler(cube, model.patch_size, device), torch.Generator().manual_seed(0)
        seconds = [timed(lambda: fit(model, sampler, split, schedule, generator)) for _ in range(1 + repeats)]
        labels = len(split.train)
    return Cost(labels, seconds[1:], round(peak_mb(device) - idle_mb, 1), idle_mb)


def peak_mb(device: torch.device) -> float:
    """Peak memory so far in MB: the GPU's allocations, or this process's own on the CPU.

    `resource.getrusage` would start a new process at its parent's peak; Linux also keeps one of its own.
    """
    status = Path("/proc/self/status")
    if device.type == "cuda" or not status.exists():
        return peak_memory_mb(device)
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def main() -> None:
    """Measure the point that the argument describes and print its cost, both as JSON."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    print(json.dumps(asdict(measure(Point(**job["point"]), torch.device(job["device"]), job["repeats"]))))


if __name__ == "__main__":
    main()
