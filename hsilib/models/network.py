"""What every network has in common: standardisation at the entry, a head that can be replaced.

Contents: `Network`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hsilib.data.standardize import Standardizer


class Network(nn.Module):
    """Base of every network. A subclass sets ``n_features``, calls `reset_head`, writes `forward_features`.

    The scaling of the bands is part of the weights (two buffers), so that a saved model cannot be
    used without it.

    Attributes
    ----------
    n_bands, n_classes, patch_size : S, K, P.
    name, options : what `create_model` was called with; a checkpoint keeps them.
    n_features : channels that go into the head.
    """

    n_features: int
    name: str
    options: dict[str, Any]

    def __init__(self, n_bands: int, n_classes: int, patch_size: int) -> None:
        super().__init__()
        self.n_bands, self.n_classes, self.patch_size = n_bands, n_classes, patch_size
        self.band_mean: torch.Tensor
        self.band_scale: torch.Tensor
        self.register_buffer("band_mean", torch.zeros(n_bands))
        self.register_buffer("band_scale", torch.ones(n_bands))

    def set_standardizer(self, standardizer: Standardizer) -> None:
        """Make ``standardizer`` part of the weights."""
        self.band_mean.copy_(torch.from_numpy(standardizer.mean))
        self.band_scale.copy_(torch.from_numpy(standardizer.scale))

    def standardize(self, x: torch.Tensor) -> torch.Tensor:
        """Scale raw values (N, S, …, …)."""
        return (x - self.band_mean[:, None, None]) / self.band_scale[:, None, None]

    def reset_head(self, n_classes: int) -> None:
        """Replace the last layer by a fresh one for ``n_classes``: pre-train, then fine-tune."""
        self.n_classes = n_classes
        self.head = nn.Conv2d(self.n_features, n_classes, 1).to(self.band_mean.device)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, n_features, H, W)."""
        raise TypeError(f"{type(self).__name__} defines no forward_features.")

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        """(N, n_features, H, W) → class logits (N, K, H, W)."""
        return self.head(features)

    def forward_map(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → logits (N, K, H, W)."""
        return self.forward_head(self.forward_features(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, P, P) raw patches → logits (N, K)."""
        expected = (self.n_bands, self.patch_size, self.patch_size)
        if x.shape[1:] != expected:
            raise ValueError(f"patches have shape {tuple(x.shape)}; expected (N, {', '.join(map(str, expected))}).")
        return self.forward_map(x).flatten(1)
