"""`pretrain_stacked`: what `pretrain` does, for K seeds at once; see `stacked` for what that changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.files import ensure_writable
from hsilib.model.network import Network
from hsilib.pretraining.encoder_cache import StageReport
from hsilib.pretraining.pretrain import PretrainOptions, Stage, pretext_class
from hsilib.progress import progress
from hsilib.training.device import autocast, gradient_scaler
from onepercent.many_seeds.stack import Stack

STACKED_STAGES = ("rm-ssl", "mr-ssl")  # those that visit all samples in each epoch, in an order drawn anew


def pretrain_stacked(
    models: Sequence[Network],
    sampler: PatchSampler,
    splits: Sequence[Split],
    options: PretrainOptions,
    seeds: Sequence[int],
    cache: Path | None = None,
) -> list[list[StageReport]]:
    """Train the encoders of K ``models`` of one scene in place; seeds that the cache has are taken from there.

    Parameters
    ----------
    models, splits, seeds : of each seed; the rest is as for `pretrain`.

    Returns
    -------
    The reports of each seed. ``seconds`` is a seed's share of the time of all that were trained together.

    Raises
    ------
    InputError : a stage is on that is not registered, or whose encoder the network does not have.
    """
    if options.stages and cache:
        ensure_writable(cache)
    for name in options.stages:
        pretext_class(name).encoder_of(models[0])
    reports: list[list[StageReport]] = [[] for _ in models]
    for name, learning_rate in options.stages.items():
        started = time.perf_counter()
        each = zip(models, splits, seeds, strict=True)
        stages = [Stage(name, model, sampler, split, seed) for model, split, seed in each]
        found = [stage.look_up(options, cache) if cache else None for stage in stages]
        missing = [stage for stage, report in zip(stages, found, strict=True) if report is None]
        losses = iter(_train(missing, learning_rate, options) if missing else [])
        for stage, report, own in zip(stages, found, reports, strict=True):
            own.append(report or stage.finish(next(losses), started, len(missing)))
    return reports


def _train(stages: Sequence[Stage], learning_rate: float, options: PretrainOptions) -> list[list[float]]:
    """`train_stage` for all; the mean loss of each epoch, seed by seed."""
    stack = Stack([stage.pretext for stage in stages])
    samples = torch.stack([stage.samples for stage in stages])
    device, n_samples = samples.device, samples.shape[1]
    parameters = stack.parameters.values()
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=options.weight_decay, fused=True)
    scaler = gradient_scaler(device)
    losses = []
    stack.train()
    with progress(options.epochs, f"{stages[0].pretext.stage}, {len(stages)} seeds", "epoch") as bar:
        for _ in range(options.epochs):
            orders = [torch.randperm(n_samples, generator=stage.generator) for stage in stages]
            order = samples.gather(1, torch.stack(orders).to(device))
            total = torch.zeros(len(stages), device=device)
            for batch in order.tensor_split(max(1, n_samples // options.batch_size), dim=1):
                drawn = [
                    stage.pretext.draw_batch(pixels, stage.generator)
                    for stage, pixels in zip(stages, batch, strict=True)
                ]
                inputs = [torch.stack(parts) for parts in zip(*drawn, strict=True)]
                with autocast(device):
                    loss = stack.call("batch_loss", *inputs)
                scaler.scale(loss.sum()).backward()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                total += loss.detach() * batch.shape[1]
            losses.append((total / n_samples).tolist())
            bar.update()
    stack.train(False)
    stack.release()
    return [list(of_one) for of_one in zip(*losses, strict=True)]
