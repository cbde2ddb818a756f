"""Probes of frozen encoders: dense features, a classifier fitted on training pixels alone, chosen on validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.errors import InputError
from hsilib.method import Workspace
from hsilib.pretraining.pretrain import PretrainOptions
from hsilib.registry import create_model
from onepercent.peers.probe import PROBES, ProbeMethod, ProbeOptions, encoder_features
from tests.helpers import SMALL, make_nontrivial, separable_scene

CPU = torch.device("cpu")
QUICK = PretrainOptions(epochs=1)


def fitted(
    scene: Scene, seed: int = 0, split: Split | None = None, workspace: Workspace | None = None, **options: Any
) -> ProbeMethod:
    method = ProbeOptions(pretrain=QUICK, model=dict(SMALL), **options).build(CPU)
    method.workspace = workspace
    split = split or make_split(scene, "count:5", 0).hide_test_labels()
    method.fit(scene.without_ground_truth(), split, torch.Generator().manual_seed(seed))
    return method


@pytest.mark.parametrize("encoder", ["spectral", "spatial"])
def test_dense_features_equal_patch_by_patch(tiny: Scene, encoder: str) -> None:
    torch.manual_seed(0)
    model = make_nontrivial(create_model("dual-branch", tiny.n_bands, 4, **SMALL))
    part = getattr(model, encoder)
    dense = encoder_features(model, part, tiny.cube)
    patches = PatchSampler(tiny.cube, model.patch_size, CPU)(torch.arange(tiny.cube[:, :, 0].size))
    with torch.inference_mode():
        by_patch = part.eval()(model.standardize(patches)).reshape(*tiny.shape, -1)
    assert dense.shape == (*tiny.shape, 8)
    torch.testing.assert_close(dense, by_patch, atol=1e-4, rtol=1e-4)
    assert dense.std(dim=(0, 1)).min() > 0


@pytest.mark.parametrize("encoder", ["spectral", "spatial"])
@pytest.mark.parametrize("probe", ["linear", "nearest"])
def test_the_probe_is_scikit_learns_on_standardised_features_with_the_setting_best_on_validation(
    tiny: Scene, encoder: str, probe: str
) -> None:
    method = fitted(tiny, encoder=encoder, probe=probe, pretrained=False)
    features = encoder_features(method.model, getattr(method.model, encoder), tiny.cube).reshape(-1, 8).double().numpy()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    split = make_split(tiny, "count:5", 0)
    scores = []
    for setting in PROBES[probe]:
        reference = (
            LogisticRegression(C=setting, max_iter=2000) if probe == "linear" else KNeighborsClassifier(int(setting))
        ).fit(features[split.train], split.train_labels)
        scores.append((reference.score(features[split.val], split.val_labels), reference))
    best = max(range(len(scores)), key=lambda i: scores[i][0])  # of equals the first
    assert method.details()["chosen"] == {"C" if probe == "linear" else "k": PROBES[probe][best]}
    expected = scores[best][1].predict_proba(features).reshape(*tiny.shape, -1)
    np.testing.assert_allclose(method.predict_proba(tiny), expected, atol=1e-3)


def test_the_spectral_probe_gets_a_separable_scene_right() -> None:
    scene = separable_scene()
    predicted = fitted(scene).predict_proba(scene).argmax(axis=2) + 1
    inner = np.ones(scene.shape, dtype=bool)
    for border in (4, 8):
        inner[:, border - 2 : border + 2] = False  # patches that see two classes
    assert (predicted == scene.ground_truth)[inner].all()


@pytest.mark.parametrize(("encoder", "stage"), [("spectral", "mr-ssl"), ("spatial", "rm-ssl")])
def test_the_encoder_says_which_stage_runs(tiny: Scene, encoder: str, stage: str) -> None:
    trained, random = (fitted(tiny, encoder=encoder, pretrained=on) for on in (True, False))
    (report,) = trained.details()["pretraining"]
    assert report["stage"] == stage
    assert len(report["loss"]) == 1
    assert trained.seconds["pretrain_s"] == pytest.approx(report["seconds"], abs=1e-3)
    assert "pretraining" not in random.details()
    assert random.seconds == {"pretrain_s": 0}
    different = {
        name.split(".")[0]
        for name, value in trained.model.state_dict().items()
        if not torch.equal(value, random.model.state_dict()[name])
    }
    assert different == {encoder}, "both start from the same weights"


def test_a_workspace_keeps_the_encoder(tiny: Scene, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "run")
    first, second = (fitted(tiny, workspace=workspace) for _ in range(2))
    assert [m.details()["pretraining"][0]["from_cache"] for m in (first, second)] == [False, True]
    assert np.array_equal(first.predict_proba(tiny), second.predict_proba(tiny))
    assert first.seconds == second.seconds


def test_the_seed_decides_everything_and_the_global_stream_is_left_alone(tiny: Scene) -> None:
    probabilities = []
    for seed, stream in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(stream)
        before = torch.get_rng_state()
        probabilities.append(fitted(tiny, seed).predict_proba(tiny))
        assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(probabilities[0], probabilities[1])
    assert not np.array_equal(probabilities[0], probabilities[2])


def test_only_the_training_labels_are_learned(tiny: Scene) -> None:
    split = make_split(tiny, "count:5", 0)
    assert np.array_equal(fitted(tiny, split=split).predict_proba(tiny), fitted(tiny).predict_proba(tiny))
    changed = replace(split, train_labels=np.roll(split.train_labels, 5))
    assert not np.array_equal(fitted(tiny, split=changed).predict_proba(tiny), fitted(tiny).predict_proba(tiny))


def test_a_class_without_a_training_pixel_gets_nothing_and_no_validation_pixels_take_the_first_setting(
    tiny: Scene,
) -> None:
    split = make_split(tiny, "count:5", 0)
    kept = split.train_labels != 2
    none = split.val[:0]
    split = replace(split, train=split.train[kept], train_labels=split.train_labels[kept], val=none, val_labels=none)
    method = fitted(tiny, split=split)
    probabilities = method.predict_proba(tiny)
    assert (probabilities[:, :, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-5)
    assert method.details()["chosen"] == {"C": 0.01}


def test_fewer_training_pixels_than_neighbours(tiny: Scene) -> None:
    split = make_split(tiny, "count:5", 0)
    some = [0, 5]
    split = replace(split, train=split.train[some], train_labels=np.array([1, 2]))
    assert fitted(tiny, split=split, probe="nearest").setting == 1


def test_one_class_only(tiny: Scene) -> None:
    split = make_split(tiny, "count:5", 0)
    with pytest.raises(InputError, match="one class only"):
        fitted(tiny, split=replace(split, train_labels=np.ones_like(split.train_labels)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "spectal"}, "did you mean spectral"),
        ({"probe": "linaer"}, "did you mean linear"),
        ({"pretrain": PretrainOptions(rm_ssl=True)}, "encoder says which stage"),
        ({"pretrain": PretrainOptions(mr_ssl=True)}, "encoder says which stage"),
        ({"model": {"components": 4}}, "probed on all bands"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ProbeOptions(**options)
