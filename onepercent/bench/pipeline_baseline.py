"""The pipeline's stages the plain way: a data set whose items are single patches, a `DataLoader`, a step a batch.

Networks, losses, changes of patches and batch sizes are those of the library; what differs is that each patch is cut,
drawn for and changed by itself on the CPU, that the loss is read after every step, and that AdamW is as `torch.optim`
makes it by default, not in its fused form. The loader has no worker processes: on two cores they would compete with the
training.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.model.network import Network
from hsilib.pretraining.pretrain import PRETEXTS, PretrainOptions
from hsilib.training.device import autocast, gradient_scaler
from hsilib.training.fit import draw_changes, validate
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import weights_for
from onepercent.bench.train_baseline import fit_loss

Parts = tuple[torch.Tensor, ...]


class Samples(Dataset[Parts]):
    """One sample an item.

    Parameters
    ----------
    draw : takes the position (1,) of a sample in its list and gives its tensors, each (1, …).
    """

    def __init__(self, n: int, draw: Callable[[torch.Tensor], Parts]) -> None:
        self.n, self.draw = n, draw

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Parts:
        return tuple(part[0] for part in self.draw(torch.tensor([index])))


def loader_epoch(
    samples: Samples,
    batch_size: int,
    loss_of: Callable[..., torch.Tensor],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    clip_norm: float | None = None,
) -> float:
    """One pass over the samples; returns the mean of the batches' losses.

    Parameters
    ----------
    loss_of : takes a batch's tensors, on the device. clip_norm : largest norm of all gradients, or None.
    """
    scaler = gradient_scaler(device)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    losses = []
    for batch in DataLoader(samples, batch_size, shuffle=True):
        loss = loss_of(*(part.to(device) for part in batch))
        scaler.scale(loss).backward()
        if clip_norm:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return sum(losses) / len(losses)


def pretext_epoch(
    stage: str,
    learning_rate: float,
    model: Network,
    samplers: tuple[PatchSampler, PatchSampler],
    positions: torch.Tensor,
    options: PretrainOptions,
    generator: torch.Generator,
) -> float:
    """One epoch of a self-supervised stage.

    Parameters
    ----------
    samplers : on the CPU, where patches are cut, and on the model's device. positions : (N,) flat indices.
    """
    on_cpu, on_device = samplers
    cutting, pretext = PRETEXTS[stage](model, on_cpu), PRETEXTS[stage](model, on_device)
    pretext.train()
    optimizer = torch.optim.AdamW(pretext.parameters(), lr=learning_rate, weight_decay=options.weight_decay)
    samples = Samples(len(positions), lambda i: cutting.draw_batch(positions[i], generator))

    def loss_of(*parts: torch.Tensor) -> torch.Tensor:
        with autocast(on_device.device):
            return pretext.batch_loss(*parts)

    return loader_epoch(samples, options.batch_size, loss_of, optimizer, on_device.device)


def fit_epoch(
    model: Network,
    samplers: tuple[PatchSampler, PatchSampler],
    split: Split,
    options: FitOptions,
    generator: torch.Generator,
) -> float:
    """One epoch of the training, validation included.

    Parameters
    ----------
    samplers : on the CPU, where patches are cut, and on the model's device.
    """
    on_cpu, on_device = samplers
    device = on_device.device
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    weights = weights_for(split.train_labels, model.n_classes, options.loss).to(device)
    pixels, labels = torch.from_numpy(split.train), torch.from_numpy(split.train_labels - 1)

    def draw(index: torch.Tensor) -> Parts:
        changes = draw_changes(1, model, options, generator)
        return changes.turn_and_augment(on_cpu(pixels[index]), on_cpu), labels[index]

    loss_of = partial(fit_loss, model=model, weights=weights, options=options, generator=generator)
    loss = loader_epoch(Samples(len(pixels), draw), options.batch_size, loss_of, optimizer, device, options.clip_norm)
    validate(model, on_device, split)
    return loss
