"""Where a measurement comes from: code, data, machine, memory."""

from __future__ import annotations

import os
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

CPU_INFO = Path("/proc/cpuinfo")
# What kernels are chosen by: the width of a vector is the order in which sums are rounded.
VECTOR_FLAGS = ("sse4_1", "avx", "fma", "avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve", "sve2")
# What may hold oneDNN, ATen, MKL or OpenBLAS below what the processor can.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "OPENBLAS_CORETYPE")


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
        "device": torch.cuda.get_device_name(device) if cuda else f"{processor()}, threads: {torch.get_num_threads()}",
        "processor": processor(),
        "instruction_set": instruction_set(),
        "threads": torch.get_num_threads(),
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


def processor() -> str:
    """The processor's own name where the system tells it, its architecture otherwise."""
    return cpu_info("model name") or platform.processor() or platform.machine()


def instruction_set() -> dict[str, Any]:
    """What decides which kernels compute on the CPU, so that a rerun elsewhere can be understood.

    ``aten`` is what ATen took. oneDNN cannot be asked: it takes the widest of ``flags`` that it has kernels for,
    unless a variable in ``limits`` says otherwise. ``flags`` is empty where the system does not tell them.
    """
    flags = (cpu_info("flags") or cpu_info("Features")).split()  # the latter is what Linux says on ARM
    return {
        "aten": torch.backends.cpu.get_cpu_capability(),
        "flags": [flag for flag in VECTOR_FLAGS if flag in flags],
        "limits": {name: os.environ[name] for name in LIMITS if name in os.environ},
    }


def cpu_info(key: str) -> str:
    """What Linux says of the first processor under ``key``; empty where it says nothing."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")
