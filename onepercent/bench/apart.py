"""A function in a process of its own: no earlier peak of memory hides its peak, and no earlier setting stays."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from hsilib.provenance import peak_memory_mb


@dataclass(frozen=True)
class Apart:
    """What a process did.

    Attributes
    ----------
    result : what the function returned, after its way through JSON.
    idle_mb : peak memory before the function ran: the interpreter and the libraries. 0 on CUDA.
    peak_mb : peak memory of the process, or of the GPU's allocations.
    """

    result: Any
    idle_mb: float
    peak_mb: float

    @property
    def added_mb(self) -> float:
        """Peak memory above that of the idle process."""
        return round(self.peak_mb - self.idle_mb, 1)


def run_apart(
    function: Callable[..., Any],
    device: torch.device,
    arguments: Mapping[str, Any],
    threads: int | None = None,
    environment: Mapping[str, str | None] | None = None,
) -> Apart:
    """``function(device, **arguments)`` in a new process.

    Parameters
    ----------
    function : stands in a module under its own name. arguments : JSON has to know them, and the result.
    threads : of the process; by default as many as this one has.
    environment : variables that differ from this process's; None takes one away.

    Raises
    ------
    RuntimeError : it failed; the message is what it wrote to standard error.
    """
    job = {
        "module": function.__module__,
        "function": function.__name__,
        "device": str(device),
        "arguments": dict(arguments),
        "threads": threads or torch.get_num_threads(),
    }
    variables = {k: v for k, v in (os.environ | dict(environment or {})).items() if v is not None}
    command = [sys.executable, "-m", "onepercent.bench.apart", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        raise RuntimeError(f"{function.__name__}, {job['arguments']}: the process failed.\n{done.stderr}")
    return Apart(**json.loads(done.stdout))


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
    """Do the job that the argument describes and print an `Apart`, both as JSON."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    function, device = getattr(importlib.import_module(job["module"]), job["function"]), torch.device(job["device"])
    idle_mb = peak_mb(device)
    with redirect_stdout(sys.stderr):  # standard output is for the result
        result = function(device, **job["arguments"])
    print(json.dumps(asdict(Apart(result, idle_mb, peak_mb(device)))))


if __name__ == "__main__":
    main()
