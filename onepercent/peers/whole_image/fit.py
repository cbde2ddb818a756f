"""`fit_whole_image`: the training loop of networks that see the whole image at every step."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from hsilib.data.splits import Split
from hsilib.progress import progress
from hsilib.training.checkpoint import CHECKPOINT_EPOCHS, FitHistory, TrainingState, fingerprint
from hsilib.training.device import autocast, gradient_scaler
from hsilib.training.fit_options import create_optimizer, learning_rate_at
from onepercent.peers.whole_image.network import WholeImageNetwork
from onepercent.peers.whole_image.options import WholeImageFitOptions
from onepercent.peers.whole_image.pixel_sampling import choose_pixels

BETA = 0.9999  # of the effective number of samples


def fit_whole_image(
    model: WholeImageNetwork,
    image: torch.Tensor,
    split: Split,
    options: WholeImageFitOptions,
    generator: torch.Generator,
    checkpoint: Path | None = None,
) -> FitHistory:
    """Train ``model`` on the training pixels of one image and leave it with the weights of its best validation.

    Every pixel of the image passes through the network, but only the logits of training pixels reach the loss. What
    is best and what ``checkpoint`` does is as in `hsilib.training.fit.fit`. Test pixels are never looked at.

    Parameters
    ----------
    model : on the image's device; has looked at the image.
    image : (1, S, H, W) raw values; at least as large as the split's scene, whose pixels are those from the
        first row and column on.
    split : train and validation pixels with their labels.
    generator : a CPU generator; draws which pixels count when.

    Returns
    -------
    The loss of each epoch, that is step, and the validation of every ``options.validate_every``-th and the last.
    """
    device, settings = image.device, options.for_optimizer()
    train_labels = torch.from_numpy(split.train_labels - 1)
    pixels, labels = torch.from_numpy(split.train).to(device), train_labels.to(device)
    val_pixels, val_labels = (torch.from_numpy(part).to(device) for part in (split.val, split.val_labels - 1))
    weights = None
    if options.class_weights:
        weights = torch.from_numpy(effective_number_weights(split.train_labels, model.n_classes)).to(device)
    optimizer = create_optimizer(model.parameters(), settings)
    state = TrainingState(model, optimizer, gradient_scaler(device), generator)
    identity = fingerprint(model, split, options, generator) if checkpoint else ""
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    if checkpoint:
        state.resume(checkpoint, identity)
    started = time.perf_counter() - state.history.seconds
    with progress(options.epochs, "fit", "epoch", done=state.epoch) as bar:
        while state.epoch < options.epochs:
            model.train()
            chosen = choose_pixels(options.sampling, train_labels, options.per_class, state.epoch, seed).to(device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(state.epoch, 1, settings)
            with autocast(device):
                logits = pixel_logits(model, image, split, pixels[chosen])
            loss = cross_entropy(logits.float(), labels[chosen], weights)
            state.scaler.scale(loss).backward()
            state.scaler.step(optimizer)
            state.scaler.update()
            optimizer.zero_grad(set_to_none=True)
            state.epoch += 1
            state.history.train_loss.append(float(loss.detach()))
            if state.diverged():
                break
            validating = options.choose == "validation" and len(split.val)
            if validating and (state.epoch % options.validate_every == 0 or state.epoch == options.epochs):
                model.eval()
                with torch.inference_mode():
                    logits = pixel_logits(model, image, split, val_pixels)
                accuracy = float((logits.argmax(1) == val_labels).float().mean())
                state.history.val_accuracy.append(accuracy)
                state.history.val_loss.append(float(cross_entropy(logits, val_labels)))
                state.keep_if_best(accuracy, state.history.val_loss[-1])
            state.history.seconds = time.perf_counter() - started
            if checkpoint and (state.epoch % CHECKPOINT_EPOCHS == 0 or state.epoch == options.epochs):
                state.save(checkpoint, identity)
            last = state.history.train_loss[-1]
            best = {} if state.best_weights is None else {"val": f"{state.best_score[0]:.3f}"}
            bar.set_postfix({"loss": f"{last:.3f}", **best}, refresh=False)
            bar.update()
    state.take_best()
    return state.history


def pixel_logits(model: WholeImageNetwork, image: torch.Tensor, split: Split, pixels: torch.Tensor) -> torch.Tensor:
    """(N, K) logits of ``pixels``, (N,) flat indices into the split's scene."""
    rows, cols = pixels // split.shape[1], pixels % split.shape[1]
    return model(image)[0, :, rows, cols].T


def effective_number_weights(train_labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    """w_c ∝ (1 − β) / (1 − β^n_c), of mean 1 over the classes that have training pixels; 0 for the others.

    Cui, Jia, Lin, Song, Belongie (CVPR 2019), Class-Balanced Loss Based on Effective Number of Samples, equation
    2, with β = 0.9999. n_c counts the labels (1…K) of the training pixels alone.
    """
    counts = np.bincount(train_labels, minlength=n_classes + 1)[1:]
    seen = counts > 0
    weights = np.zeros(n_classes)
    weights[seen] = (1 - BETA) / (1 - BETA ** counts[seen])
    return (weights * seen.sum() / weights.sum()).astype(np.float32)
