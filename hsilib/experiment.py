"""`run`: the whole pipeline on one page, top to bottom.

Contents: `run`, `run_together`, `run_seeds`, `choose_way`, `run_side_by_side`, `find_device`, `describe_split`.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.config import Config
from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.errors import InputError, unknown_name
from hsilib.inference.network_method import NetworkOptions
from hsilib.inference.together import fit_together
from hsilib.models.method import Workspace
from hsilib.provenance import peak_memory_mb, provenance
from hsilib.reporting.metrics import confusion_matrix, metrics_from_confusion
from hsilib.reporting.records import Record, record_id
from hsilib.training.precision import exact_convolutions

LEAKAGE_PATCH_SIZE = 15
DEVICES = ("auto", "cpu", "cuda")
TOGETHER, SIDE_BY_SIDE, ONE_BY_ONE = "as one stack", "side by side in processes", "one after the other"


def run(config: Config) -> tuple[Record, NDArray[np.uint8]]:
    """Load, split, fit, predict, measure.

    Returns
    -------
    The record and the class map, (H, W) with labels 1…K.

    Raises
    ------
    InputError : anything about the config or the scene that cannot be used.
    """
    return run_together(config, [config.seed])[0]


@exact_convolutions()
def run_together(config: Config, seeds: Sequence[int]) -> list[tuple[Record, NDArray[np.uint8]]]:
    """The pipeline for several seeds of one config, whose methods are fitted together if they can be.

    See `fit_together` for what that changes. A record, and its id, is otherwise that of `run`.
    """
    started = datetime.now(UTC)
    device = find_device(config.device)
    scene = load_scene(config.scene, with_cube=config.method.uses_spectra)
    splits = [make_split(scene, config.split, seed) for seed in seeds]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    # From here to the metrics nothing sees a label outside training and validation.
    identities = [record_id(config.method, config.scene, config.split, seed) for seed in seeds]
    methods = [config.method.build(device) for _ in seeds]
    if config.workspace is not None:
        for method, identity in zip(methods, identities, strict=True):
            method.workspace = Workspace(config.workspace, identity)
    unlabelled = scene.without_ground_truth()
    fit_started = time.perf_counter()
    fit_together(methods, unlabelled, [split.hide_test_labels() for split in splits], generators)
    fit_s = (time.perf_counter() - fit_started) / len(seeds)

    results = []
    for seed, split, identity, method in zip(seeds, splits, identities, methods, strict=True):
        predict_started = time.perf_counter()
        probabilities = method.predict_proba(unlabelled)
        predict_s = time.perf_counter() - predict_started
        class_map = (probabilities.argmax(axis=-1) + 1).astype(np.uint8)
        confusion = confusion_matrix(split.test_labels, class_map.ravel()[split.test], scene.n_classes)
        record = Record(
            id=identity,
            recipe=config.recipe,
            config=asdict(config.method),  # type: ignore[call-overload]
            scene=config.scene,
            split=describe_split(split, scene),
            seed=seed,
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
        results.append((record, class_map))
    return results


def run_seeds(config: Config, seeds: Sequence[int]) -> Iterator[tuple[Record, NDArray[np.uint8]]]:
    """Run one config with several seeds in whatever way is fastest here; results in the order of the seeds.

    On a GPU networks are trained together, see `run_together`. On the CPU the seeds run side by side, in as many
    processes as torch has threads, each with one thread: small layers gain little from a second one. Each result
    is given as soon as it and those before it are there. ``config.seed`` is not used.

    Raises
    ------
    InputError : as for `run`, or a process died.
    """
    way = choose_way(config, len(seeds))
    if way == TOGETHER:
        yield from run_together(config, seeds)
    elif way == SIDE_BY_SIDE:
        yield from run_side_by_side(config, seeds, min(len(seeds), torch.get_num_threads()))
    else:
        yield from (run(replace(config, seed=seed)) for seed in seeds)


def choose_way(config: Config, n_seeds: int) -> str:
    """The fastest way to run ``n_seeds`` seeds here: ``TOGETHER``, ``SIDE_BY_SIDE`` or ``ONE_BY_ONE``."""
    if find_device(config.device).type == "cuda":
        return TOGETHER if isinstance(config.method, NetworkOptions) else ONE_BY_ONE
    return SIDE_BY_SIDE if min(n_seeds, torch.get_num_threads()) > 1 else ONE_BY_ONE


def run_side_by_side(config: Config, seeds: Sequence[int], workers: int) -> Iterator[tuple[Record, NDArray[np.uint8]]]:
    """`run` for each seed, in ``workers`` processes of one thread each; see `run_seeds`."""
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, spawn) as pool:
        # The processes start here. Progress bars of several at once would be unreadable.
        with changed_environment(OMP_NUM_THREADS="1", TQDM_DISABLE="1"):
            results = pool.map(run, [replace(config, seed=seed) for seed in seeds])
        try:
            yield from results
        except BrokenProcessPool as error:
            raise InputError(
                "a process of several side by side died, most often for want of memory: run fewer seeds at a time."
            ) from error


@contextmanager
def changed_environment(**variables: str) -> Iterator[None]:
    """Environment variables for the processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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
