"""`fit`: the training loop, in plain sight.

Contents: `FitOptions`, `FitHistory`, `learning_rate_at`, `fit`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.errors import InputError
from hsilib.models.network import Network
from hsilib.progress import progress
from hsilib.training.augment import draw_orientations, orient
from hsilib.training.precision import autocast, gradient_scaler


@dataclass(frozen=True)
class FitOptions:
    """Settings of `fit`; the defaults are the description's (METHOD A10).

    Attributes
    ----------
    epochs, batch_size : passes over the training pixels, pixels per step.
    learning_rate, final_learning_rate : the peak after the warm-up, the end of the cosine.
    warmup_epochs : epochs of linear rise.
    weight_decay : AdamW's.
    clip_norm : largest norm of all gradients together.
    random_orientation : lay each training patch down in one of its eight orientations.
    max_steps_per_epoch : where positive, an epoch ends after so many steps, each epoch on other pixels:
        the time it takes no longer grows with the number of labels.
    """

    epochs: int = 300
    batch_size: int = 16
    learning_rate: float = 6e-4
    final_learning_rate: float = 1e-6
    warmup_epochs: int = 20
    weight_decay: float = 3e-5
    clip_norm: float = 0.6
    random_orientation: bool = False
    max_steps_per_epoch: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"fit.{name} is {getattr(self, name)}; expected at least 1.")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"fit.{name} is {getattr(self, name)}; expected a number above 0.")
        for name in ("final_learning_rate", "warmup_epochs", "weight_decay", "max_steps_per_epoch"):
            if not getattr(self, name) >= 0:
                raise InputError(f"fit.{name} is {getattr(self, name)}; expected at least 0.")


@dataclass
class FitHistory:
    """What happened, epoch by epoch.

    Attributes
    ----------
    train_loss, val_loss, val_accuracy : one number an epoch; the last two empty without validation pixels.
    best_epoch : the epoch (counted from 1) whose weights the model keeps.
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    best_epoch: int = 0


def learning_rate_at(step: int, steps_per_epoch: int, options: FitOptions) -> float:
    """Linear warm-up, then cosine from ``learning_rate`` to ``final_learning_rate``; ``step`` counts from 0."""
    warmup = options.warmup_epochs * steps_per_epoch
    total = options.epochs * steps_per_epoch
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - 1 - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return options.final_learning_rate + (options.learning_rate - options.final_learning_rate) * cosine


def fit(
    model: Network, sampler: PatchSampler, split: Split, options: FitOptions, generator: torch.Generator
) -> FitHistory:
    """Train ``model`` on the training pixels and leave it with the weights of its best validation epoch.

    The best epoch has the highest validation accuracy; of equals, the lowest validation loss. Without
    validation pixels it is the last one. Test pixels are never looked at.

    Parameters
    ----------
    model : on the sampler's device.
    sampler : gives patches of the scene.
    split : train and validation pixels with their labels.
    generator : a CPU generator; draws the order of the pixels and the orientations.
    """
    device = sampler.device
    pixels, labels = _on_device(split.train, split.train_labels, device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=options.weight_decay, betas=(0.9, 0.999), eps=1e-8)
    scaler = gradient_scaler(device)
    batches = -(-len(pixels) // options.batch_size)
    if options.max_steps_per_epoch > 0:
        batches = min(batches, options.max_steps_per_epoch)
    history = FitHistory()
    best_score, best_weights = (-1.0, 0.0), None
    with progress(options.epochs, "fit", "epoch") as bar:
        for epoch in range(options.epochs):
            model.train()
            order = torch.randperm(len(pixels), generator=generator)[: batches * options.batch_size].to(device)
            total = torch.zeros((), device=device)
            for i, batch in enumerate(order.split(options.batch_size)):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate_at(epoch * batches + i, batches, options)
                patches = sampler(pixels[batch])
                if options.random_orientation:
                    patches = orient(patches, draw_orientations(len(batch), generator))
                with autocast(device):
                    loss = cross_entropy(model(patches), labels[batch])
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
                scaler.step(optimizer)
                scaler.update()
                total += loss.detach() * len(batch)
            history.train_loss.append(float(total) / len(order))
            if len(split.val):
                accuracy, loss_value = validate(model, sampler, split)
                history.val_accuracy.append(accuracy)
                history.val_loss.append(loss_value)
                if (accuracy, -loss_value) > best_score:
                    best_score, history.best_epoch = (accuracy, -loss_value), epoch + 1
                    best_weights = {k: v.clone() for k, v in model.state_dict().items()}
            bar.set_postfix(loss=f"{history.train_loss[-1]:.3f}", val=f"{best_score[0]:.3f}", refresh=False)
            bar.update()
    if best_weights is None:
        history.best_epoch = options.epochs
    else:
        model.load_state_dict(best_weights)
    model.eval()
    return history


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
