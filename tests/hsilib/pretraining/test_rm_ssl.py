"""The rotation pretext: its labels are true, its mirrors leave them true, everything in it learns."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.pretraining import rm_ssl
from hsilib.pretraining.rm_ssl import AUGMENTATIONS, RotationPretext, rotation_orientations
from hsilib.registry import create_model
from hsilib.training.augment import AugmentOptions, orient
from tests.helpers import SMALL

CPU = torch.device("cpu")
ORDERED = np.arange(25).reshape(5, 5)  # no two of its eight orientations are alike


def pretext_of(scene: Scene) -> RotationPretext:
    torch.manual_seed(0)
    model = create_model("dual-branch", scene.n_bands, scene.n_classes, **SMALL)
    return RotationPretext(model, PatchSampler(scene.cube, model.patch_size, CPU))


@pytest.mark.parametrize(("rotation", "mirrored"), list(product(range(4), (False, True))))
def test_a_patch_is_mirrored_first_and_then_turned_by_its_label(rotation: int, mirrored: bool) -> None:
    patch = torch.from_numpy(ORDERED)[None, None]
    orientations = rotation_orientations(torch.tensor([rotation]), torch.tensor([mirrored]))
    expected = np.rot90(np.fliplr(ORDERED) if mirrored else ORDERED, rotation)
    assert np.array_equal(orient(patch, orientations)[0, 0].numpy(), expected)


def test_labels_are_the_rotations_that_the_network_gets_to_see(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the patches alone, without augmentation, the label is found again by trying all rotations."""
    pretext = pretext_of(tiny)
    seen: dict[str, torch.Tensor] = {}

    def watched(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float) -> torch.Tensor:
        seen["labels"] = labels
        return logits.sum()

    monkeypatch.setattr(rm_ssl, "cross_entropy", watched)
    monkeypatch.setattr(rm_ssl, "AUGMENTATIONS", AugmentOptions(probability=0.0))
    pretext.register_forward_pre_hook(lambda _, inputs: seen.update(patches=inputs[0]))
    pixels = (torch.arange(4, 12)[:, None] * tiny.shape[1] + torch.arange(5, 15)).flatten()  # borders are mirrored
    pretext.loss(pixels, torch.Generator().manual_seed(0))
    originals = pretext.sampler(pixels).numpy()
    mirrors = 0
    for original, patch, label in zip(originals, seen["patches"].numpy(), seen["labels"].tolist(), strict=True):
        matches = [
            (k, mirrored)
            for k, mirrored in product(range(4), (False, True))
            if np.array_equal(np.rot90(original[:, :, ::-1] if mirrored else original, k, axes=(1, 2)), patch)
        ]
        assert [k for k, _ in matches] == [label]
        mirrors += matches[0][1]
    assert set(seen["labels"].tolist()) == {0, 1, 2, 3}
    assert 25 < mirrors < 55


def test_both_mirrors_drawn_freely_would_erase_the_label() -> None:
    """Why there is one mirror only: with both, 0° and 180° show the same set of images, and 90° and 270°."""
    flips = [lambda p: p, np.fliplr, np.flipud, lambda p: np.fliplr(np.flipud(p))]
    with_both = [{np.rot90(flip(ORDERED), k).tobytes() for flip in flips} for k in range(4)]
    assert with_both[0] == with_both[2]
    assert with_both[1] == with_both[3]
    with_one = [{np.rot90(flip(ORDERED), k).tobytes() for flip in flips[:2]} for k in range(4)]
    assert len(set.union(*with_one)) == 8  # none of them shares an image


def test_the_augmentations_are_the_descriptions_without_those_that_turn() -> None:
    """METHOD A6: spectral noise σ = 0.02, brightness 0.8–1.2."""
    assert (AUGMENTATIONS.probability, AUGMENTATIONS.noise, AUGMENTATIONS.brightness) == (1.0, 0.02, (0.8, 1.2))
    assert (AUGMENTATIONS.orientation, AUGMENTATIONS.dropped_bands, AUGMENTATIONS.smoothing_probability) == (
        False,
        0,
        0,
    )


def test_patches_are_augmented(tiny: Scene) -> None:
    pretext = pretext_of(tiny)
    seen: list[torch.Tensor] = []
    pretext.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.full((200,), 250)
    pretext.loss(pixels, torch.Generator().manual_seed(0))
    # Of one patch 200 times: its mean over the patch, band by band, varies as brightness does (0.8–1.2, evenly).
    sampler = pretext.sampler
    signal = seen[0].mean(dim=(2, 3)) - sampler.band_low
    expected = sampler(pixels[:1]).mean(dim=(2, 3)) - sampler.band_low
    ratio = (signal / expected)[:, 2]
    assert 0.75 < ratio.min() < 0.84
    assert 1.16 < ratio.max() < 1.25


def test_the_loss_is_cross_entropy_with_label_smoothing(tiny: Scene) -> None:
    """By hand: 0.1 of a label is spread over the four rotations."""
    pretext = pretext_of(tiny)
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.5]]).expand(40, -1)
    pretext.forward = lambda patches: logits  # type: ignore[method-assign]
    loss = pretext.loss(torch.arange(40), torch.Generator().manual_seed(4))
    rotations = torch.randint(4, (40,), generator=torch.Generator().manual_seed(4))
    log_p = [x - math.log(sum(map(math.exp, logits[0].tolist()))) for x in logits[0].tolist()]
    losses = [-0.9 * log_p[k] - 0.1 * sum(log_p) / 4 for k in rotations.tolist()]
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_shapes_of_the_described_head(tiny: Scene) -> None:
    model = create_model("dual-branch", tiny.n_bands, tiny.n_classes)
    pretext = RotationPretext(model, PatchSampler(tiny.cube, 15, CPU))
    assert [tuple(p.shape) for p in pretext.head.parameters()] == [(4, 96), (4,)]
    assert pretext(pretext.sampler(torch.arange(3))).shape == (3, 4)
    assert pretext.encoder is model.spatial


def test_every_parameter_gets_a_gradient(tiny: Scene) -> None:
    pretext = pretext_of(tiny)
    pretext.loss(torch.arange(40), torch.Generator().manual_seed(0)).backward()
    for name, parameter in pretext.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_measuring_looks_at_all_four_rotations_and_draws_nothing(tiny: Scene) -> None:
    pretext = pretext_of(tiny)
    pixels = torch.arange(100, 130)
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    accuracy = pretext.measure(pixels, generator)["rotation_accuracy"]
    assert torch.equal(generator.get_state(), before)
    right = 0
    with torch.inference_mode():
        for pixel, k in product(pixels.tolist(), range(4)):
            turned = np.rot90(pretext.sampler(torch.tensor([pixel])).numpy(), k, axes=(2, 3)).copy()
            right += int(pretext(torch.from_numpy(turned)).argmax()) == k
    assert accuracy == pytest.approx(right / 120)
    probabilities = pretext.predict_rotations(pixels, batch_size=7)
    assert probabilities.shape == (30, 4, 4)
    torch.testing.assert_close(probabilities.sum(dim=2), torch.ones(30, 4))


def test_a_network_without_a_spatial_encoder() -> None:
    model = Network(3, 2, 5)
    model.name = "spectra only"
    with pytest.raises(InputError, match=r"'spectra only' has no spatial encoder.*pretrain\.rm_ssl=False"):
        RotationPretext.encoder_of(model)
