"""Which pixels the self-supervised stages learn from."""

from __future__ import annotations

import numpy as np
import torch

from hsilib.data.splits import Split

SAMPLED_SHARE = 0.05
FEWEST_SAMPLES, MOST_SAMPLES = 1000, 3000
LABELLED_SHARE = 0.7
HELD_OUT = 256


def sample_count(n_pixels: int) -> int:
    """5 % of the pixels, at least 1000 and at most 3000: how we scale "1,000–3,000 samples by scene size"."""
    return min(max(round(SAMPLED_SHARE * n_pixels), FEWEST_SAMPLES), MOST_SAMPLES)


def draw_samples(split: Split, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of the samples and of 256 other pixels to measure on, both 70 % labelled.

    Labelled are the training, validation and test positions of the split. Where one kind runs out, the
    other fills up. A scene that is too small for all gives a fifth of its pixels to measure on and the
    rest as samples. The patches of the held-out pixels overlap those of the samples.
    """
    n_pixels = split.shape[0] * split.shape[1]
    labelled = np.unique(np.concatenate([split.train, split.val, split.test]))
    kinds = [torch.from_numpy(labelled), torch.from_numpy(np.setdiff1d(np.arange(n_pixels), labelled))]
    kinds = [kind[torch.randperm(len(kind), generator=generator)] for kind in kinds]
    n_held_out = min(HELD_OUT, n_pixels // 5)
    samples, kinds = _take(kinds, min(sample_count(n_pixels), n_pixels - n_held_out))
    held_out, _ = _take(kinds, n_held_out)
    return samples, held_out


def _take(kinds: list[torch.Tensor], wanted: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The first of each kind, 70 % of them labelled while there are enough, and what is left of each kind."""
    labelled, unlabelled = kinds
    n_labelled = min(round(LABELLED_SHARE * wanted), len(labelled))
    n_unlabelled = min(wanted - n_labelled, len(unlabelled))
    n_labelled = wanted - n_unlabelled
    taken = torch.cat([labelled[:n_labelled], unlabelled[:n_unlabelled]])
    return taken, [labelled[n_labelled:], unlabelled[n_unlabelled:]]
