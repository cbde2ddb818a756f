"""The loop over a whole image: its loss is over training pixels alone, and what it leaves behind is the best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.errors import InputError
from hsilib.registry import create_model
from hsilib.training.checkpoint import FitHistory
from hsilib.training.fit_options import FitOptions, learning_rate_at
from onepercent.peers.whole_image import fit as module
from onepercent.peers.whole_image.fit import effective_number_weights, fit_whole_image, pixel_logits
from onepercent.peers.whole_image.method import padded_image
from onepercent.peers.whole_image.network import WholeImageNetwork
from onepercent.peers.whole_image.options import WholeImageFitOptions
from tests.helpers import WHOLE_IMAGE_NETWORKS, separable_scene, split_of
from tests.onepercent.peers.whole_image.test_networks import NARROW

CPU = torch.device("cpu")
QUICK = WholeImageFitOptions(epochs=4, optimizer="adam", learning_rate=1e-2, validate_every=2)


def prepared(name: str, scene: Scene) -> tuple[WholeImageNetwork, torch.Tensor]:
    torch.manual_seed(0)
    model = create_model(name, scene.n_bands, scene.n_classes, **NARROW[name])
    image = padded_image(scene.cube, model.stride, CPU)
    model.look_at(image)
    return model, image


def fitted(
    name: str, scene: Scene, split: Split, options: WholeImageFitOptions = QUICK, checkpoint: Path | None = None
) -> tuple[WholeImageNetwork, FitHistory]:
    model, image = prepared(name, scene)
    generator = torch.Generator().manual_seed(5)
    return model, fit_whole_image(model, image, split, options, generator, checkpoint)


def same_weights(first: WholeImageNetwork, second: WholeImageNetwork) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
@pytest.mark.parametrize("class_weights", [False, True])
def test_labels_outside_the_training_pixels_change_nothing(name: str, class_weights: bool) -> None:
    """A loss or a class weight over the whole ground truth, as in the public code of SSDGL, would."""
    scene = separable_scene(14, 18)
    split = replace(make_split(scene, "count:5", 0), val=np.zeros(0, dtype=np.int64), val_labels=np.zeros(0, dtype=int))
    options = replace(QUICK, class_weights=class_weights)
    model, history = fitted(name, scene, split, options)
    for test_labels in (np.zeros_like(split.test_labels), np.roll(split.test_labels, 7)):
        other, other_history = fitted(name, scene, replace(split, test_labels=test_labels), options)
        assert other_history == history
        assert same_weights(other, model)


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_validation_labels_choose_and_do_not_train(name: str) -> None:
    scene = separable_scene(14, 18)
    split = make_split(scene, "count:5", 0)
    wrong = replace(split, val_labels=np.roll(split.val_labels, 1))
    histories = [fitted(name, scene, part)[1] for part in (split, wrong)]
    assert histories[0].train_loss == histories[1].train_loss
    assert histories[0].val_loss != histories[1].val_loss


def test_only_chosen_pixels_logits_get_a_gradient() -> None:
    scene = separable_scene(14, 18)
    model, image = prepared("freenet", scene)
    logits: list[torch.Tensor] = []
    model.head.register_forward_hook(lambda _, __, out: (out.retain_grad(), logits.append(out))[0])
    pixels = torch.tensor([0, 17, 18, 251])
    split = split_of(scene, pixels.numpy(), [], [5])
    cross_entropy(pixel_logits(model, image, split, pixels), torch.tensor([0, 1, 2, 0])).backward()
    assert logits[0].grad is not None
    touched = (logits[0].grad[0].abs().sum(dim=0) > 0).nonzero().tolist()
    assert touched == [[0, 0], [0, 17], [1, 0], [13, 17]], "flat indices count the scene's columns, not the padding"


def test_the_first_loss_is_the_mean_over_the_chosen_pixels() -> None:
    scene = separable_scene(14, 18)
    split = make_split(scene, "count:5", 0)
    model, image = prepared("freenet", scene)
    logits = model.train()(image)[0].flatten(1).T
    rows, cols = np.unravel_index(split.train, scene.shape)
    labels = torch.from_numpy(split.train_labels - 1)
    plain = cross_entropy(logits[rows * image.shape[3] + cols], labels).item()
    _, history = fitted("freenet", scene, split)
    assert history.train_loss[0] == pytest.approx(plain, rel=1e-5)


def test_effective_number_weights() -> None:
    labels = np.array([1] * 2 + [3] * 8 + [4] * 2)
    weights = effective_number_weights(labels, 4)
    assert weights[1] == 0
    assert weights.sum() == pytest.approx(3)
    assert weights[0] == weights[3]
    assert weights[0] / weights[2] == pytest.approx((1 - 0.9999**8) / (1 - 0.9999**2), rel=1e-5)


def test_validation_every_so_many_steps_and_at_the_end() -> None:
    scene = separable_scene(14, 18)
    _, history = fitted("freenet", scene, make_split(scene, "count:5", 0), replace(QUICK, epochs=5))
    assert len(history.train_loss) == 5
    assert len(history.val_loss) == len(history.val_accuracy) == 3
    assert history.best_epoch in {2, 4, 5}


def test_the_best_validation_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = separable_scene(14, 18)
    split = make_split(scene, "count:5", 0)
    model, history = fitted("freenet", scene, split, replace(QUICK, epochs=12, learning_rate=0.05))
    image = padded_image(scene.cube, 8, CPU)
    with torch.inference_mode():
        logits = pixel_logits(model, image, split, torch.from_numpy(split.val))
    accuracy = float((logits.argmax(dim=1).numpy() + 1 == split.val_labels).mean())
    best = max(zip(history.val_accuracy, (-loss for loss in history.val_loss), strict=True))
    assert accuracy == pytest.approx(best[0])
    assert history.best_epoch == 2 * (
        1 + [*zip(history.val_accuracy, history.val_loss, strict=True)].index((best[0], -best[1]))
    )


def test_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    real = learning_rate_at

    def spy(step: int, steps_per_epoch: int, options: FitOptions) -> float:
        assert (step, steps_per_epoch) == (len(rates), 1)
        rates.append(real(step, steps_per_epoch, options))
        return rates[-1]

    monkeypatch.setattr(module, "learning_rate_at", spy)
    scene = separable_scene(14, 18)
    fitted("freenet", scene, make_split(scene, "count:5", 0), WholeImageFitOptions(epochs=3, learning_rate=0.1))
    assert rates == pytest.approx([0.1, 0.1 * 0.5**0.9, 0])


def test_a_killed_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = separable_scene(14, 18)
    split = make_split(scene, "count:7", 0)
    options = replace(QUICK, epochs=23, sampling="stratified", per_class=3)
    whole, expected = fitted("freenet", scene, split, options)
    real, calls = module.choose_pixels, []

    def dying(*arguments: Any) -> torch.Tensor:
        calls.append(None)
        if len(calls) == 18:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "choose_pixels", dying)
    checkpoint = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fitted("freenet", scene, split, options, checkpoint)
    model, history = fitted("freenet", scene, split, options, checkpoint)
    assert len(calls) == 18 + 13, "ten steps were done before"
    assert history == expected
    assert same_weights(model, whole)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, r"fit\.epochs is 0"),
        ({"learning_rate": 0.0}, r"fit\.learning_rate"),
        ({"optimizer": "sdg"}, "did you mean sgd"),
        ({"schedule": "polly"}, "did you mean poly"),
        ({"sampling": "stratify"}, "did you mean stratified"),
        ({"per_class": 0}, r"fit\.per_class is 0"),
        ({"validate_every": 0}, r"fit\.validate_every is 0"),
        ({"weight_decay": -1.0}, r"fit\.weight_decay"),
    ],
)
def test_settings_that_cannot_be_used(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WholeImageFitOptions(**setting)
