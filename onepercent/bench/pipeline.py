"""``hsilib bench pipeline``: the whole recipe ``paper`` at the size of University of Pavia, stage by stage.

Ours is run once in full. The plain way would take hours, so both are also timed in turns on a declared share of each
stage (one epoch, one view of the scene, a few rows of patches) and multiplied up. What that predicts for ours stands
beside what the full run took, so the extrapolation itself is checked.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from hsilib.config import with_overrides
from hsilib.data.load import load_scene
from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.experiment import visible
from hsilib.inference.dense import predict_logits_patchwise
from hsilib.inference.tta import predict_view, scene_views
from hsilib.network_method import NetworkMethod, NetworkOptions
from hsilib.pretraining.samples import draw_samples
from hsilib.provenance import peak_memory_mb
from onepercent.bench.comparison import Comparison, Report, compare
from onepercent.bench.train import training_sides
from onepercent.recipes import recipe

TRAINING_BASELINE = "DataLoader over patches cut beforehand"
PREDICTION_BASELINE = "patch by patch"
OURS = "hsilib"


def bench_pipeline(
    device: torch.device,
    scene_name: str = "synthetic-pavia-like",
    settings: Sequence[str] = (),
    baseline_rows: int = 2,
    repeats: int = 3,
    workers: Sequence[int] = (0, 2),
) -> Report:
    """Run ours in full, then both in turns on a share of each stage.

    Parameters
    ----------
    scene_name : of `load_scene`. settings : changes of the recipe ``paper``, as for ``--set``.
    baseline_rows : rows of the scene that are predicted patch by patch.
    workers : processes of the `DataLoader`; it gets the number with which it is fastest.
    """
    config = with_overrides(recipe("paper"), list(settings))
    options = config.method
    assert isinstance(options, NetworkOptions)
    labelled = load_scene(scene_name)
    split, scene = visible(make_split(labelled, config.split, config.seed), options), labelled.without_ground_truth()
    method = options.build(device)
    measured = full_run(method, scene, split, config.seed)
    peak_mb = peak_memory_mb(device)  # before the baseline has run

    parts = shares(method, scene, split, baseline_rows, repeats, workers)
    stages = {
        name: {
            "work": work,
            "measured_s": round(measured[name], 3),
            "extrapolated_s": round(statistics.median(part.ours_s), 3),
            "baseline_extrapolated_s": round(statistics.median(part.baseline_s), 3),
        }
        for (name, work), part in parts.items()
    }
    size = " × ".join(map(str, scene.cube.shape))
    total = whole(
        f"recipe paper, {size}, {len(split.train)} labels, extrapolated from a share of each stage", [*parts.values()]
    )
    measured_s = sum(measured.values())
    facts = {
        "stages": stages,
        "measured_s": round(measured_s, 3),
        "between_stages_s": round(measured["between"], 3),
        "extrapolated_over_measured": round(statistics.median(total.ours_s) / measured_s, 3),
        "training_pixels": len(split.train),
        "peak_mb": peak_mb,
    }
    return Report("pipeline", [total, *parts.values()], facts)


def full_run(method: NetworkMethod, scene: Scene, split: Split, seed: int) -> dict[str, float]:
    """Fit and predict as `hsilib.experiment.run` does; seconds of each stage and of what lies between them."""
    started = time.perf_counter()
    method.fit(scene, split, torch.Generator().manual_seed(seed))
    fitted = time.perf_counter()
    method.predict_proba(scene)  # ends with a copy to the CPU, so a GPU has finished
    seconds = {stage.stage: stage.seconds for stage in method.stages}
    seconds |= {"fit": method.history.seconds, "predict": time.perf_counter() - fitted}
    return seconds | {"between": time.perf_counter() - started - sum(seconds.values())}


def shares(
    method: NetworkMethod, scene: Scene, split: Split, baseline_rows: int, repeats: int, workers: Sequence[int]
) -> dict[tuple[str, str], Comparison]:
    """Both ways on a share of each stage of a fitted method, which goes on training here, multiplied up to the stage.

    Returns
    -------
    For each stage, its name and what all of it is, in words; the other arguments are those of the benchmark.
    """
    options, model = method.options, method.model
    generator = torch.Generator().manual_seed(0)
    samples, _ = draw_samples(split, generator)
    sampler = PatchSampler(scene.cube, model.patch_size, method.device)
    fitting, *pretraining = training_sides(model, model, sampler, split, samples, options)
    found = {}
    for sides in (*pretraining, fitting):
        sides.plain.choose_workers(workers)
        share = compare(sides.what, (sides.plain.name, sides.plain), (OURS, sides.ours), repeats)
        epochs = options.fit.epochs if sides is fitting else options.pretrain.epochs
        work = f"{epochs} epochs of {sides.steps} steps"
        found[sides.what, work] = extrapolated(share, work, epochs, epochs)
    views, (rows, cols) = scene_views(options.tta), scene.shape
    part = scene.cube[:baseline_rows]
    share = compare(
        "predict",
        (PREDICTION_BASELINE, lambda: predict_logits_patchwise(model, part).cpu()),
        (OURS, lambda: predict_view(model, scene.cube, views[-1], generator).cpu()),
        repeats,
    )
    work = f"{len(views)} views of {rows} × {cols} pixels"
    found["predict", work] = extrapolated(share, work, len(views) * rows / baseline_rows, len(views))
    return found


def extrapolated(share: Comparison, work: str, baseline_times: float, ours_times: float) -> Comparison:
    """The times of a share of ``work``, multiplied by how many such shares the whole of it has."""
    return Comparison(
        f"{share.what}: {work}, of which 1/{baseline_times:.0f} and 1/{ours_times:.0f} were timed",
        share.baseline,
        share.ours,
        [seconds * baseline_times for seconds in share.baseline_s],
        [seconds * ours_times for seconds in share.ours_s],
    )


def whole(what: str, parts: Sequence[Comparison]) -> Comparison:
    """The sum of all stages, repeat by repeat."""
    return Comparison(
        what,
        f"{TRAINING_BASELINE}; {PREDICTION_BASELINE}",
        OURS,
        [sum(times) for times in zip(*(part.baseline_s for part in parts), strict=True)],
        [sum(times) for times in zip(*(part.ours_s for part in parts), strict=True)],
    )
