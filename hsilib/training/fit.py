"""`fit`: the training loop, in plain sight.

Contents: `fit`, `batch_loss`, `validate`.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.models.network import Network
from hsilib.progress import progress
from hsilib.training.augment import augment, draw_augmentation, draw_orientations, orient
from hsilib.training.curriculum import with_confidence_loss
from hsilib.training.fit_options import FitOptions, learning_rate_at
from hsilib.training.losses import class_weights, sample_losses, smooth
from hsilib.training.mix import draw_mix, mix_features, mix_patches, mix_targets
from hsilib.training.precision import autocast, gradient_scaler
from hsilib.training.state import FitHistory, TrainingState, fingerprint

CHECKPOINT_EPOCHS = 10


def fit(
    model: Network,
    sampler: PatchSampler,
    split: Split,
    options: FitOptions,
    generator: torch.Generator,
    checkpoint: Path | None = None,
) -> FitHistory:
    """Train ``model`` on the training pixels and leave it with the weights of its best validation epoch.

    The best epoch has the highest validation accuracy; of equals, the lowest validation loss. Without
    validation pixels it is the last one. Test pixels are never looked at.

    Parameters
    ----------
    model : on the sampler's device.
    sampler : gives patches of the scene.
    split : train and validation pixels with their labels.
    generator : a CPU generator; draws the order of the pixels and every change of patches.
    checkpoint : a file that is written every ten epochs. If it exists and is of the same training, this goes
        on from there and ends with what it would have ended with uninterrupted.
    """
    device = sampler.device
    pixels, labels = _on_device(split.train, split.train_labels, device)
    weights = torch.ones(model.n_classes, device=device)
    if options.loss.class_weights:
        weights = torch.from_numpy(class_weights(split.train_labels, model.n_classes)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=options.weight_decay, betas=(0.9, 0.999), eps=1e-8)
    state = TrainingState(model, optimizer, gradient_scaler(device), generator)
    identity = fingerprint(model, split, options, generator) if checkpoint else ""
    if checkpoint:
        state.resume(checkpoint, identity)
    started = time.perf_counter() - state.history.seconds
    batches = options.batches_per_epoch(len(pixels))
    steps = -(-batches // options.accumulate)
    with progress(options.epochs, "fit", "epoch", done=state.epoch) as bar:
        while state.epoch < options.epochs:
            model.train()
            order = torch.randperm(len(pixels), generator=generator)[: batches * options.batch_size].to(device)
            total = torch.zeros((), device=device)
            for i, batch in enumerate(order.split(options.batch_size)):
                step, position = state.epoch * steps + i // options.accumulate, i % options.accumulate
                loss = batch_loss(state, sampler, pixels[batch], labels[batch], weights, options, step)
                together = min(options.accumulate, batches - (i - position))  # the last group may be smaller
                state.scaler.scale(loss / together).backward()
                if position == together - 1:
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate_at(step, steps, options)
                    state.scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
                    state.scaler.step(optimizer)
                    state.scaler.update()
                    optimizer.zero_grad(set_to_none=True)
                total += loss.detach() * len(batch)
            state.epoch += 1
            state.history.train_loss.append(float(total) / len(order))
            if len(split.val):
                accuracy, loss_value = validate(model, sampler, split)
                state.history.val_accuracy.append(accuracy)
                state.history.val_loss.append(loss_value)
                state.keep_if_best(accuracy, loss_value)
            state.history.seconds = time.perf_counter() - started
            if checkpoint and (state.epoch % CHECKPOINT_EPOCHS == 0 or state.epoch == options.epochs):
                state.save(checkpoint, identity)
            last = state.history.train_loss[-1]
            bar.set_postfix(loss=f"{last:.3f}", val=f"{state.best_score[0]:.3f}", refresh=False)
            bar.update()
    if state.best_weights is None:
        state.history.best_epoch = options.epochs
    else:
        model.load_state_dict(state.best_weights)
    model.eval()
    return state.history


def batch_loss(
    state: TrainingState,
    sampler: PatchSampler,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    options: FitOptions,
    step: int,
) -> torch.Tensor:
    """The loss of one batch, augmented and mixed.

    Parameters
    ----------
    pixels, labels : (N,) flat indices and classes from 0. weights : (K,) of the classes.
    step : the optimiser's, from 0; the focal loss's schedule depends on it.
    """
    model, generator = state.model, state.generator
    patches = sampler(pixels)
    shape = (len(pixels), model.n_bands, model.patch_size)
    if options.random_orientation:
        patches = orient(patches, draw_orientations(len(pixels), generator))
    if options.augment.probability > 0:
        drawn = draw_augmentation(*shape, options.augment, generator)
        patches = augment(patches, drawn, sampler.band_low, sampler.band_range)
    targets = one_hot(labels, model.n_classes).float()
    mix = draw_mix(*shape, options.mix, generator) if options.mix.mixup + options.mix.cutmix > 0 else None
    if mix is not None:
        patches, targets = mix_patches(patches, mix), mix_targets(targets, mix)
    with autocast(sampler.device):
        features = model.forward_features(patches)
        if mix is not None:
            features = mix_features(features, mix)
        logits = model.forward_head(features).flatten(1)
    losses = sample_losses(logits, smooth(targets, options.loss.label_smoothing), weights, options.loss, step)
    if state.epoch < options.curriculum_epochs:
        return with_confidence_loss(losses, logits, targets)
    return losses.mean()


@torch.inference_mode()
def validate(model: Network, sampler: PatchSampler, split: Split, batch_size: int = 512) -> tuple[float, float]:
    """Accuracy and mean cross-entropy on the validation pixels, in float32."""
    model.eval()
    pixels, labels = _on_device(split.val, split.val_labels, sampler.device)
    logits = torch.cat([model(sampler(batch)) for batch in pixels.split(batch_size)])
    return float((logits.argmax(1) == labels).float().mean()), float(cross_entropy(logits, labels))


def _on_device(
    pixels: NDArray[np.int64], labels: NDArray[np.int64], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices and zero-based class indices as tensors."""
    return torch.from_numpy(pixels).to(device), torch.from_numpy(labels - 1).to(device)
