"""What `fit` can be told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from hsilib.checks import check_name, check_numbers
from hsilib.training.augment import AugmentOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions

CHOICES = ("validation", "last")


@dataclass(frozen=True)
class FitOptions:
    """Settings of `fit`; the optimiser's defaults are the description's, the rest is off.

    Attributes
    ----------
    epochs, batch_size : passes over the training pixels, pixels per batch.
    learning_rate, final_learning_rate : the peak after the warm-up, the end of the cosine.
    warmup_epochs : epochs of linear rise.
    weight_decay : as the optimiser understands it.
    clip_norm : largest norm of all gradients together; 0 does not limit it.
    random_orientation : lay every training patch down in one of its eight orientations; ``augment.orientation`` does
        so with the patches that are augmented.
    max_steps_per_epoch : where positive, an epoch ends after so many batches, each epoch on other pixels:
        the time it takes no longer grows with the number of labels.
    accumulate : batches whose gradients are averaged before the optimiser steps.
    loss, augment, mix : see there.
    curriculum_epochs : epochs in which confident samples count more; 0 turns the curriculum off.
    choose : ``validation`` keeps the weights of the best validation epoch; ``last`` those of the last one, without a
        validation pixel, so that the labels are the training pixels alone.
    least_steps : epochs are added until the optimiser takes so many steps; with few labels an epoch has few. Setting
        ``fit.epochs`` with ``--set`` turns it off.
    optimizer, schedule : names of ``OPTIMIZERS`` and ``SCHEDULES``; peers were published with others than ours.
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
    accumulate: int = 1
    loss: LossOptions = field(default_factory=LossOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    mix: MixOptions = field(default_factory=MixOptions)
    curriculum_epochs: int = 0
    optimizer: str = "adamw"
    schedule: str = "cosine"
    choose: str = "validation"
    least_steps: int = 0

    def __post_init__(self) -> None:
        check_numbers(
            "fit.", least=1, whole=True, epochs=self.epochs, batch_size=self.batch_size, accumulate=self.accumulate
        )
        check_numbers(
            "fit.",
            least=0,
            whole=True,
            warmup_epochs=self.warmup_epochs,
            max_steps_per_epoch=self.max_steps_per_epoch,
            curriculum_epochs=self.curriculum_epochs,
            least_steps=self.least_steps,
        )
        check_numbers("fit.", above=0, learning_rate=self.learning_rate)
        check_numbers("fit.", least=0, final_learning_rate=self.final_learning_rate, clip_norm=self.clip_norm)
        check_numbers("fit.", least=0, weight_decay=self.weight_decay)
        check_name("fit.optimizer", self.optimizer, OPTIMIZERS)
        check_name("fit.schedule", self.schedule, SCHEDULES)
        check_name("fit.choose", self.choose, CHOICES)

    def lengthened(self, n_pixels: int) -> FitOptions:
        """The same with enough epochs over ``n_pixels`` training pixels for ``least_steps`` of the optimiser."""
        steps = -(-self.batches_per_epoch(n_pixels) // self.accumulate)
        return replace(self, epochs=max(self.epochs, -(-self.least_steps // steps)))

    def batches_per_epoch(self, n_pixels: int) -> int:
        """Batches that an epoch over ``n_pixels`` training pixels takes.

        A last batch of a single pixel is left out, as batch norm may find one value only in it; the order is another
        one in each epoch, so no pixel is lost.
        """
        full, rest = divmod(n_pixels, self.batch_size)
        batches = full + (rest > 1) if full else 1
        return min(batches, self.max_steps_per_epoch) if self.max_steps_per_epoch > 0 else batches


def learning_rate_at(step: int, steps_per_epoch: int, options: FitOptions) -> float:
    """Linear warm-up, then the schedule; ``step`` counts from 0."""
    warmup = options.warmup_epochs * steps_per_epoch
    total = options.epochs * steps_per_epoch
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    done = min((step - warmup) / max(1, total - 1 - warmup), 1.0)
    return SCHEDULES[options.schedule](done, options)


def _cosine(done: float, options: FitOptions) -> float:
    """From the peak to ``final_learning_rate`` along half a cosine."""
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return options.final_learning_rate + (options.learning_rate - options.final_learning_rate) * cosine


def _constant(done: float, options: FitOptions) -> float:
    del done
    return options.learning_rate


def _step(done: float, options: FitOptions) -> float:
    """Times 0.9 after each tenth."""
    return options.learning_rate * 0.9 ** min(int(10 * done), 9)


def _poly(done: float, options: FitOptions) -> float:
    """(1 − done)^0.9, as is common in segmentation."""
    return options.learning_rate * (1 - done) ** 0.9


# done (0…1 after the warm-up), options → learning rate
SCHEDULES: dict[str, Callable[[float, FitOptions], float]] = {
    "cosine": _cosine,
    "constant": _constant,
    "step": _step,
    "poly": _poly,
}

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),  # the same formula, all tensors in one pass
    "adam": partial(torch.optim.Adam, fused=True),
    "sgd": lambda parameters, **options: torch.optim.SGD(parameters, momentum=0.9, **options),
    "plain-sgd": torch.optim.SGD,
    "rmsprop": partial(torch.optim.RMSprop, alpha=0.9),
}


def create_optimizer(parameters: Iterable[torch.nn.Parameter], options: FitOptions) -> torch.optim.Optimizer:
    """The optimiser of ``options``; torch's own defaults but for momentum 0.9 of ``sgd``.

    RMSprop's decay is 0.9, as in Keras, with which the networks trained by it were published; torch's default is 0.99.
    """
    return OPTIMIZERS[options.optimizer](parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
