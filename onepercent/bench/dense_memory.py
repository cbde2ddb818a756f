"""Peak memory of one side of ``hsilib bench dense``, in a process of its own: earlier peaks do not hide it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.inference.dense import predict_logits, predict_logits_patchwise
from hsilib.model.network import Network
from hsilib.registry import create_model
from onepercent.bench.growth_point import peak_mb

SIDES: dict[str, Callable[[Network, NDArray[np.generic]], torch.Tensor]] = {
    "patch by patch": predict_logits_patchwise,
    "dense": predict_logits,
}


def measure_apart(side: str, shape: tuple[int, int, int], n_classes: int, device: torch.device) -> float:
    """MB above the idle process that predicting a scene of ``shape`` takes, scene and model included.

    The new process has as many threads as this one.

    Raises
    ------
    RuntimeError : it failed; the message is what it wrote to standard error.
    """
    job = {"side": side, "shape": shape, "n_classes": n_classes, "device": str(device)}
    job["threads"] = torch.get_num_threads()
    command = [sys.executable, "-m", "onepercent.bench.dense_memory", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side}: the process failed.\n{done.stderr}")
    return float(done.stdout)


def _measure(side: str, shape: tuple[int, int, int], n_classes: int, device: torch.device) -> float:
    """The values are noise, which changes no memory."""
    idle_mb = peak_mb(device)
    cube = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    model = create_model("dual-branch", shape[2], n_classes).to(device)
    SIDES[side](model, cube)
    return round(peak_mb(device) - idle_mb, 1)


def main() -> None:
    """Measure what the argument, JSON, describes and print it."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    print(_measure(job["side"], job["shape"], job["n_classes"], torch.device(job["device"])))


if __name__ == "__main__":
    main()
