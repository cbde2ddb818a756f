"""Whole trainings, tuned as they are, against the same arithmetic written plainly, with the same draws."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.model.attention import Pointwise
from hsilib.model.network import Network
from hsilib.pretraining.mr_ssl import MaskedPretext, draw_masks
from hsilib.pretraining.pretrain import PretrainOptions, train_stage
from hsilib.pretraining.rm_ssl import AUGMENTATIONS, RotationPretext
from hsilib.registry import create_model
from hsilib.training.augment import Augmentation, AugmentOptions, draw_augmentation
from hsilib.training.fit import fit
from hsilib.training.fit_options import FitOptions, learning_rate_at
from hsilib.training.losses import LossOptions
from tests.helpers import SMALL

CPU = torch.device("cpu")
PATCH, WINDOW = 7, 5
RATE = 3e-3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(scene: Scene) -> Network:
    torch.manual_seed(0)
    options = {**SMALL, "patch_size": PATCH, "dropout": 0.0}
    model = create_model("dual-branch", scene.n_bands, scene.n_classes, **options)
    model.set_standardizer(Standardizer.fit(scene.cube))
    return model


def plain(module: nn.Module) -> nn.Module:
    """A copy in which every layer is a convolution again."""
    copied = deepcopy(module)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Pointwise):
                layer = nn.Conv2d(child.in_channels, child.out_channels, 1, bias=child.bias is not None)
                layer.load_state_dict(child.state_dict())
                setattr(parent, name, layer)
    return copied


def cut(scene: Scene, pixel: int, size: int) -> np.ndarray:
    """(S, size, size) float64, cut from the mirrored cube."""
    radius = size // 2
    padded = np.pad(scene.cube.astype(np.float64), ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    row, col = divmod(pixel, scene.shape[1])
    return padded[row : row + size, col : col + size].transpose(2, 0, 1)


def laid(patch: np.ndarray, orientation: int) -> np.ndarray:
    turned = np.rot90(patch, orientation % 4, axes=(1, 2))
    return turned[:, :, ::-1] if orientation >= 4 else turned


def changed(scene: Scene, patch: np.ndarray, drawn: Augmentation, i: int) -> np.ndarray:
    flat = scene.cube.reshape(-1, scene.n_bands).astype(np.float64)
    low, span = flat.min(axis=0)[:, None, None], np.ptp(flat, axis=0)[:, None, None]
    patch = laid(patch, int(drawn.orientations[i]))
    patch = low + drawn.gain[i].double().numpy()[:, None, None] * (patch - low)
    if drawn.smoothing[i] > 0:
        patch = gaussian_filter(patch, float(drawn.smoothing[i]), axes=(1, 2), mode="mirror", radius=2)
    assert drawn.noise is not None
    return patch + drawn.noise[i].double().numpy() * span


def batch_of(patches: list[np.ndarray]) -> torch.Tensor:
    """(N, S, P, P), band by band in memory."""
    return torch.from_numpy(np.stack(patches)).float().contiguous()


def assert_same(tuned: nn.Module, reference: nn.Module) -> None:
    pairs = zip(tuned.named_parameters(), reference.named_parameters(), strict=True)
    for (name, ours), (expected_name, expected) in pairs:
        assert name == expected_name
        # AdamW moves a weight by its rate even where a gradient is nothing but rounding.
        assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5), name


def test_fit(tiny: Scene) -> None:
    split: Split = make_split(tiny, "count:6", 0)
    n = len(split.train)
    options = FitOptions(
        epochs=3,
        batch_size=8,
        warmup_epochs=1,
        learning_rate=RATE,
        loss=LossOptions("focal", label_smoothing=0.12),
        augment=AugmentOptions(probability=0.8, smoothing_probability=0.5),
    )
    model = network(tiny)
    reference = plain(model)
    assert isinstance(reference, Network)
    without_validation = Split(**{**vars(split), "val": split.val[:0], "val_labels": split.val_labels[:0]})
    history = fit(model, PatchSampler(tiny.cube, PATCH, CPU), without_validation, options, seeded())

    optimizer = torch.optim.AdamW(reference.parameters(), weight_decay=options.weight_decay)
    generator, step, steps = seeded(), 0, math.ceil(n / 8)
    reference.train()
    for epoch in range(3):
        total = 0.0
        for batch in torch.randperm(n, generator=generator).split(8):
            drawn = draw_augmentation(len(batch), tiny.n_bands, PATCH, options.augment, generator)
            cuts = [cut(tiny, int(split.train[i]), PATCH) for i in batch]
            patches = batch_of([changed(tiny, patch, drawn, i) for i, patch in enumerate(cuts)])
            labels = torch.from_numpy(split.train_labels[batch.numpy()] - 1)
            log_p = log_softmax(reference(patches), dim=1)
            share = torch.full_like(log_p, 0.12 / tiny.n_classes)
            share[torch.arange(len(batch)), labels] += 0.88
            gamma = max(1.0, 2.2 * 0.99 ** (step / 100))
            loss = -1.2 * (share * (1 - log_p.exp()) ** gamma * log_p).sum(dim=1).mean()
            optimizer.param_groups[0]["lr"] = learning_rate_at(step, steps, options)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reference.parameters(), options.clip_norm)
            optimizer.step()
            total, step = total + loss.item() * len(batch), step + 1
        assert history.train_loss[epoch] == pytest.approx(total / n, rel=1e-5)
    assert_same(model, reference)


def test_rm_ssl(tiny: Scene) -> None:
    pretext = RotationPretext(network(tiny), PatchSampler(tiny.cube, PATCH, CPU))
    reference = plain(pretext)
    assert isinstance(reference, RotationPretext)
    samples = torch.arange(100, 124)
    losses = train_stage(pretext, samples, RATE, PretrainOptions(epochs=2, batch_size=8), seeded())

    optimizer, generator = torch.optim.AdamW(reference.parameters(), lr=RATE, weight_decay=1e-6), seeded()
    reference.train()
    for epoch in range(2):
        of_batches = []
        for batch in samples[torch.randperm(24, generator=generator)].split(8):
            rotations = torch.randint(4, (8,), generator=generator)
            mirrored = torch.rand(8, generator=generator) < 0.5
            drawn = draw_augmentation(8, tiny.n_bands, PATCH, AUGMENTATIONS, generator)
            patches = []
            for i, pixel in enumerate(batch.tolist()):
                patch = cut(tiny, pixel, PATCH)
                turned = np.rot90(patch[:, :, ::-1] if mirrored[i] else patch, int(rotations[i]), axes=(1, 2))
                patches.append(changed(tiny, turned, drawn, i))
            loss = cross_entropy(reference(batch_of(patches)), rotations, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            of_batches.append(loss.item())
        assert losses[epoch] == pytest.approx(np.mean(of_batches), rel=1e-5)
    assert_same(pretext, reference)


def test_mr_ssl(tiny: Scene) -> None:
    model = network(tiny)
    pretext = MaskedPretext(model, PatchSampler(tiny.cube, PATCH, CPU), WINDOW)
    reference = plain(pretext)
    assert isinstance(reference, MaskedPretext)
    samples = torch.arange(100, 124)
    losses = train_stage(pretext, samples, RATE, PretrainOptions(epochs=2, batch_size=8), seeded())

    flat = tiny.cube.reshape(-1, tiny.n_bands).astype(np.float64)
    low, span = flat.min(axis=0)[:, None, None], np.ptp(flat, axis=0)[:, None, None]
    mean, scale = (buffer.double().numpy()[:, None, None] for buffer in (model.band_mean, model.band_scale))
    optimizer, generator = torch.optim.AdamW(reference.parameters(), lr=RATE, weight_decay=1e-6), seeded()
    reference.train()
    for epoch in range(2):
        of_batches = []
        for batch in samples[torch.randperm(24, generator=generator)].split(8):
            masks = draw_masks(8, tiny.n_bands, generator)
            cuts = [cut(tiny, pixel, WINDOW) for pixel in batch.tolist()]
            seen = [np.where(mask[:, None, None], 0, (c - mean) / scale) for c, mask in zip(cuts, masks, strict=True)]
            wanted = batch_of([(c - low) / span for c in cuts])
            error = reference.head(reference.encoder.forward_pixelwise(batch_of(seen))) - wanted
            loss = error.square().mean() + 0.1 * error.abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            of_batches.append(loss.item())
        assert losses[epoch] == pytest.approx(np.mean(of_batches), rel=1e-5)
    assert_same(pretext, reference)
