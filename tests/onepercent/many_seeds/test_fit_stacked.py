"""Seeds trained together end where each ends alone."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.model.network import Network
from hsilib.registry import create_model
from hsilib.training.augment import AugmentOptions
from hsilib.training.fit import fit
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions
from onepercent.many_seeds import fit_stacked as stacked_module
from onepercent.many_seeds.fit_stacked import can_be_stacked, fit_stacked
from tests.helpers import SMALL, separable_scene

SCENE = separable_scene(noise=400.0)
SEEDS = (0, 1, 2)
EVERYTHING = FitOptions(
    epochs=5,
    batch_size=4,
    learning_rate=3e-3,
    warmup_epochs=1,
    random_orientation=True,
    accumulate=2,
    loss=LossOptions("focal", label_smoothing=0.12, class_weights=True),
    augment=AugmentOptions(probability=0.8, smoothing_probability=0.5),
    mix=MixOptions(mixup=0.6, cutmix=0.3),
    curriculum_epochs=2,
)


def networks(dropout: float = 0.0) -> list[Network]:
    models = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = create_model("dual-branch", SCENE.n_bands, SCENE.n_classes, **SMALL, dropout=dropout)
        model.set_standardizer(Standardizer.fit(SCENE.cube))
        models.append(model)
    return models


def splits_of(protocol: str = "count:5") -> list[Split]:
    return [make_split(SCENE, protocol, seed) for seed in SEEDS]


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def unequal(splits: list[Split]) -> list[Split]:
    """The same number of pixels in each, but of the k-th the classes have other shares."""
    changed = []
    for k, split in enumerate(splits):
        left_out = np.flatnonzero(split.train_labels == k + 1)[:3]
        parts = {name: np.delete(getattr(split, name), left_out) for name in ("train", "train_labels")}
        changed.append(replace(split, **parts))
    return changed


@pytest.mark.parametrize(
    "options",
    [
        FitOptions(epochs=4, batch_size=4, learning_rate=3e-3, warmup_epochs=1, max_steps_per_epoch=2),
        FitOptions(epochs=2, batch_size=4, learning_rate=3e-3, clip_norm=0.0, optimizer="sgd", schedule="poly"),
        EVERYTHING,
    ],
    ids=["plain", "another optimiser, no clipping", "everything"],
)
def test_each_seed_ends_as_it_ends_alone(options: FitOptions) -> None:
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    models, splits = networks(), unequal(splits_of())
    assert len({tuple(np.bincount(split.train_labels)) for split in splits}) == 3, "each has its own class weights"
    alone = copy.deepcopy(models)
    expected = [
        fit(model, sampler, split, options, generator)
        for model, split, generator in zip(alone, splits, generators(), strict=True)
    ]
    histories = fit_stacked(models, sampler, splits, options, generators())
    for history, single in zip(histories, expected, strict=True):
        assert history.train_loss == pytest.approx(single.train_loss, rel=1e-4)
        assert history.val_loss == pytest.approx(single.val_loss, rel=1e-4)
        assert history.val_accuracy == single.val_accuracy
        assert history.best_epoch == single.best_epoch
    for model, single_model in zip(models, alone, strict=True):
        assert not model.training
        for name, tensor in single_model.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], tensor, atol=1e-4, rtol=1e-4, msg=name)
    assert not torch.allclose(models[0].head.weight, models[1].head.weight)


def test_the_best_epochs_differ_and_each_model_has_the_weights_of_its_own() -> None:
    """Validated again, each model scores what its history says of its best epoch."""
    from hsilib.training.fit import validate

    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    models, splits = networks(), splits_of()
    options = FitOptions(epochs=8, batch_size=4, learning_rate=2e-2, warmup_epochs=0)
    histories = fit_stacked(models, sampler, splits, options, generators())
    assert len({history.best_epoch for history in histories}) > 1
    for model, split, history in zip(models, splits, histories, strict=True):
        accuracy, loss = validate(model, sampler, split)
        assert accuracy == history.val_accuracy[history.best_epoch - 1]
        assert loss == pytest.approx(history.val_loss[history.best_epoch - 1], rel=1e-4)


def test_without_validation_the_last_epoch_stays() -> None:
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    splits = [replace(split, val=split.val[:0], val_labels=split.val_labels[:0]) for split in splits_of()]
    histories = fit_stacked(networks(), sampler, splits, FitOptions(epochs=2), generators())
    assert [(h.best_epoch, h.val_loss, len(h.train_loss)) for h in histories] == [(2, [], 2)] * 3


def test_afterwards_no_model_shares_memory_with_another() -> None:
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    models = networks()
    fit_stacked(models, sampler, splits_of(), FitOptions(epochs=1), generators())
    addresses = [tensor.untyped_storage().data_ptr() for model in models for tensor in model.state_dict().values()]
    assert len(set(addresses)) == len(addresses)
    for tensor in models[0].state_dict().values():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_dropout_is_drawn_for_each_seed() -> None:
    """The same model, split and generator K times: only dropout can tell them apart."""
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    (split, *_) = splits_of()
    for dropout, n_different in ((0.0, 1), (0.5, 3)):
        model = networks(dropout)[0]
        models = [model, copy.deepcopy(model), copy.deepcopy(model)]
        same = [torch.Generator().manual_seed(0) for _ in models]
        histories = fit_stacked(models, sampler, [split] * 3, FitOptions(epochs=1, batch_size=4), same)
        assert len({round(history.train_loss[0], 4) for history in histories}) == n_different


def test_gradients_are_clipped_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[Any] = []
    real = stacked_module.clip_each

    def watched(parameters: Any, largest: float) -> Any:
        before = real(parameters, largest)
        norms.append((before, real(parameters, torch.inf)))
        return before

    monkeypatch.setattr(stacked_module, "clip_each", watched)
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    fit_stacked(networks(), sampler, splits_of(), FitOptions(epochs=1, clip_norm=0.05), generators())
    for before, after in norms:
        torch.testing.assert_close(after, before.clamp(max=0.05), atol=1e-4, rtol=1e-3)
    assert norms


def test_seeds_with_other_numbers_of_pixels_cannot_be_stacked() -> None:
    splits = splits_of()
    assert can_be_stacked(splits)
    for names in (("train", "train_labels"), ("val", "val_labels")):
        shorter = replace(splits[1], **{name: getattr(splits[1], name)[1:] for name in names})
        assert not can_be_stacked([splits[0], shorter])
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    with pytest.raises(ValueError, match="different numbers"):
        fit_stacked(networks(), sampler, [*splits[:2], shorter], FitOptions(epochs=1), generators())


def test_every_setting_of_a_training_has_been_thought_of() -> None:
    """A setting that `fit` knows and the stack does not would be ignored for several seeds.

    With a new one: make `fit_stacked` follow it and turn it on in ``EVERYTHING``, or let `fit_together` fall back.
    """
    thought_of = [
        *("epochs", "batch_size", "learning_rate", "final_learning_rate", "warmup_epochs", "weight_decay", "clip_norm"),
        *("random_orientation", "max_steps_per_epoch", "accumulate", "loss", "augment", "mix", "curriculum_epochs"),
        *("optimizer", "schedule", "choose", "least_steps"),  # the last one is `FitOptions.lengthened`'s
    ]
    assert [f.name for f in fields(FitOptions)] == thought_of


def test_scaled_gradients_are_clipped_at_their_true_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fp16 on a GPU needs it."""
    sampler = PatchSampler(SCENE.cube, SMALL["patch_size"], torch.device("cpu"))
    plain = fit_stacked(networks(), sampler, splits_of(), EVERYTHING, generators())
    monkeypatch.setattr(stacked_module, "gradient_scaler", lambda device: torch.amp.GradScaler(device.type, 2.0**12))
    scaled = fit_stacked(networks(), sampler, splits_of(), EVERYTHING, generators())
    for history, scaled_history in zip(plain, scaled, strict=True):
        assert scaled_history.train_loss == pytest.approx(history.train_loss, rel=1e-4)
