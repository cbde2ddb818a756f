"""A training that was killed ends with what it would have ended with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.registry import create_model
from hsilib.training import fit as fit_module
from hsilib.training.augment import AugmentOptions
from hsilib.training.checkpoint import CHECKPOINT_EPOCHS, FitHistory, TrainingState
from hsilib.training.fit import fit
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions
from tests.helpers import SMALL, separable_scene

EVERYTHING = FitOptions(
    epochs=2 * CHECKPOINT_EPOCHS + 3,
    batch_size=4,
    learning_rate=1e-2,
    warmup_epochs=2,
    accumulate=2,
    loss=LossOptions("focal", label_smoothing=0.12, class_weights=True),
    augment=AugmentOptions(probability=0.8),
    mix=MixOptions(mixup=0.5, cutmix=0.3),
    curriculum_epochs=CHECKPOINT_EPOCHS + 2,
)


class KilledError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def scene() -> Scene:
    return separable_scene(noise=600.0)


@pytest.fixture
def split(scene: Scene) -> Split:
    return make_split(scene, "count:6", 0)


def train(
    scene: Scene, split: Split, options: FitOptions, checkpoint: Path | None, seed: int = 1
) -> tuple[Network, FitHistory]:
    """What a process does from its start."""
    torch.manual_seed(0)
    model = create_model("dual-branch", scene.n_bands, scene.n_classes, **SMALL)
    model.set_standardizer(Standardizer.fit(scene.cube))
    sampler = PatchSampler(scene.cube, model.patch_size, torch.device("cpu"))
    return model, fit(model, sampler, split, options, torch.Generator().manual_seed(seed), checkpoint)


def kill_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    real, calls = fit_module.validate, []

    def dying(*arguments: Any) -> tuple[float, float]:
        calls.append(None)
        if len(calls) == epoch:
            raise KilledError
        return real(*arguments)

    monkeypatch.setattr(fit_module, "validate", dying)


def assert_same(first: tuple[Network, FitHistory], second: tuple[Network, FitHistory]) -> None:
    assert first[1] == second[1]
    for name, weight in first[0].state_dict().items():
        assert torch.equal(weight, second[0].state_dict()[name]), name


@pytest.mark.parametrize("epoch", [1, CHECKPOINT_EPOCHS + 1, 2 * CHECKPOINT_EPOCHS, 2 * CHECKPOINT_EPOCHS + 3])
def test_killed_and_resumed_equals_uninterrupted(
    scene: Scene, split: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, epoch: int
) -> None:
    uninterrupted = train(scene, split, EVERYTHING, None)
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        kill_in_epoch(patch, epoch)
        with pytest.raises(KilledError):
            train(scene, split, EVERYTHING, path)
    assert path.exists() == (epoch > CHECKPOINT_EPOCHS)
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if path.exists() else [])
    visited = []
    monkeypatch.setattr(fit_module, "validate", lambda *a, real=fit_module.validate: (visited.append(a), real(*a))[1])
    assert_same(train(scene, split, EVERYTHING, path), uninterrupted)
    done_before = (epoch - 1) // CHECKPOINT_EPOCHS * CHECKPOINT_EPOCHS
    assert len(visited) == EVERYTHING.epochs - done_before, "what was done before was done again"


def test_a_training_that_diverges_at_once_is_an_error(scene: Scene, split: Split) -> None:
    with pytest.raises(InputError, match=r"diverged in epoch 1.*fit\.learning_rate"):
        train(scene, split, replace(EVERYTHING, learning_rate=1e30, warmup_epochs=0, clip_norm=0.0), None)


def test_a_training_that_diverges_later_ends_with_its_best_weights(
    scene: Scene, split: Split, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate explodes in the fourth epoch; three are left, as a training of theirs alone would leave them."""
    steps = -(-EVERYTHING.batches_per_epoch(len(split.train)) // EVERYTHING.accumulate)
    real = fit_module.learning_rate_at

    def exploding(step: int, *rest: Any) -> float:
        return 1e30 if step >= 3 * steps else real(step, *rest)

    monkeypatch.setattr(fit_module, "learning_rate_at", exploding)
    model, history = train(scene, split, EVERYTHING, None)
    assert "diverged in epoch 4" in capsys.readouterr().err
    assert len(history.train_loss) == len(history.val_loss) == 3
    assert history.best_epoch <= 3
    assert all(weight.isfinite().all() for weight in model.state_dict().values())
    assert not model.training


def test_a_validation_loss_that_is_no_number_is_the_worst(scene: Scene) -> None:
    model = create_model("dual-branch", scene.n_bands, scene.n_classes, **SMALL)
    optimizer = torch.optim.SGD(model.parameters())
    state = TrainingState(model, optimizer, torch.amp.GradScaler("cpu", enabled=False), torch.Generator())
    for state.epoch, (accuracy, loss) in enumerate([(0.5, float("nan")), (0.5, 3.0), (0.5, float("nan"))], start=1):
        state.keep_if_best(accuracy, loss)
    assert state.history.best_epoch == 2


def test_writing_checkpoints_changes_nothing(scene: Scene, split: Split, tmp_path: Path) -> None:
    assert_same(train(scene, split, EVERYTHING, tmp_path / "a"), train(scene, split, EVERYTHING, None))


def test_a_finished_training_is_taken_over_whole(scene: Scene, split: Split, tmp_path: Path) -> None:
    """A run killed between training and its record trains no second time."""
    first = train(scene, split, EVERYTHING, tmp_path / "a")
    second = train(scene, split, EVERYTHING, tmp_path / "a")
    assert_same(first, second)
    assert second[1].seconds == first[1].seconds


@pytest.mark.parametrize("change", ["options", "pixels", "labels", "validation", "weights", "generator"])
def test_a_checkpoint_of_another_training_is_not_used(
    scene: Scene, split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    path = tmp_path / "run.checkpoint"
    options, seed = replace(EVERYTHING, epochs=CHECKPOINT_EPOCHS), 1
    train(scene, split, options, path)
    if change == "options":
        options = replace(options, weight_decay=0.5)
    elif change == "pixels":
        other = np.sort(np.concatenate([split.train[:-1], split.test[-1:]]))
        split = replace(split, train=other, test=split.test[:-1], test_labels=split.test_labels[:-1])
    elif change == "validation":
        split = replace(split, val=split.val[1:], val_labels=split.val_labels[1:])
    elif change == "generator":
        seed = 2
    elif change == "labels":
        split = replace(split, train_labels=np.roll(split.train_labels, 1))
    else:
        scene = replace(scene, cube=scene.cube + 1)  # its standardiser is part of the weights
    assert_same(train(scene, split, options, path, seed), train(scene, split, options, None, seed))
    assert "run.checkpoint: not used, starting anew (it is of another training)" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_not_used(
    scene: Scene, split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "run.checkpoint"
    options = replace(EVERYTHING, epochs=CHECKPOINT_EPOCHS)
    if content is None:
        train(scene, split, options, path)
        content = path.read_bytes()[:-1000]
    path.write_bytes(content)
    assert_same(train(scene, split, options, path), train(scene, split, options, None))
    assert "starting anew" in capsys.readouterr().err


def test_no_code_is_loaded(scene: Scene, split: Split, tmp_path: Path) -> None:
    """A checkpoint that would run something when unpickled is refused, not run."""
    path, trace = tmp_path / "run.checkpoint", tmp_path / "trace"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trace,)

    torch.save({"identity": Trap()}, path)
    train(scene, split, replace(EVERYTHING, epochs=1), path)
    assert not trace.exists()


@pytest.mark.parametrize(("written_with", "read_with"), [(False, True), (True, False), (True, True)])
def test_a_checkpoint_may_move_to_a_device_that_scales_gradients_or_does_not(
    scene: Scene, tmp_path: Path, written_with: bool, read_with: bool
) -> None:
    """A scaler that is off saves an empty state, and one that is on refuses to load it."""

    def fresh(scaled: bool, scale: float) -> TrainingState:
        model = create_model("dual-branch", scene.n_bands, scene.n_classes, **SMALL)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scaled)
        return TrainingState(model, torch.optim.AdamW(model.parameters()), scaler, torch.Generator())

    written, read = fresh(written_with, 8.0), fresh(read_with, 2.0)
    written.epoch = 7
    written.save(tmp_path / "a", "same")
    assert read.resume(tmp_path / "a", "same")
    assert read.epoch == 7
    assert read.scaler.get_scale() == (1.0 if not read_with else 8.0 if written_with else 2.0)
    for name, weight in written.model.state_dict().items():
        assert torch.equal(weight, read.model.state_dict()[name]), name
