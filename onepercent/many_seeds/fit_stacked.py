"""`fit_stacked`: what `fit` does, for K seeds at once. On a GPU one large step costs less than K small ones.

Every seed draws from its own generator what it would draw alone, in the same order, so the two differ in three ways
only: dropout draws other numbers, sums are added up in another order, and in fp16 (GPUs before compute capability
8.0) the gradients' scale is shared, so that a step whose gradients overflow for one seed is skipped by all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import vmap
from torch.nn.functional import cross_entropy, one_hot

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.model.network import Network
from hsilib.progress import progress
from hsilib.training.checkpoint import FitHistory, TrainingState
from hsilib.training.device import autocast, gradient_scaler
from hsilib.training.fit import Changes, draw_changes, mean_loss
from hsilib.training.fit_options import FitOptions, create_optimizer, learning_rate_at
from hsilib.training.losses import weights_for
from hsilib.training.mix import Mix, mix_features, mix_patches, mix_targets
from onepercent.many_seeds.stack import Stack, clip_each

VALIDATED_AT_ONCE = 512  # pixels, of all seeds together


def can_be_stacked(splits: Sequence[Split]) -> bool:
    """Whether all splits have as many training pixels, and as many validation pixels, as the first."""
    return len({(len(split.train), len(split.val)) for split in splits}) == 1


def fit_stacked(
    models: Sequence[Network],
    sampler: PatchSampler,
    splits: Sequence[Split],
    options: FitOptions,
    generators: Sequence[torch.Generator],
) -> list[FitHistory]:
    """Train K ``models`` together; each keeps the weights of its own best validation epoch.

    There is no checkpoint: an interrupted training starts anew.

    Parameters
    ----------
    models : of one architecture, on the sampler's device.
    sampler : gives patches of the scene, which all seeds share.
    splits : of each seed; the seeds have as many pixels as each other, see `can_be_stacked`.
    generators : CPU generators; each draws its seed's order of the pixels and every change of its patches.

    Returns
    -------
    A history each. ``seconds`` is a seed's share: the time of all, divided by K.
    """
    if not can_be_stacked(splits):
        raise ValueError("the seeds have different numbers of training or validation pixels.")
    device, started = sampler.device, time.perf_counter()
    pixels, labels = _stacked([(split.train, split.train_labels) for split in splits], device)
    each = [weights_for(split.train_labels, models[0].n_classes, options.loss) for split in splits]
    weights = torch.stack(each).to(device)
    stack = Stack(models)
    parameters = list(stack.parameters.values())
    optimizer, scaler = create_optimizer(parameters, options), gradient_scaler(device)
    states = [
        TrainingState(model, optimizer, scaler, generator) for model, generator in zip(models, generators, strict=True)
    ]
    diverged: set[int] = set()  # the others go on
    batches = options.batches_per_epoch(pixels.shape[1])
    steps = -(-batches // options.accumulate)
    with progress(options.epochs, f"fit, {len(models)} seeds", "epoch") as bar:
        for epoch in range(options.epochs):
            stack.train()
            orders = [torch.randperm(pixels.shape[1], generator=generator) for generator in generators]
            order = torch.stack(orders)[:, : batches * options.batch_size].to(device)
            total = torch.zeros(len(models), device=device)
            for i, batch in enumerate(order.split(options.batch_size, dim=1)):
                step, position = epoch * steps + i // options.accumulate, i % options.accumulate
                logits, targets = _forward(
                    stack, states, sampler, pixels.gather(1, batch), labels.gather(1, batch), options
                )
                loss_of_each = vmap(partial(mean_loss, options=options, step=step, epoch=epoch))
                losses = loss_of_each(logits, targets, weights)
                batches_in_step = min(options.accumulate, batches - (i - position))  # the last step may have fewer
                scaler.scale(losses.sum() / batches_in_step).backward()
                if position == batches_in_step - 1:
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate_at(step, steps, options)
                    scaler.unscale_(optimizer)
                    if options.clip_norm > 0:
                        clip_each(parameters, options.clip_norm)
                    scaler.step(optimizer)
                    scaler.update()
                    optimizer.zero_grad(set_to_none=True)
                total += losses.detach() * batch.shape[1]
            validating = options.choose == "validation" and len(splits[0].val)
            scores = _validate(stack, sampler, splits) if validating else None
            for k, (state, loss) in enumerate(zip(states, (total / order.shape[1]).tolist(), strict=True)):
                if k in diverged:
                    continue
                state.epoch += 1
                state.history.train_loss.append(loss)
                if state.diverged():
                    diverged.add(k)
                    continue
                if scores is not None:
                    state.history.val_accuracy.append(scores[0][k])
                    state.history.val_loss.append(scores[1][k])
                    state.keep_if_best(scores[0][k], scores[1][k])
            bar.update()
    for state in states:
        state.take_best()
        state.history.seconds = (time.perf_counter() - started) / len(states)
    stack.train(False)
    stack.release()
    return [state.history for state in states]


def _forward(
    stack: Stack,
    states: Sequence[TrainingState],
    sampler: PatchSampler,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    options: FitOptions,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets (K, N, C) of a batch of each seed, from flat indices and classes (K, N).

    What was drawn is applied to the patches of all seeds at once, as if they were one batch, but for the mixing,
    which is of another kind from seed to seed.
    """
    model, shape = states[0].model, pixels.shape
    changes = [draw_changes(shape[1], model, options, state.generator, sampler.device) for state in states]
    mixes = [change.mix for change in changes]
    turned = Changes(_joined([c.orientations for c in changes]), _joined([c.augmentation for c in changes]), None)
    patches = turned.turn_and_augment(sampler(pixels.flatten()), sampler).unflatten(0, shape)
    targets = one_hot(labels, model.n_classes).float()
    patches, targets = _each(mix_patches, patches, mixes), _each(mix_targets, targets, mixes)
    with autocast(sampler.device):
        features = _each(mix_features, stack.call("forward_features", patches), mixes)
        return stack.call("forward_head", features).flatten(2), targets


def _each(
    mixed: Callable[[torch.Tensor, Mix], torch.Tensor], values: torch.Tensor, mixes: Sequence[Mix | None]
) -> torch.Tensor:
    """Values (K, N, …), mixed where a seed has drawn that."""
    if not any(mixes):
        return values
    return torch.stack([own if mix is None else mixed(own, mix) for own, mix in zip(values, mixes, strict=True)])


def _joined(drawn: Sequence[Any]) -> Any:
    """What was drawn for K batches of N patches as if for one of K · N: tensors or dataclasses of them."""
    first = drawn[0]
    if is_dataclass(first):
        return type(first)(*(_joined([getattr(one, f.name) for one in drawn]) for f in fields(first)))  # type: ignore[misc]
    return None if first is None else torch.cat(list(drawn))


@torch.no_grad()
def _validate(stack: Stack, sampler: PatchSampler, splits: Sequence[Split]) -> tuple[list[float], list[float]]:
    """Accuracy and mean cross-entropy of each seed on its validation pixels, in float32."""
    stack.train(False)
    pixels, labels = _stacked([(split.val, split.val_labels) for split in splits], sampler.device)
    batches = pixels.split(max(1, VALIDATED_AT_ONCE // len(splits)), dim=1)
    logits = [stack.call("forward", sampler(batch.flatten()).unflatten(0, batch.shape)) for batch in batches]
    scores = torch.cat(logits, dim=1)
    accuracy = (scores.argmax(dim=2) == labels).float().mean(dim=1)
    return accuracy.tolist(), vmap(cross_entropy)(scores, labels).tolist()


def _stacked(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(K, n) flat indices and zero-based class indices."""
    pixels, labels = (torch.from_numpy(np.stack(arrays)).to(device) for arrays in zip(*parts, strict=True))
    return pixels, labels - 1
