"""`run_seeds`: one config with several seeds, trained as one stack where there is a GPU."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.config import Config
from hsilib.data.load import load_scene
from hsilib.data.splits import make_split
from hsilib.experiment import measured, predicted, prepared_method, run, visible
from hsilib.network_method import NetworkOptions
from hsilib.records import Record
from hsilib.training.device import exact_convolutions, find_device
from onepercent.many_seeds.fit_together import fit_together


def run_seeds(config: Config, seeds: Sequence[int]) -> Iterator[tuple[Record, NDArray[np.uint8]]]:
    """Run one config with several seeds: networks on a GPU together, all else one seed after the other.

    Results come in the order of the seeds; ``config.seed`` is not used. `hsilib sweep` runs seeds side by side in
    processes.

    Raises
    ------
    InputError : as for `run`.
    """
    on_gpu = find_device(config.device).type == "cuda"
    several_folds = config.split.partition(":")[0] in ("fields", "folds")
    if on_gpu and len(seeds) > 1 and isinstance(config.method, NetworkOptions) and not several_folds:
        yield from run_together(config, seeds)
    else:
        yield from (run(replace(config, seed=seed)) for seed in seeds)


@exact_convolutions()
def run_together(config: Config, seeds: Sequence[int]) -> list[tuple[Record, NDArray[np.uint8]]]:
    """`run` for several seeds, whose methods are fitted together if they can be; see `fit_together`."""
    started = datetime.now(UTC)
    device = find_device(config.device)
    scene = load_scene(config.scene, with_cube=config.method.uses_spectra)
    configs = [replace(config, seed=seed) for seed in seeds]
    splits = [make_split(scene, config.split, seed) for seed in seeds]
    methods = [prepared_method(each, device) for each in configs]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    fit_started = time.perf_counter()
    fit_together(methods, scene.without_ground_truth(), [visible(split, config.method) for split in splits], generators)
    fit_s = (time.perf_counter() - fit_started) / len(seeds)
    return [
        measured(each, scene, [predicted(method, scene, split, fit_s)], device, started)
        for each, method, split in zip(configs, methods, splits, strict=True)
    ]
