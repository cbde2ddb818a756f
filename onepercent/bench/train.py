"""``hsilib bench train``: steps of `fit` and of both pre-training stages against a plain `DataLoader`.

Both sides train the same network with the same batches, losses and optimiser, and with as many threads. The floor
of a step is its arithmetic, forward and backward, at the speed of a large float32 matrix product on the same device.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from hsilib.config import with_overrides
from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.data.synthetic import SyntheticOptions, generate_scene
from hsilib.model.network import Network
from hsilib.network_method import NetworkOptions
from hsilib.pretraining.mr_ssl import MaskedPretext
from hsilib.pretraining.pretrain import PRETEXTS, train_stage
from hsilib.registry import create_model
from hsilib.training.fit import fit
from hsilib.training.losses import weights_for
from onepercent.bench.comparison import Comparison, Report, compare
from onepercent.bench.dense import SQUARE, matrix_product_gflops
from onepercent.bench.train_baseline import FitPatches, Item, MaskedWindows, PlainTraining, RotatedPatches, fit_loss
from onepercent.recipes import recipe

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sides:
    """The same training twice; each call is an epoch of ``steps`` steps and gives its mean loss."""

    what: str
    steps: int
    batch_size: int
    plain: PlainTraining
    ours: Callable[[], float]


def bench_train(
    device: torch.device,
    rows: int = 145,
    cols: int = 145,
    bands: int = 200,
    n_classes: int = 16,
    per_class: int = 20,
    repeats: int = 5,
    workers: Sequence[int] = (0, 2),
    settings: Sequence[str] = (),
    matrix: int = SQUARE,
) -> Report:
    """Steps of the recipe ``paper`` on a generated scene of Indian Pines' size; those of `fit` are the headline.

    Parameters
    ----------
    per_class : training pixels of each class. The stages take as many steps as `fit`, on other pixels.
    repeats : timed epochs of each side.
    workers : processes of the `DataLoader`; it gets the number with which it is fastest.
    settings : changes of the recipe, as for ``--set``. matrix : rows and columns of the product that is the peak.
    """
    scene = generate_scene(SyntheticOptions(rows=rows, cols=cols, n_bands=bands, n_classes=n_classes, seed=0))
    options = with_overrides(recipe("paper"), list(settings)).method
    assert isinstance(options, NetworkOptions)
    peak = matrix_product_gflops(device, matrix)
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "threads": torch.get_num_threads(),
        f"peak, float32 product of {matrix} × {matrix}, GFLOP/s": round(peak, 1),
    }
    comparisons = []
    for sides in all_sides(device, scene, per_class, options):
        chosen = sides.plain.choose_workers(workers)
        with FlopCounterMode(display=False) as counter:
            sides.ours()
        gflop = counter.get_total_flops() / sides.steps / 1e9
        plain = f"DataLoader over patches cut beforehand, {chosen} workers"
        what = f"{sides.steps} steps of {sides.what}, batches of {sides.batch_size}"
        comparisons.append(compare(what, (plain, sides.plain), ("hsilib", sides.ours), repeats))
        facts |= _per_step(sides, comparisons[-1], gflop, peak)
    return Report("train", comparisons, facts)


def all_sides(device: torch.device, scene: Scene, per_class: int, options: NetworkOptions) -> list[Sides]:
    """Both sides of `fit`, RM-SSL and MR-SSL, in this order; all start from the same weights."""
    split = make_split(scene, f"count:{per_class}", 0)
    split = replace(split, val=split.val[:0], val_labels=split.val_labels[:0])
    steps = options.fit.batches_per_epoch(len(split.train))
    pixels = torch.randperm(scene.ground_truth.size, generator=_seeded())[: steps * options.pretrain.batch_size]
    stages = [_stage_sides(stage, device, scene, pixels, options) for stage in options.pretrain.stages]
    return [_fit_sides(device, scene, split, options), *stages]


def _fit_sides(device: torch.device, scene: Scene, split: Split, options: NetworkOptions) -> Sides:
    plain_model, our_model = (_network(device, scene, options) for _ in range(2))
    cutter, sampler = _samplers(scene, our_model, device)
    schedule = replace(options.fit, epochs=1, warmup_epochs=0)
    weights = weights_for(split.train_labels, scene.n_classes, schedule.loss)
    plain = PlainTraining(
        FitPatches(
            cutter(torch.from_numpy(split.train)).contiguous(),
            torch.from_numpy(split.train_labels - 1),
            cutter.band_low,
            cutter.band_range,
            schedule.augment,
        ),
        schedule.batch_size,
        plain_model,
        partial(fit_loss, model=plain_model, weights=weights.to(device), options=schedule, generator=_seeded()),
        device,
        schedule.learning_rate,
        schedule.weight_decay,
        schedule.clip_norm,
    )
    generator = _seeded()

    def ours() -> float:
        return fit(our_model, sampler, split, schedule, generator).train_loss[0]

    return Sides("fit", schedule.batches_per_epoch(len(split.train)), schedule.batch_size, plain, ours)


def _stage_sides(
    stage: str, device: torch.device, scene: Scene, pixels: torch.Tensor, options: NetworkOptions
) -> Sides:
    plain_model, our_model = (_network(device, scene, options) for _ in range(2))
    cutter, sampler = _samplers(scene, our_model, device)
    schedule = replace(options.pretrain, epochs=1)
    rate, size = schedule.stages[stage], schedule.batch_size
    plain_pretext, our_pretext = (PRETEXTS[stage](model, sampler) for model in (plain_model, our_model))
    our_pretext.load_state_dict(plain_pretext.state_dict())  # the same head, too
    samples: Dataset[Item]
    if isinstance(plain_pretext, MaskedPretext):
        samples = MaskedWindows(cutter(pixels, plain_pretext.window).contiguous())
    else:
        samples = RotatedPatches(cutter(pixels).contiguous(), cutter.band_low, cutter.band_range)
    plain = PlainTraining(samples, size, plain_pretext, plain_pretext.batch_loss, device, rate, schedule.weight_decay)
    generator, here = _seeded(), pixels.to(device)

    def ours() -> float:
        return train_stage(our_pretext, here, rate, schedule, generator)[0]

    return Sides(stage, len(pixels) // size, size, plain, ours)


def _network(device: torch.device, scene: Scene, options: NetworkOptions) -> Network:
    torch.manual_seed(0)
    model = create_model(options.network, scene.n_bands, scene.n_classes, **options.model)
    model.set_standardizer(Standardizer.fit(scene.cube, model.n_components))
    return model.to(device)


def _samplers(scene: Scene, model: Network, device: torch.device) -> tuple[PatchSampler, PatchSampler]:
    """On the CPU, where patches are cut beforehand, and on the device."""
    cutter, sampler = (PatchSampler(scene.cube, model.patch_size, where) for where in (CPU, device))
    return cutter, sampler


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _per_step(sides: Sides, comparison: Comparison, gflop: float, peak: float) -> dict[str, Any]:
    """Times of a step, its arithmetic, and how near ours comes to the floor."""
    times = comparison.as_dict()
    plain, ours = (1e3 * times[f"{side}_median_s"] / sides.steps for side in ("baseline", "ours"))
    floor = 1e3 * gflop / peak
    facts = {
        "GFLOP a step": gflop,
        "plain, ms a step": plain,
        "hsilib, ms a step": ours,
        "floor, ms a step": floor,
        "share of the peak that hsilib reaches": floor / ours,
    }
    return {f"{sides.what}: {name}": round(value, 3) for name, value in facts.items()}
