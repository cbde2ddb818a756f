"""Both sides of the training benchmark, tiny: the same losses where nothing is drawn, alike where something is."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hsilib.config import with_overrides
from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.network_method import NetworkOptions
from hsilib.registry import create_model
from hsilib.training.augment import AugmentOptions, augment, draw_augmentation
from hsilib.training.fit import fit
from hsilib.training.fit_options import FitOptions
from hsilib.training.mix import MixOptions
from onepercent.bench.dense import matrix_product_gflops
from onepercent.bench.plain_training import Patches, PlainTraining, changed, masked, plain_fit, rotated
from onepercent.bench.train import Sides, all_sides, bench_train
from onepercent.recipes import recipe
from tests.helpers import SMALL, SMALL_SETTINGS, split_of

CPU = torch.device("cpu")
SETTINGS = [*SMALL_SETTINGS, "fit.batch_size=8", "pretrain.batch_size=8"]


def options(*settings: str) -> NetworkOptions:
    method = with_overrides(recipe("paper"), [*SETTINGS, *settings]).method
    assert isinstance(method, NetworkOptions)
    return method


def our_loss(sides: Sides) -> float:
    """The mean loss of an epoch."""
    found = sides.ours()
    return found[0] if isinstance(found, list) else found.train_loss[0]


def test_the_report() -> None:
    report = bench_train(CPU, 24, 20, 12, 4, per_class=4, repeats=1, workers=(0,), settings=SETTINGS, matrix=64)
    assert [c.what for c in report.comparisons] == [
        f"2 steps of {what}, batches of 8" for what in ("fit", "rm-ssl", "mr-ssl")
    ]
    assert {c.baseline for c in report.comparisons} == {"DataLoader over patches cut beforehand, 0 workers"}
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()
    for what, comparison in zip(("fit", "rm-ssl", "mr-ssl"), report.comparisons, strict=True):
        ours = report.facts[f"{what}: hsilib, ms a step"]
        assert ours == pytest.approx(1e3 * comparison.ours_s[0] / 2, abs=1e-3)
        share = report.facts[f"{what}: floor, ms a step"] / ours
        assert report.facts[f"{what}: share of the peak that hsilib reaches"] == pytest.approx(share, abs=2e-3)
    assert report.ratio == report.comparisons[0].ratio


def test_the_arithmetic_of_a_step_by_hand(tiny: Scene) -> None:
    """MR-SSL, windows of 5 × 5: two layers, the attention's two and the head, each forward and twice backward."""
    sides = all_sides(CPU, tiny, 4, options())[2]
    with FlopCounterMode(display=False) as counter:
        sides.ours()
    forward = {"first": 12 * 8, "second": 8 * 8, "attention": 2 * 8, "head": 8 * 12}
    passes = {"first": 2}  # nobody asks for the gradient of the spectra
    products = sum(size * passes.get(name, 3) for name, size in forward.items())
    assert counter.get_total_flops() == sides.steps * 2 * 8 * 25 * products


def test_without_chance_both_sides_have_the_same_loss(tiny: Scene) -> None:
    """No augmentation, no mixing, no dropout and all pixels in one batch."""
    still = options("model.dropout=0.0", "fit.batch_size=64")
    schedule = replace(still.fit, augment=AugmentOptions(), mix=MixOptions())
    sides = all_sides(CPU, tiny, 4, replace(still, fit=schedule))[0]
    assert sides.steps == 1
    for _ in range(3):  # and stay together while the weights change
        assert sides.plain() == pytest.approx(our_loss(sides), rel=1e-5)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_first_losses_are_alike(tiny: Scene, which: int) -> None:
    torch.manual_seed(0)
    sides: Sides = all_sides(CPU, tiny, 10, options("fit.batch_size=40", "pretrain.batch_size=40"))[which]
    assert sides.plain() == pytest.approx(our_loss(sides), rel=0.25)


def test_both_write_the_same_changes_of_a_patch(tiny: Scene) -> None:
    """Strengths at one value, so that only the eight orientations and which bands are dropped are left to chance."""
    settings: dict[str, Any] = {"brightness": (1.1, 1.1), "dropped_gain": (0.7, 0.7), "smoothing_sigma": (0.6, 0.6)}
    fixed = AugmentOptions(1.0, noise=0.0, dropped_bands=1.0, smoothing_probability=1.0, **settings)
    sampler = PatchSampler(tiny.cube, 5, CPU)
    patch = sampler(torch.tensor([250]))
    drawn = draw_augmentation(100, tiny.n_bands, 5, fixed, torch.Generator().manual_seed(0))
    ours = augment(patch.expand(100, -1, -1, -1), drawn, sampler.band_low, sampler.band_range)
    low, span = sampler.band_low[:, None, None], sampler.band_range[:, None, None]
    torch.manual_seed(0)
    found: Counter[int] = Counter()
    for _ in range(100):
        plain = changed(patch[0].contiguous(), low, span, fixed)
        distances = (ours - plain).abs().flatten(1).amax(dim=1)
        assert distances.min() < 1e-4 * plain.abs().max()
        found[int(drawn.orientations[distances.argmin()])] += 1
    assert set(found) == set(range(8))


def test_items_of_the_stages(tiny: Scene) -> None:
    sampler = PatchSampler(tiny.cube, 5, CPU)
    torch.manual_seed(0)
    original = sampler(torch.tensor([250]))[0]
    window, mask = masked(original, 0)
    assert torch.equal(window, original)
    assert 2 <= int(mask.sum()) <= 5  # 20…40 % of 12 bands
    for patch, rotation in (rotated(original, 0, lambda patch: patch) for _ in range(20)):
        upright = torch.rot90(patch, -int(rotation), (1, 2))
        assert torch.equal(upright, original) or torch.equal(upright, original.flip(2))


def test_the_number_of_workers_is_the_fastest(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = all_sides(CPU, tiny, 4, options())[0].plain
    seconds = {0: 2.0, 1: 1.0}
    monkeypatch.setattr("onepercent.bench.plain_training.timed", lambda side: seconds[side.loader.num_workers])
    plain.choose_workers((0, 1))
    assert (plain.loader.num_workers, plain.name) == (1, "DataLoader over patches cut beforehand, 1 workers")
    plain.choose_workers((0,))
    assert plain.loader.num_workers == 0


def averages(values: list[float], weight: torch.nn.Parameter, batch_size: int, clip_norm: float = 0.0) -> PlainTraining:
    """The loss mean(w · x), trained by SGD at rate 1: each step takes the batch's mean off w."""
    samples = Patches(torch.tensor(values), lambda patch, place: (patch, torch.tensor(place)))
    module = torch.nn.ParameterList([weight])
    plain = PlainTraining(samples, batch_size, module, lambda x, _: (weight * x).mean(), CPU, 1.0, 0.0, clip_norm)
    plain.optimizer = torch.optim.SGD([weight], lr=1.0)
    return plain


def test_the_loader_visits_each_sample_once_and_steps_once_a_batch() -> None:
    weight = torch.nn.Parameter(torch.zeros(()))
    averages([2.0 * i for i in range(6)], weight, 3)()
    assert weight.item() == pytest.approx(-2 * 2 * sum(range(6)) / 6)  # two batches whose means have this sum


def test_gradients_are_clipped() -> None:
    weight = torch.nn.Parameter(torch.zeros(()))
    averages([100.0, 100.0], weight, 2, clip_norm=0.5)()
    assert weight.item() == pytest.approx(-0.5, rel=1e-4)


def test_an_epoch_of_the_plain_way_is_an_epoch_of_fit(tiny: Scene) -> None:
    """One batch of all pixels, nothing random but dropout, which is off: the same weights come out."""
    drawn = make_split(tiny, "count:4", seed=0)
    split = split_of(tiny, drawn.train, [], drawn.test)
    options = FitOptions(epochs=1, batch_size=len(split.train), warmup_epochs=0)
    trained = []
    for plain in (False, True):
        torch.manual_seed(0)
        model = create_model("dual-branch", tiny.n_bands, tiny.n_classes, **SMALL, dropout=0.0)
        model.set_standardizer(Standardizer.fit(tiny.cube))
        sampler, generator = PatchSampler(tiny.cube, model.patch_size, CPU), torch.Generator().manual_seed(0)
        if plain:
            plain_fit(model, sampler, split, options)()
        else:
            fit(model, sampler, split, options, generator)
        trained.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(trained[0], trained[1], atol=1e-4, rtol=0)


def test_the_peak_is_the_best_product() -> None:
    assert 0.01 < matrix_product_gflops(CPU, 128) < 1e6
