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
from hsilib.network_method import NetworkOptions
from hsilib.training.augment import AugmentOptions, augment, draw_augmentation
from hsilib.training.mix import MixOptions
from onepercent.bench.dense import matrix_product_gflops
from onepercent.bench.train import Sides, all_sides, bench_train
from onepercent.bench.train_baseline import MaskedWindows, RotatedPatches, changed
from onepercent.recipes import recipe
from tests.helpers import SMALL_SETTINGS

CPU = torch.device("cpu")
SETTINGS = [*SMALL_SETTINGS, "fit.batch_size=8", "pretrain.batch_size=8"]


def options(*settings: str) -> NetworkOptions:
    method = with_overrides(recipe("paper"), [*SETTINGS, *settings]).method
    assert isinstance(method, NetworkOptions)
    return method


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
        assert sides.plain() == pytest.approx(sides.ours(), rel=1e-5)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_first_losses_are_alike(tiny: Scene, which: int) -> None:
    torch.manual_seed(0)
    sides: Sides = all_sides(CPU, tiny, 10, options("fit.batch_size=40", "pretrain.batch_size=40"))[which]
    assert sides.plain() == pytest.approx(sides.ours(), rel=0.25)


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


def test_items_of_the_stages(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = PatchSampler(tiny.cube, 5, CPU)
    torch.manual_seed(0)
    windows = MaskedWindows(sampler(torch.arange(3)).contiguous())
    window, mask = windows[2]
    assert torch.equal(window, windows.windows[2])
    assert 2 <= int(mask.sum()) <= 5  # 20…40 % of 12 bands
    monkeypatch.setattr("onepercent.bench.train_baseline.AUGMENTATIONS", AugmentOptions())
    rotated = RotatedPatches(sampler(torch.tensor([250])).contiguous(), sampler.band_low, sampler.band_range)
    original = rotated.patches[0]
    for patch, rotation in (rotated[0] for _ in range(20)):
        upright = torch.rot90(patch, -int(rotation), (1, 2))
        assert torch.equal(upright, original) or torch.equal(upright, original.flip(2))


def test_the_number_of_workers_is_the_fastest(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = all_sides(CPU, tiny, 4, options())[0].plain
    monkeypatch.setattr("onepercent.bench.train_baseline.timed", lambda side: {0: 2.0, 1: 1.0}[side.loader.num_workers])
    assert plain.choose_workers((0, 1)) == 1
    assert plain.loader.num_workers == 1
    assert plain.choose_workers((0,)) == 0


def test_the_peak_is_the_best_product() -> None:
    assert 0.01 < matrix_product_gflops(CPU, 128) < 1e6
