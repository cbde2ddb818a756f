"""``hsilib bench cluster``: tiles and runs on a dask cluster of two local worker processes against one process.

Every process has one thread, so that the workers' side has twice the processors of the other. The cluster's start
is counted: it is what a small job pays.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path

import torch

from hsilib.inference.dense import TILE
from hsilib.rasters.classify import classify_raster
from hsilib.records import read_records
from onepercent.bench.comparison import Report, compare
from onepercent.bench.raster import read_labels, write_model, write_noise
from onepercent.campaigns.sweep import sweep

CAMPAIGN = {"purpose": "The benchmark of clusters.", "stopping_rule": "All runs."}


def bench_cluster(
    device: torch.device,
    side: int = 1024,
    bands: int = 50,
    recipe: str = "random-forest",
    scene: str = "indian-pines",
    seeds: int = 8,
    repeats: int = 2,
) -> Report:
    """One image, then one campaign, each in one process after another and on two workers.

    Parameters
    ----------
    side, bands : of the image. recipe, scene, seeds : of the campaign's runs.
    """
    with tempfile.TemporaryDirectory() as name, _one_thread():
        folder = Path(name)
        model, image = write_model(folder / "model.safetensors", bands), write_noise(folder / "image.tif", side, bands)
        alone, together = folder / "alone.tif", folder / "together.tif"
        predict = partial(classify_raster, model, image, tile=TILE, device=device.type)
        image_side = compare(
            f"class map of {side} × {side} × {bands} in tiles of {TILE}",
            ("one process", lambda: predict(target=alone)),
            ("two workers with their start", lambda: predict(target=together, scheduler="local")),
            repeats,
            warm_up=False,
        )
        part = {"recipes": [recipe], "scenes": [scene], "splits": ["percent:0.05"], "seeds": seeds}
        campaign = folder / "campaign.yaml"
        campaign.write_text(json.dumps(CAMPAIGN | {"grid": [part]}))  # JSON is YAML
        numbers = iter(range(1000))

        def swept(scheduler: str | None) -> None:
            records = folder / f"{scheduler}-{next(numbers)}"  # a new folder each time, or there would be nothing to do
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                sweep(campaign, records, 1, device.type, scheduler)

        runs_side = compare(
            f"{seeds} runs of {recipe}",
            ("one after the other", lambda: swept(None)),
            ("two workers with their start", lambda: swept("local")),
            repeats,
            warm_up=False,
        )
        confusions = {
            path.name: {r.seed: r.metrics["confusion"] for r in read_records(path)}
            for path in sorted(folder.iterdir())
            if path.is_dir()
        }
        same_map = bool((read_labels(alone) == read_labels(together)).all())
    first = next(iter(confusions.values()))
    return Report(
        "cluster",
        [image_side, runs_side],
        {
            "identical labels": same_map,
            "identical results of all runs": len(first) == seeds and all(c == first for c in confusions.values()),
        },
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread here, and in the processes that runs are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with changed_environment(OMP_NUM_THREADS="1"):
            yield
    finally:
        torch.set_num_threads(threads)


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
