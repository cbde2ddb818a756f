"""`Pretext`: what a self-supervised stage is made of. One file for each stage; `pretrain` holds the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import nn

from hsilib.data.patches import PatchSampler
from hsilib.model.network import Network


class Pretext(nn.Module):
    """An encoder of a model with the head of a stage, which is thrown away afterwards.

    A stage gives its name, its head, `encoder_of`, `draw_batch`, ``batch_loss`` and `measure`; one that does not visit
    all samples in every epoch gives `order_samples` and `samples_in`, too.

    Attributes
    ----------
    stage : its name.
    encoder : shared with the model, not copied.
    sampler : gives patches of the scene, on the model's device.
    batch_loss : the loss, a scalar, of what `draw_batch` gave.
    """

    stage: ClassVar[str]
    encoder: nn.Module
    sampler: PatchSampler
    batch_loss: Callable[..., torch.Tensor]

    def __init__(self, model: Network, sampler: PatchSampler) -> None:
        super().__init__()
        self.encoder, self.sampler = self.encoder_of(model), sampler

    @staticmethod
    def encoder_of(model: Network) -> nn.Module:
        """The part of ``model`` that this stage trains.

        Raises
        ------
        InputError : the network does not have it.
        """
        raise NotImplementedError

    def draw_batch(self, pixels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """What ``batch_loss`` takes, for the patches around ``pixels`` (N,)."""
        raise NotImplementedError

    def loss(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The loss over the patches around ``pixels`` (N,), as `draw_batch` draws them."""
        return self.batch_loss(*self.draw_batch(pixels, generator))

    def measure(self, pixels: torch.Tensor, generator: torch.Generator) -> dict[str, float]:
        """What the stage reaches on ``pixels`` (N,), by name."""
        raise NotImplementedError

    def order_samples(self, samples: torch.Tensor) -> torch.Tensor:
        """``samples`` (N,) as `samples_in` counts them; here as they are."""
        return samples

    def samples_in(self, epoch: int, epochs: int, n: int) -> int:
        """How many of ``n`` ordered samples, from the first one, an epoch visits, counted from 0; here all."""
        del epoch, epochs
        return n
