"""``hsilib bench cluster``: tiles and runs on a dask cluster of two local worker processes against one process.

Every process has one thread, so that the workers' side has twice the processors of the other. The cluster's start
is counted: it is what a small job pays.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hsilib.inference.dense import TILE
from hsilib.rasters.classify import classify_raster
from hsilib.records import read_records
from onepercent.bench.apart import run_apart
from onepercent.bench.comparison import Comparison, Report, compare
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
    image = {"side": side, "bands": bands}
    runs = {"recipe": recipe, "scene": scene, "seeds": seeds}
    one_thread = {"OMP_NUM_THREADS": "1"}  # in the processes that runs are, too
    found = [
        run_apart(function, device, arguments | {"repeats": repeats}, 1, one_thread).result
        for function, arguments in ((compare_tiles, image), (compare_runs, runs))
    ]
    names = ("identical labels", "identical results of all runs")
    facts = {name: part["identical"] for name, part in zip(names, found, strict=True)}
    return Report("cluster", [Comparison(**part["times"]) for part in found], facts)


def compare_tiles(device: torch.device, side: int, bands: int, repeats: int) -> dict[str, Any]:
    """A class map; the times as a `Comparison`, and whether both ways gave the same."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, image = write_model(folder / "model.safetensors", bands), write_noise(folder / "image.tif", side, bands)
        alone, together = folder / "alone.tif", folder / "together.tif"
        predict = partial(classify_raster, model, image, tile=TILE, device=device.type)
        times = compare(
            f"class map of {side} × {side} × {bands} in tiles of {TILE}",
            ("one process", lambda: predict(target=alone)),
            ("two workers with their start", lambda: predict(target=together, scheduler="local")),
            repeats,
            warm_up=False,
        )
        identical = bool((read_labels(alone) == read_labels(together)).all())
    return {"times": asdict(times), "identical": identical}


def compare_runs(device: torch.device, recipe: str, scene: str, seeds: int, repeats: int) -> dict[str, Any]:
    """A campaign; the result is as of `compare_tiles`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = {"recipes": [recipe], "scenes": [scene], "splits": ["percent:0.05"], "seeds": seeds}
        campaign = folder / "campaign.yaml"
        campaign.write_text(json.dumps(CAMPAIGN | {"grid": [part]}))  # JSON is YAML
        numbers = iter(range(1000))

        def swept(scheduler: str | None) -> None:
            records = folder / f"{scheduler}-{next(numbers)}"  # a new folder each time, or there would be nothing to do
            sweep(campaign, records, 1, device.type, scheduler)

        times = compare(
            f"{seeds} runs of {recipe}",
            ("one after the other", lambda: swept(None)),
            ("two workers with their start", lambda: swept("local")),
            repeats,
            warm_up=False,
        )
        confusions = [
            {record.seed: record.metrics["confusion"] for record in read_records(path)}
            for path in folder.iterdir()
            if path.is_dir()
        ]
    identical = len(confusions[0]) == seeds and all(found == confusions[0] for found in confusions)
    return {"times": asdict(times), "identical": identical}
