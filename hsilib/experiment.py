"""`run`: the whole pipeline on one page, top to bottom."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.config import Config
from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.method import Method, Workspace
from hsilib.metrics import confusion_matrix, metrics_from_confusion
from hsilib.provenance import peak_memory_mb, provenance
from hsilib.records import Record, record_id
from hsilib.training.device import exact_convolutions, find_device

LEAKAGE_PATCH_SIZE = 15


@exact_convolutions()
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
    method = prepared_method(config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    # From here to the metrics nothing sees a label outside training and validation.
    fit_started = time.perf_counter()
    generator = torch.Generator().manual_seed(config.seed)
    method.fit(scene.without_ground_truth(), split.hide_test_labels(), generator)
    return measured(config, method, scene, split, time.perf_counter() - fit_started, device, started)


def prepared_method(config: Config, device: torch.device) -> Method:
    """The method, not fitted yet, with its workspace."""
    method = config.method.build(device)
    if config.workspace is not None:
        identity = record_id(config.method, config.scene, config.split, config.seed)
        method.workspace = Workspace(config.workspace, identity)
    return method


def measured(
    config: Config,
    method: Method,
    scene: Scene,
    split: Split,
    fit_s: float,
    device: torch.device,
    started: datetime,
) -> tuple[Record, NDArray[np.uint8]]:
    """Predict with a fitted method, measure, save what is asked for; the record and the class map as of `run`."""
    predict_started = time.perf_counter()
    probabilities = method.predict_proba(scene.without_ground_truth())
    predict_s = time.perf_counter() - predict_started
    class_map = (probabilities.argmax(axis=-1) + 1).astype(np.uint8)
    confusion = confusion_matrix(split.test_labels, class_map.ravel()[split.test], scene.n_classes)
    record = Record(
        id=record_id(config.method, config.scene, config.split, config.seed),
        recipe=config.recipe,
        config=asdict(config.method),  # type: ignore[call-overload]
        scene=config.scene,
        split=describe_split(split, scene),
        seed=config.seed,
        metrics=asdict(metrics_from_confusion(confusion)),
        timing={"pretrain_s": 0.0, "fit_s": round(fit_s, 3), "predict_s": round(predict_s, 3), **method.seconds},
        memory={"peak_mb": peak_memory_mb(device)},
        model=method.details(),
        provenance=provenance(scene, device, started),
    )
    if config.save is not None:
        method.save(config.save, scene.class_names)
    if method.workspace is not None:
        method.workspace.checkpoint.unlink(missing_ok=True)
    return record, class_map


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
