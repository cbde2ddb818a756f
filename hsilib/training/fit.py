"""`fit`: the training loop, in plain sight."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.model.network import Network
from hsilib.progress import progress
from hsilib.training.augment import Augmentation, augment, draw_augmentation, draw_orientations, orient
from hsilib.training.checkpoint import CHECKPOINT_EPOCHS, FitHistory, TrainingState, fingerprint
from hsilib.training.device import autocast, gradient_scaler
from hsilib.training.fit_options import FitOptions, create_optimizer, learning_rate_at
from hsilib.training.losses import confidence_weighted_mean, sample_losses, smooth, weights_for
from hsilib.training.mix import Mix, draw_mix, mix_features, mix_patches, mix_targets
from hsilib.training.spectral_train import SpectralSchedule, StageNetwork


def fit(
    model: Network,
    sampler: PatchSampler,
    split: Split,
    options: FitOptions,
    generator: torch.Generator,
    checkpoint: Path | None = None,
    schedule: SpectralSchedule | None = None,
) -> FitHistory:
    """Train ``model`` on the training pixels and leave it with the weights of its last or its best validation epoch.

    Which of them says ``options.choose``. The best epoch has the highest validation accuracy; of equals, the lowest
    validation loss. Without validation pixels it is the last one. Test pixels are never looked at.

    Parameters
    ----------
    model : on the sampler's device.
    sampler : gives patches of the scene.
    split : train and validation pixels with their labels.
    generator : a CPU generator; draws the order of the pixels and every change of patches.
    checkpoint : a file that is written every ten epochs. If it exists and is of the same training, this goes
        on from there and ends with what it would have ended with uninterrupted.
    schedule : what an epoch trains on instead: a part of the model on smaller patches. Only an epoch of the last
        stage, which has all of both, can be the best one.
    """
    device = sampler.device
    pixels, labels = _on_device(split.train, split.train_labels, device)
    weights = weights_for(split.train_labels, model.n_classes, options.loss).to(device)
    optimizer = create_optimizer(model.parameters(), options)
    state = TrainingState(model, optimizer, gradient_scaler(device), generator)
    identity = ""
    if checkpoint:
        plan = schedule.stages if schedule else ()
        identity = fingerprint(model, split, (options, plan), generator)
        state.resume(checkpoint, identity)
    started = time.perf_counter() - state.history.seconds
    batches = options.batches_per_epoch(len(pixels))
    steps = -(-batches // options.accumulate)
    with progress(options.epochs, "fit", "epoch", done=state.epoch) as bar:
        while state.epoch < options.epochs:
            network, patches_of = schedule.at(state.epoch) if schedule else (model, sampler)
            network.train()
            order = torch.randperm(len(pixels), generator=generator)[: batches * options.batch_size].to(device)
            total = torch.zeros((), device=device)
            for i, batch in enumerate(order.split(options.batch_size)):
                step, position = state.epoch * steps + i // options.accumulate, i % options.accumulate
                changes = draw_changes(len(batch), network, options, generator, device)
                patches = changes.turn_and_augment(patches_of(pixels[batch]), patches_of)
                logits, targets = forward_mixed(network, patches, labels[batch], changes.mix)
                loss = mean_loss(logits, targets, weights, options, step, state.epoch)
                batches_in_step = min(options.accumulate, batches - (i - position))  # the last step may have fewer
                state.scaler.scale(loss / batches_in_step).backward()
                if position == batches_in_step - 1:
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate_at(step, steps, options)
                    state.scaler.unscale_(optimizer)
                    if options.clip_norm:
                        nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
                    state.scaler.step(optimizer)
                    state.scaler.update()
                    optimizer.zero_grad(set_to_none=True)
                total += loss.detach() * len(batch)
            state.epoch += 1
            state.history.train_loss.append(float(total) / len(order))
            if state.diverged():
                break
            if options.choose == "validation" and len(split.val):
                accuracy, loss_value = validate(network, patches_of, split)
                state.history.val_accuracy.append(accuracy)
                state.history.val_loss.append(loss_value)
                if schedule is None or schedule.is_last(state.epoch - 1):
                    state.keep_if_best(accuracy, loss_value)
            state.history.seconds = time.perf_counter() - started
            if checkpoint and (state.epoch % CHECKPOINT_EPOCHS == 0 or state.epoch == options.epochs):
                state.save(checkpoint, identity)
            last = state.history.train_loss[-1]
            best = {} if state.best_weights is None else {"val": f"{state.best_score[0]:.3f}"}
            bar.set_postfix({"loss": f"{last:.3f}", **best}, refresh=False)
            bar.update()
    state.take_best()
    return state.history


def forward_mixed(
    model: Network | StageNetwork, patches: torch.Tensor, labels: torch.Tensor, mix: Mix | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets, (N, K) each, of patches (N, S, P, P) with classes (N,) from 0, mixed as drawn."""
    targets = one_hot(labels, model.n_classes).float()
    if mix is not None:
        patches, targets = mix_patches(patches, mix), mix_targets(targets, mix)
    with autocast(patches.device):
        features = model.forward_features(patches)
        if mix is not None:
            features = mix_features(features, mix)
        return model.forward_head(features).flatten(1), targets


@dataclass(frozen=True, eq=False)
class Changes:
    """What was drawn for a batch of N patches; None where nothing of the kind is wanted."""

    orientations: torch.Tensor | None
    augmentation: Augmentation | None
    mix: Mix | None

    def turn_and_augment(self, patches: torch.Tensor, sampler: PatchSampler) -> torch.Tensor:
        """All of it but the mixing, on (N, S, P, P) raw values."""
        if self.orientations is not None:
            patches = orient(patches, self.orientations)
        if self.augmentation is not None:
            patches = augment(patches, self.augmentation, sampler.band_low, sampler.band_range)
        return patches


def draw_changes(
    n: int,
    model: Network | StageNetwork,
    options: FitOptions,
    generator: torch.Generator,
    device: torch.device,
) -> Changes:
    """Draw what happens to a batch of ``n`` patches on ``device``."""
    shape = (n, model.n_bands, model.patch_size)
    augmented = options.augment.probability > 0
    return Changes(
        draw_orientations(n, generator) if options.random_orientation else None,
        draw_augmentation(*shape, options.augment, generator, device) if augmented else None,
        draw_mix(*shape, options.mix, generator) if options.mix.mixup + options.mix.cutmix > 0 else None,
    )


def mean_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, options: FitOptions, step: int, epoch: int
) -> torch.Tensor:
    """The loss of a batch at optimiser step ``step`` in epoch ``epoch``, both from 0.

    Parameters
    ----------
    logits, targets : (N, K). weights : (K,) of the classes.
    """
    losses = sample_losses(logits, smooth(targets, options.loss.label_smoothing), weights, options.loss, step)
    if epoch < options.curriculum_epochs:
        return confidence_weighted_mean(losses, logits, targets)
    return losses.mean()


@torch.inference_mode()
def validate(
    model: Network | StageNetwork, sampler: PatchSampler, split: Split, batch_size: int = 512
) -> tuple[float, float]:
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
