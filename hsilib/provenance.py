"""Where a measurement comes from: code, data, machine, memory."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from hsilib.data.scene import Scene


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far in MB: the GPU's allocations for this run, or the whole process on the CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def provenance(scene: Scene, device: torch.device, started: datetime) -> dict[str, Any]:
    """Which code, data and machine a record comes from."""
    return {"data_sha256": scene.sha256(), **machine(device, started)}


def machine(device: torch.device, started: datetime) -> dict[str, Any]:
    """Which code and machine something was measured with."""
    commit, dirty = git_state()
    cuda = device.type == "cuda"
    return {
        "git_commit": commit,
        "dirty": dirty,
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("hsilib", "torch", "numpy", "scipy", "scikit-learn")},
        },
        "device": torch.cuda.get_device_name(device) if cuda else f"{cpu_name()}, threads: {torch.get_num_threads()}",
        "started_utc": started.isoformat(timespec="seconds"),
    }


def git_state() -> tuple[str | None, bool | None]:
    """Commit of the checkout that this code runs from and whether tracked files differ; None outside one."""
    checkout = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, check=True)
        return result.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != checkout:
            return None, None  # installed inside somebody else's repository
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def cpu_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
