"""Pre-training of several seeds together gives each the encoders that it gets alone."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.pretraining.pretrain import PretrainOptions, pretrain
from hsilib.registry import create_model
from onepercent.many_seeds import pretrain_stacked as stacked_pretrain
from onepercent.many_seeds.pretrain_stacked import pretrain_stacked
from tests.helpers import SMALL

OPTIONS = PretrainOptions(rm_ssl=True, mr_ssl=True, epochs=2, batch_size=96)
SEEDS = (3, 4)


def networks(scene: Scene) -> list[Network]:
    models = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = create_model("dual-branch", scene.n_bands, scene.n_classes, **SMALL)
        model.set_standardizer(Standardizer.fit(scene.cube))
        models.append(model)
    return models


def test_each_seed_gets_the_encoders_and_the_report_that_it_gets_alone(tiny: Scene, tmp_path: Path) -> None:
    """The second seed is in the cache when the two are asked for together, the first is not."""
    sampler = PatchSampler(tiny.cube, SMALL["patch_size"], torch.device("cpu"))
    splits = [make_split(tiny, "count:5", seed) for seed in SEEDS]
    models = networks(tiny)
    alone = copy.deepcopy(models)
    expected = [
        pretrain(model, sampler, split, OPTIONS, seed) for model, split, seed in zip(alone, splits, SEEDS, strict=True)
    ]
    pretrain(copy.deepcopy(models[1]), sampler, splits[1], OPTIONS, SEEDS[1], tmp_path)
    for cache, from_cache in ((None, [False, False]), (tmp_path, [False, True]), (tmp_path, [True, True])):
        together = copy.deepcopy(models)
        reports = pretrain_stacked(together, sampler, splits, OPTIONS, SEEDS, cache)
        for own, single in zip(reports, expected, strict=True):
            for report, wanted in zip(own, single, strict=True):
                assert report.stage == wanted.stage
                assert report.loss == pytest.approx(wanted.loss, rel=1e-4)
                assert report.held_out == pytest.approx(wanted.held_out, abs=0.02)
        assert [[report.from_cache for report in own] for own in reports] == [[known] * 2 for known in from_cache]
        for model, single_model in zip(together, alone, strict=True):
            assert not model.spatial.training
            for name, tensor in single_model.state_dict().items():
                torch.testing.assert_close(model.state_dict()[name], tensor, atol=1e-4, rtol=1e-3, msg=name)


def test_a_network_without_the_encoder_is_refused_before_anything_is_trained(
    tiny: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = networks(tiny)
    del models[0].spectral  # the second stage's
    monkeypatch.setattr(stacked_pretrain, "Stage", lambda *_: pytest.fail("began"))
    sampler = PatchSampler(tiny.cube, SMALL["patch_size"], torch.device("cpu"))
    with pytest.raises(InputError, match="no spectral encoder"):
        pretrain_stacked(models, sampler, [make_split(tiny, "count:5", 0)] * 2, OPTIONS, SEEDS)
