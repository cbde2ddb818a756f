"""Losses of the description: adaptive focal loss, label smoothing, class weights, warm-up curriculum.

Targets are probabilities (N, K), so that smoothed and mixed labels need no second code path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import log_softmax

from hsilib.checks import check_name, check_numbers

LOSSES = ("cross-entropy", "focal")
LARGEST_CLASS_WEIGHT = 10.0
SMALLEST_GAMMA = 1.0
GAMMA_DECAY = 0.99
GAMMA_DECAY_STEPS = 100
CONFIDENT = 0.7  # a sample whose label has more than this probability counts more …
CONFIDENCE_FACTOR = 0.1  # … by this share, while the warm-up curriculum lasts


@dataclass(frozen=True)
class LossOptions:
    """Settings of the loss; the defaults are plain cross-entropy.

    Attributes
    ----------
    name : ``cross-entropy`` or ``focal``.
    alpha, gamma : the focal loss's factor and the exponent that it starts with (1.2 and 2.2 in the description).
    label_smoothing : share of a label that is spread over all classes (0.12).
    class_weights : weigh rare classes up.
    """

    name: str = "cross-entropy"
    alpha: float = 1.2
    gamma: float = 2.2
    label_smoothing: float = 0.0
    class_weights: bool = False

    def __post_init__(self) -> None:
        check_name("fit.loss.name", self.name, LOSSES)
        check_numbers("fit.loss.", above=0, alpha=self.alpha)
        check_numbers("fit.loss.", least=SMALLEST_GAMMA, gamma=self.gamma)  # where `gamma_at` ends
        check_numbers("fit.loss.", least=0, below=1, label_smoothing=self.label_smoothing)


def class_weights(train_labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    """w_c = sqrt(N / (C · n_c)), at most 10, from the labels (1…K) of the training pixels alone.

    C is K. A class without a training pixel weighs 0: it has no sample to weigh, and with the largest weight the
    share of each label that smoothing gives it would pull at every sample.
    """
    counts = np.bincount(train_labels, minlength=n_classes + 1)[1:]
    with np.errstate(divide="ignore"):
        weights = np.sqrt(train_labels.size / (n_classes * counts.astype(np.float64)))
    return np.where(counts > 0, np.minimum(weights, LARGEST_CLASS_WEIGHT), 0).astype(np.float32)


def weights_for(train_labels: NDArray[np.int64], n_classes: int, options: LossOptions) -> torch.Tensor:
    """(K,) `class_weights` if ``options`` asks for them, else ones."""
    return torch.from_numpy(class_weights(train_labels, n_classes)) if options.class_weights else torch.ones(n_classes)


def smooth(targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Move the share ``smoothing`` of each row of probabilities (N, K) evenly to all classes."""
    return targets * (1 - smoothing) + smoothing / targets.shape[1]


def gamma_at(step: int, gamma: float) -> float:
    """γ = max(1, γ₀ · 0.99^(step / 100)): the focus on hard samples fades."""
    return max(SMALLEST_GAMMA, gamma * GAMMA_DECAY ** (step / GAMMA_DECAY_STEPS))


def focal_loss(
    logits: torch.Tensor, targets: torch.Tensor, alpha: float, gamma: float, weights: torch.Tensor
) -> torch.Tensor:
    """−α Σ_c q_c w_c (1 − p_c)^γ log p_c of each sample (Lin et al., ICCV 2017, equation 5, for soft targets q).

    With a hard label this is −α w_t (1 − p_t)^γ log p_t; with γ = 0 and α = 1 the weighted cross-entropy.

    Parameters
    ----------
    logits, targets : (N, K). weights : (K,).

    Returns
    -------
    (N,), not averaged.
    """
    log_p = log_softmax(logits.float(), dim=1)
    modulation = (1 - log_p.exp()).clamp(min=0) ** gamma if gamma > 0 else 1.0
    return -alpha * (targets * weights * modulation * log_p).sum(dim=1)


def sample_losses(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, options: LossOptions, step: int
) -> torch.Tensor:
    """The chosen loss of each sample at optimiser step ``step`` (from 0), (N,)."""
    if options.name == "cross-entropy":
        return focal_loss(logits, targets, 1.0, 0.0, weights)
    return focal_loss(logits, targets, options.alpha, gamma_at(step, options.gamma), weights)


def confidence_weighted_mean(losses: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of ``losses`` (N,) plus 0.1 · confidence loss: what the warm-up curriculum makes of a batch.

    The description says: over the first 20 epochs samples with a confidence above 0.7 count more, and the loss is
    "base + 0.1 · confidence loss"; the confidence loss itself is left open. Our reading: the confidence of a sample
    is the probability that the model gives to its label, which is small for a sample it is sure of and wrong about;
    the confidence loss is the base loss summed over the confident samples, divided by the size of the batch. So a
    confident sample has weight 1.1 and every other 1.

    Parameters
    ----------
    logits : (N, K). targets : (N, K) labels as probabilities, before any smoothing; the confidence in a
        mixed label is the weighted mean over its parts.
    """
    confidence = (logits.detach().float().softmax(dim=1) * targets).sum(dim=1)
    confident = (confidence > CONFIDENT).to(losses.dtype)
    return (losses * (1 + CONFIDENCE_FACTOR * confident)).mean()
