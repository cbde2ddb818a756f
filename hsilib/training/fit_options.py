"""What `fit` can be told.

Contents: `FitOptions`, `learning_rate_at`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hsilib.errors import InputError
from hsilib.training.augment import AugmentOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions


@dataclass(frozen=True)
class FitOptions:
    """Settings of `fit`; the optimiser's defaults are the description's (METHOD A10), the rest is off.

    Attributes
    ----------
    epochs, batch_size : passes over the training pixels, pixels per batch.
    learning_rate, final_learning_rate : the peak after the warm-up, the end of the cosine.
    warmup_epochs : epochs of linear rise.
    weight_decay : AdamW's.
    clip_norm : largest norm of all gradients together.
    random_orientation : lay each training patch down in one of its eight orientations.
    max_steps_per_epoch : where positive, an epoch ends after so many batches, each epoch on other pixels:
        the time it takes no longer grows with the number of labels.
    accumulate : batches whose gradients are averaged before the optimiser steps.
    loss, augment, mix : see there.
    curriculum_epochs : epochs in which confident samples count more; 0 turns the curriculum off.
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

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise InputError(f"fit.{name} is {getattr(self, name)}; expected at least 1.")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"fit.{name} is {getattr(self, name)}; expected a number above 0.")
        for name in ("final_learning_rate", "warmup_epochs", "weight_decay", "max_steps_per_epoch"):
            if not getattr(self, name) >= 0:
                raise InputError(f"fit.{name} is {getattr(self, name)}; expected at least 0.")
        if self.curriculum_epochs < 0:
            raise InputError(f"fit.curriculum_epochs is {self.curriculum_epochs}; expected at least 0.")

    def batches_per_epoch(self, n_pixels: int) -> int:
        """Batches that an epoch over ``n_pixels`` training pixels takes."""
        batches = -(-n_pixels // self.batch_size)
        return min(batches, self.max_steps_per_epoch) if self.max_steps_per_epoch > 0 else batches


def learning_rate_at(step: int, steps_per_epoch: int, options: FitOptions) -> float:
    """Linear warm-up, then cosine from ``learning_rate`` to ``final_learning_rate``; ``step`` counts from 0."""
    warmup = options.warmup_epochs * steps_per_epoch
    total = options.epochs * steps_per_epoch
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, total - 1 - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return options.final_learning_rate + (options.learning_rate - options.final_learning_rate) * cosine
