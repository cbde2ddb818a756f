"""``hsilib bench pipeline``: the whole recipe ``paper`` at the size of University of Pavia, stage by stage.

Ours is run once in full. The plain way would take hours, so both are also timed in turns on a declared share of each
stage (one epoch, one view of the scene, a few rows of patches) and multiplied up. What that predicts for ours stands
beside what the full run took, so the extrapolation itself is checked.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from hsilib.config import with_overrides
from hsilib.data.load import load_scene
from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.inference.dense import predict_logits_patchwise
from hsilib.inference.tta import predict_view, scene_views
from hsilib.network_method import NetworkMethod, NetworkOptions
from hsilib.pretraining.pretrain import PRETEXTS, train_stage
from hsilib.pretraining.samples import draw_positions
from hsilib.provenance import peak_memory_mb
from hsilib.training.fit import fit
from onepercent.bench.comparison import Comparison, Report, compare
from onepercent.bench.pipeline_baseline import fit_epoch, pretext_epoch
from onepercent.recipes import recipe

TRAINING_BASELINE = "DataLoader, patches changed one by one"
PREDICTION_BASELINE = "patch by patch"
OURS = "hsilib"


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline, both ways, on a share of its work.

    Attributes
    ----------
    name : ``rm-ssl``, ``mr-ssl``, ``fit`` or ``predict``. work : what all of it is, in words.
    baseline_name : what the baseline does, in words.
    baseline, ours : do the share.
    baseline_times, ours_times : how many such shares the whole stage has.
    """

    name: str
    work: str
    baseline_name: str
    baseline: Callable[[], object]
    ours: Callable[[], object]
    baseline_times: float
    ours_times: float


def bench_pipeline(
    device: torch.device,
    scene_name: str = "synthetic-pavia-like",
    settings: Sequence[str] = (),
    baseline_rows: int = 2,
    repeats: int = 3,
) -> Report:
    """Run ours in full, then both in turns on a share of each stage.

    Parameters
    ----------
    scene_name : of `load_scene`. settings : changes of the recipe ``paper``, as for ``--set``.
    baseline_rows : rows of the scene that are predicted patch by patch.
    """
    config = with_overrides(recipe("paper"), list(settings))
    options = config.method
    assert isinstance(options, NetworkOptions)
    labelled = load_scene(scene_name)
    split, scene = make_split(labelled, config.split, config.seed).hide_test_labels(), labelled.without_ground_truth()
    method = options.build(device)
    measured = full_run(method, scene, split, config.seed)
    peak_mb = peak_memory_mb(device)  # before the baseline has run

    parts, stages = [], {}
    for stage in stages_of(method, scene, split, baseline_rows):
        share = compare(stage.name, (stage.baseline_name, stage.baseline), (OURS, stage.ours), repeats)
        parts.append(extrapolated(stage, share))
        stages[stage.name] = {
            "work": stage.work,
            "measured_s": round(measured[stage.name], 3),
            "extrapolated_s": round(statistics.median(parts[-1].ours_s), 3),
            "baseline_extrapolated_s": round(statistics.median(parts[-1].baseline_s), 3),
        }
    size = " × ".join(map(str, scene.cube.shape))
    total = whole(f"recipe paper, {size}, {len(split.train)} labels, extrapolated from a share of each stage", parts)
    measured_s = sum(measured.values())
    facts = {
        "stages": stages,
        "measured_s": round(measured_s, 3),
        "between_stages_s": round(measured["between"], 3),
        "extrapolated_over_measured": round(statistics.median(total.ours_s) / measured_s, 3),
        "training_pixels": len(split.train),
        "peak_mb": peak_mb,
    }
    return Report("pipeline", [total, *parts], facts)


def full_run(method: NetworkMethod, scene: Scene, split: Split, seed: int) -> dict[str, float]:
    """Fit and predict as `hsilib.experiment.run` does; seconds of each stage and of what lies between them."""
    started = time.perf_counter()
    method.fit(scene, split, torch.Generator().manual_seed(seed))
    fitted = time.perf_counter()
    method.predict_proba(scene)  # ends with a copy to the CPU, so a GPU has finished
    seconds = {stage.stage: stage.seconds for stage in method.stages}
    seconds |= {"fit": method.history.seconds, "predict": time.perf_counter() - fitted}
    return seconds | {"between": time.perf_counter() - started - sum(seconds.values())}


def stages_of(method: NetworkMethod, scene: Scene, split: Split, baseline_rows: int) -> list[Stage]:
    """The stages of a fitted method, which goes on training when they run."""
    options, model = method.options, method.model
    sampler = PatchSampler(scene.cube, model.patch_size, method.device)
    samplers = (PatchSampler(scene.cube, model.patch_size, torch.device("cpu")), sampler)
    generator = torch.Generator().manual_seed(0)
    positions, _ = draw_positions(split, generator)
    views = scene_views(options.tta)
    once, epoch = replace(options.pretrain, epochs=1), replace(options.fit, epochs=1)

    def self_supervised(name: str, rate: float) -> Stage:
        pretext, on_device = PRETEXTS[name](model, sampler), positions.to(method.device)
        steps = max(1, len(positions) // once.batch_size)
        return Stage(
            name,
            f"{options.pretrain.epochs} epochs of {steps} steps",
            TRAINING_BASELINE,
            lambda: pretext_epoch(name, rate, model, samplers, positions, once, generator),
            lambda: train_stage(pretext, on_device, rate, once, generator),
            options.pretrain.epochs,
            options.pretrain.epochs,
        )

    rows, cols = scene.shape
    return [
        *(self_supervised(name, rate) for name, rate in options.pretrain.stages.items()),
        Stage(
            "fit",
            f"{options.fit.epochs} epochs of {options.fit.batches_per_epoch(len(split.train))} steps",
            TRAINING_BASELINE,
            lambda: fit_epoch(model, samplers, split, epoch, generator),
            lambda: fit(model, sampler, split, epoch, generator),
            options.fit.epochs,
            options.fit.epochs,
        ),
        Stage(
            "predict",
            f"{len(views)} views of {rows} × {cols} pixels",
            PREDICTION_BASELINE,
            lambda: predict_logits_patchwise(model, scene.cube[:baseline_rows]).cpu(),
            lambda: predict_view(model, scene.cube, views[-1], generator).cpu(),
            len(views) * rows / baseline_rows,
            len(views),
        ),
    ]


def extrapolated(stage: Stage, share: Comparison) -> Comparison:
    """The times of a share, multiplied up to the whole stage."""
    return Comparison(
        f"{stage.name}: {stage.work}, of which 1/{stage.baseline_times:.0f} and 1/{stage.ours_times:.0f} were timed",
        share.baseline,
        share.ours,
        [seconds * stage.baseline_times for seconds in share.baseline_s],
        [seconds * stage.ours_times for seconds in share.ours_s],
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
