"""The arithmetic of the extrapolation, and that the plain way does the same work as ours."""

from __future__ import annotations

import json

import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.registry import create_model
from hsilib.training.fit import fit
from hsilib.training.fit_options import FitOptions
from onepercent.bench.comparison import Comparison
from onepercent.bench.pipeline import Stage, bench_pipeline, extrapolated, whole
from onepercent.bench.pipeline_baseline import Samples, fit_epoch, loader_epoch
from tests.helpers import SMALL, SMALL_SETTINGS, split_of

CPU = torch.device("cpu")


def test_a_share_is_multiplied_up_and_the_stages_are_added_repeat_by_repeat() -> None:
    stage = Stage("fit", "300 epochs", "slow", lambda: None, lambda: None, baseline_times=300, ours_times=10)
    part = extrapolated(stage, Comparison("share", "slow", "fast", [1.0, 2.0], [0.5, 0.25]))
    assert (part.baseline_s, part.ours_s) == ([300.0, 600.0], [5.0, 2.5])
    total = whole("all", [part, Comparison("other", "slow", "fast", [10.0, 20.0], [1.0, 2.0])])
    assert (total.baseline_s, total.ours_s) == ([310.0, 620.0], [6.0, 4.5])
    assert "1/300 and 1/10" in part.what


def test_the_loader_visits_each_sample_once_and_steps_once_a_batch() -> None:
    """SGD at rate 1 on the loss mean(w · x): each step takes the batch's mean off w."""
    seen: list[int] = []

    def draw(index: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen.append(int(index))
        return (2.0 * index.float(),)

    weight = torch.nn.Parameter(torch.zeros(()))
    loader_epoch(Samples(6, draw), 3, lambda x: (weight * x).mean(), torch.optim.SGD([weight], lr=1.0), CPU)
    assert sorted(seen) == list(range(6))
    assert weight.item() == pytest.approx(-2 * 2 * sum(range(6)) / 6)  # two batches whose means have this sum


def test_gradients_are_clipped() -> None:
    weight = torch.nn.Parameter(torch.zeros(()))
    samples = Samples(2, lambda index: (torch.full((1,), 100.0),))
    loader_epoch(samples, 2, lambda x: (weight * x).mean(), torch.optim.SGD([weight], lr=1.0), CPU, clip_norm=0.5)
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
            fit_epoch(model, (sampler, sampler), split, options, generator)
        else:
            fit(model, sampler, split, options, generator)
        trained.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(trained[0], trained[1], atol=1e-4, rtol=0)


def test_a_small_pipeline() -> None:
    settings = [*SMALL_SETTINGS, "fit.epochs=2", "pretrain.epochs=1"]
    report = bench_pipeline(CPU, "synthetic-tiny", settings, baseline_rows=3, repeats=1)
    assert [part.what.partition(":")[0] for part in report.comparisons[1:]] == ["rm-ssl", "mr-ssl", "fit", "predict"]
    total, *parts = report.comparisons
    assert total.ours_s == [sum(part.ours_s[0] for part in parts)]
    stages = report.facts["stages"]
    assert stages["fit"]["work"] == "2 epochs of 1 steps"
    assert stages["predict"]["work"] == "16 views of 24 × 20 pixels"
    measured = sum(stage["measured_s"] for stage in stages.values())
    assert measured <= report.facts["measured_s"] + 0.01
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict()
