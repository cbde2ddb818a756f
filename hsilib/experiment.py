"""`run`: the whole pipeline on one page, top to bottom."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.config import Config
from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.errors import InputError, unknown_name
from hsilib.models.method import Workspace
from hsilib.reporting.metrics import confusion_matrix, metrics_from_confusion
from hsilib.reporting.records import Record, record_id

LEAKAGE_PATCH_SIZE = 15
DEVICES = ("auto", "cpu", "cuda")


def run(config: Config) -> tuple[Record, NDArray[np.uint8]]:
    """Load, split, fit, predict, measure.

    Returns
    -------
    The record and the class map, (H, W) with labels 1…K.

    Raises
    ------
    InputError : anything about the config or the scene that cannot be used.
    """
    started = datetime.now(UTC)
    device = find_device(config.device)
    scene = load_scene(config.scene, with_cube=config.method.uses_spectra)
    split = make_split(scene, config.split, config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    # From here to the metrics nothing sees a label outside training and validation.
    identity = record_id(config.method, config.scene, config.split, config.seed)
    method = config.method.build(device)
    if config.workspace is not None:
        method.workspace = Workspace(config.workspace, identity)
    unlabelled = scene.without_ground_truth()
    fit_started = time.perf_counter()
    method.fit(unlabelled, split.hide_test_labels(), generator)
    predict_started = time.perf_counter()
    probabilities = method.predict_proba(unlabelled)
    predict_ended = time.perf_counter()

    class_map = (probabilities.argmax(axis=-1) + 1).astype(np.uint8)
    confusion = confusion_matrix(split.test_labels, class_map.ravel()[split.test], scene.n_classes)
    record = Record(
        id=identity,
        recipe=config.recipe,
        config=asdict(config.method),  # type: ignore[call-overload]
        scene=config.scene,
        split=describe_split(split, scene),
        seed=config.seed,
        metrics=asdict(metrics_from_confusion(confusion)),
        timing={
            "pretrain_s": 0.0,
            "fit_s": round(predict_started - fit_started, 3),
            "predict_s": round(predict_ended - predict_started, 3),
            **method.seconds,
        },
        memory={"peak_mb": peak_memory_mb(device)},
        model=method.details(),
        provenance=provenance(scene, device, started),
    )
    if method.workspace is not None:
        method.workspace.checkpoint.unlink(missing_ok=True)
    return record, class_map


def find_device(name: str) -> torch.device:
    """``auto`` takes CUDA when it is there.

    Raises
    ------
    InputError : CUDA was asked for and is not there.
    """
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda': no CUDA device was found; use --device auto or --device cpu.")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def describe_split(split: Split, scene: Scene) -> dict[str, Any]:
    """What a record says of its split."""
    return {
        "spec": split.spec,
        "n_train": len(split.train),
        "n_val": len(split.val),
        "n_test": len(split.test),
        "leakage": split.leakage(LEAKAGE_PATCH_SIZE),
        "untested_classes": [scene.class_names[k - 1] for k in split.untested_classes],
        "untrained_classes": [scene.class_names[k - 1] for k in split.untrained_classes(scene.n_classes)],
    }


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
