"""`run`: the whole pipeline on one page, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.config import Config
from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.split import Split
from hsilib.data.splits import make_splits
from hsilib.errors import InputError
from hsilib.method import Method, MethodOptions, Workspace
from hsilib.metrics import confusion_matrix, metrics_from_confusion
from hsilib.provenance import peak_memory_mb, provenance
from hsilib.records import Record, record_id
from hsilib.training.device import exact_convolutions, find_device

LEAKAGE_PATCH_SIZE = 15


@exact_convolutions()
def run(config: Config) -> tuple[Record, NDArray[np.uint8]]:
    """Load, split, fit, predict, measure; fold by fold where the split has several.

    Returns
    -------
    The record and the class map, (H, W) with labels 1…K. Of several folds the confusion matrices are added up, and a
    pixel's label is that of the fold that tests it, else of the first.

    Raises
    ------
    InputError : anything about the config or the scene that cannot be used.
    """
    started = datetime.now(UTC)
    device = find_device(config.device)
    scene = load_scene(config.scene, with_cube=config.method.uses_spectra)
    splits = make_splits(scene, config.split, config.seed)
    if config.save is not None and len(splits) > 1:
        raise InputError(f"split {config.split} trains {len(splits)} networks; percent:0.01 trains one, to be saved.")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    generator = torch.Generator().manual_seed(config.seed)
    folds = []
    for i, split in enumerate(splits):
        method = prepared_method(config, device, fold=i)
        # From here to the metrics nothing sees a label that it may not see.
        fit_started = time.perf_counter()
        method.fit(scene.without_ground_truth(), visible(split, config.method), generator)
        fit_s = time.perf_counter() - fit_started
        folds.append(predicted(method, scene, split, fit_s))
    return measured(config, scene, folds, device, started)


def visible(split: Split, options: MethodOptions) -> Split:
    """What a method may see of a split: no test label, validation pixels only if it says that it chooses by them."""
    hidden = split.hide_test_labels()
    return hidden if options.uses_validation else hidden.without_validation()


def prepared_method(config: Config, device: torch.device, fold: int = 0) -> Method:
    """The method, not fitted yet, with its workspace."""
    method = config.method.build(device)
    if config.workspace is not None:
        identity = record_id(config.method, config.scene, config.split, config.seed)
        method.workspace = Workspace(config.workspace, f"{identity}-{fold}" if fold else identity)
    return method


@dataclass(frozen=True, eq=False)
class Fold:
    """A fitted method's answers to one split. ``class_map`` is (H, W) with labels 1…K, ``timing`` in seconds."""

    method: Method
    split: Split
    class_map: NDArray[np.uint8]
    timing: dict[str, float]


def predicted(method: Method, scene: Scene, split: Split, fit_s: float) -> Fold:
    """Label the scene with a fitted method."""
    started = time.perf_counter()
    probabilities = method.predict_proba(scene.without_ground_truth())
    predict_s = time.perf_counter() - started
    timing = {"pretrain_s": 0.0, "fit_s": round(fit_s, 3), "predict_s": round(predict_s, 3), **method.seconds}
    return Fold(method, split, (probabilities.argmax(axis=-1) + 1).astype(np.uint8), timing)


def measured(
    config: Config, scene: Scene, folds: Sequence[Fold], device: torch.device, started: datetime
) -> tuple[Record, NDArray[np.uint8]]:
    """Measure the folds and save what is asked for; the record and the class map as of `run`."""
    class_map = folds[0].class_map.copy()
    confusion = np.zeros((scene.n_classes, scene.n_classes), dtype=np.int64)
    for fold in folds:
        found = fold.class_map.ravel()[fold.split.test]
        confusion += confusion_matrix(fold.split.test_labels, found, scene.n_classes)
        class_map.ravel()[fold.split.test] = found
    details = [fold.method.details() for fold in folds]
    record = Record(
        id=record_id(config.method, config.scene, config.split, config.seed),
        recipe=config.recipe,
        config=asdict(config.method),  # type: ignore[call-overload]
        scene=config.scene,
        split=describe_splits([fold.split for fold in folds], scene),
        seed=config.seed,
        metrics=asdict(metrics_from_confusion(confusion)),
        timing={key: round(sum(fold.timing[key] for fold in folds), 3) for key in folds[0].timing},
        memory={"peak_mb": peak_memory_mb(device)},
        model=details[0] if len(folds) == 1 else {"folds": details},
        provenance=provenance(scene, device, started),
    )
    if config.save is not None:
        folds[0].method.save(config.save, scene.class_names)
    for fold in folds:
        if fold.method.workspace is not None:
            fold.method.workspace.checkpoint.unlink(missing_ok=True)
    return record, class_map


def describe_splits(splits: Sequence[Split], scene: Scene) -> dict[str, Any]:
    """What a record says of its split: pixels are summed over the folds, leakage is that of all test pixels."""
    parts = [split.leakage(LEAKAGE_PATCH_SIZE) for split in splits]
    shares = [len(split.test) for split in splits]
    leakage = {
        key: float(np.average([part[key] for part in parts], weights=shares)) for key in ("contains", "overlaps")
    }
    trained = np.concatenate([split.train_labels for split in splits])
    described: dict[str, Any] = {
        "spec": splits[0].spec,
        "n_train": sum(len(split.train) for split in splits),
        "n_val": sum(len(split.val) for split in splits),
        "n_test": sum(shares),
        "leakage": {"patch_size": LEAKAGE_PATCH_SIZE, **leakage},
        "untested_classes": [scene.class_names[k - 1] for k in splits[0].untested_classes],
        "untrained_classes": [name for k, name in enumerate(scene.class_names, start=1) if k not in trained],
    }
    return described | ({"n_folds": len(splits)} if len(splits) > 1 else {})
