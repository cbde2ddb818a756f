"""``hsilib bench train``: steps of `fit` and of both pre-training stages against a plain `DataLoader`.

Both sides train the same network with the same batches, losses and optimiser, and with as many threads; what they do
not share stands in `onepercent.bench.plain_training`. The floor of a step is its arithmetic, forward and backward, at
the speed of a large float32 matrix product on the same device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from hsilib.config import with_overrides
from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.data.synthetic import SyntheticOptions, generate_scene
from hsilib.model.network import Network
from hsilib.network_method import NetworkOptions
from hsilib.pretraining.pretrain import PRETEXTS, train_stage
from hsilib.registry import create_model
from hsilib.training.checkpoint import FitHistory
from hsilib.training.fit import fit
from onepercent.bench.comparison import Comparison, Report, compare
from onepercent.bench.dense import SQUARE, matrix_product_gflops
from onepercent.bench.plain_training import PlainTraining, plain_fit, plain_stage
from onepercent.recipes import recipe


@dataclass(frozen=True)
class Sides:
    """The same training twice; each call is an epoch of ``steps`` steps."""

    what: str
    steps: int
    batch_size: int
    plain: PlainTraining
    ours: Callable[[], FitHistory | list[float]]


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
    facts = {f"peak, float32 product of {matrix} × {matrix}, GFLOP/s": round(peak, 1)}
    comparisons = []
    for sides in all_sides(device, scene, per_class, options):
        sides.plain.choose_workers(workers)
        with FlopCounterMode(display=False) as counter:
            sides.ours()
        gflop = counter.get_total_flops() / sides.steps / 1e9
        what = f"{sides.steps} steps of {sides.what}, batches of {sides.batch_size}"
        comparisons.append(compare(what, (sides.plain.name, sides.plain), ("hsilib", sides.ours), repeats))
        facts |= _per_step(sides, comparisons[-1], gflop, peak)
    return Report("train", comparisons, facts)


def all_sides(device: torch.device, scene: Scene, per_class: int, options: NetworkOptions) -> list[Sides]:
    """`training_sides` of two networks that start from the same weights."""
    split = make_split(scene, f"count:{per_class}", 0)
    split = replace(split, val=split.val[:0], val_labels=split.val_labels[:0])
    steps = options.fit.batches_per_epoch(len(split.train))
    pixels = torch.randperm(scene.ground_truth.size, generator=_seeded())[: steps * options.pretrain.batch_size]
    plain_model, our_model = (_network(device, scene, options) for _ in range(2))
    return training_sides(
        plain_model, our_model, PatchSampler(scene.cube, our_model.patch_size, device), split, pixels, options
    )


def training_sides(
    plain_model: Network,
    our_model: Network,
    sampler: PatchSampler,
    split: Split,
    samples: torch.Tensor,
    options: NetworkOptions,
) -> list[Sides]:
    """Both sides of `fit` and of the self-supervised stages that are on, in this order.

    Parameters
    ----------
    plain_model, our_model : on the sampler's device; may be one and the same.
    samples : (N,) flat indices of the pixels that the stages learn from.
    """
    once, stage_once = replace(options.fit, epochs=1, warmup_epochs=0), replace(options.pretrain, epochs=1)
    samples = samples.to(sampler.device)
    sides = [
        Sides(
            "fit",
            once.batches_per_epoch(len(split.train)),
            once.batch_size,
            plain_fit(plain_model, sampler, split, once),
            partial(fit, our_model, sampler, split, once, _seeded()),
        )
    ]
    for stage, rate in stage_once.stages.items():
        plain_pretext, our_pretext = (PRETEXTS[stage](model, sampler) for model in (plain_model, our_model))
        our_pretext.load_state_dict(plain_pretext.state_dict())  # the same head, too
        sides.append(
            Sides(
                stage,
                max(1, len(samples) // stage_once.batch_size),
                stage_once.batch_size,
                plain_stage(plain_pretext, samples, rate, stage_once),
                partial(train_stage, our_pretext, samples, rate, stage_once, _seeded()),
            )
        )
    return sides


def _network(device: torch.device, scene: Scene, options: NetworkOptions) -> Network:
    torch.manual_seed(0)
    model = create_model(options.network, scene.n_bands, scene.n_classes, **options.model)
    model.set_standardizer(Standardizer.fit(scene.cube, model.n_components))
    return model.to(device)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _per_step(sides: Sides, comparison: Comparison, gflop: float, peak: float) -> dict[str, float]:
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
