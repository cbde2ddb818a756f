"""The warm-up curriculum (description, A7): while it lasts, samples that the model is sure of count more.

The description says: over the first 20 epochs samples with a confidence above 0.7 count more, and the
loss is "base + 0.1 · confidence loss"; the confidence loss itself is left open. Our reading: the confidence
of a sample is the probability that the model gives to its label, which is small for a sample it is
sure of and wrong about; the confidence loss is the base loss summed over the confident samples,
divided by the size of the batch. So a confident sample has weight 1.1 and every other weight 1.

Contents: `with_confidence_loss`.
"""

from __future__ import annotations

import torch

CONFIDENT = 0.7
CONFIDENCE_FACTOR = 0.1


def with_confidence_loss(losses: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of ``losses`` (N,) plus 0.1 · confidence loss.

    Parameters
    ----------
    logits : (N, K). targets : (N, K) labels as probabilities, before any smoothing; the confidence in a
        mixed label is the weighted mean over its parts.
    """
    confidence = (logits.detach().float().softmax(dim=1) * targets).sum(dim=1)
    confident = (confidence > CONFIDENT).to(losses.dtype)
    return (losses * (1 + CONFIDENCE_FACTOR * confident)).mean()
