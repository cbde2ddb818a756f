"""Temperature-guided fusion of the two branches (METHOD A5).

Contents: `TemperatureFusion`.
"""

from __future__ import annotations

import torch
from torch import nn


class TemperatureFusion(nn.Module):
    """D = Conv(branch); P = σ(Conv([D_spec, D_spat] / max(T, 0.1))); F = Conv([D_spec, D_spat, P]).

    T is one learned scalar that starts at 1. The description reads P as a probability and hence as
    uncertainty; it is a gate of ``width`` numbers between 0 and 1, and the book tests that reading.

    Parameters
    ----------
    spectral_width, spatial_width : channels that come in. width : channels of D, P and F.
    """

    SMALLEST_TEMPERATURE = 0.1

    def __init__(self, spectral_width: int, spatial_width: int, width: int = 128) -> None:
        super().__init__()
        self.spectral = nn.Conv2d(spectral_width, width, 1)
        self.spatial = nn.Conv2d(spatial_width, width, 1)
        self.temperature = nn.Parameter(torch.ones(()))
        self.probability = nn.Conv2d(2 * width, width, 1)
        self.combine = nn.Conv2d(3 * width, width, 1)

    def forward(self, spectral: torch.Tensor, spatial: torch.Tensor) -> torch.Tensor:
        """(N, spectral_width, H, W) and (N, spatial_width, H, W) → F, (N, width, H, W)."""
        branches = torch.cat([self.spectral(spectral), self.spatial(spatial)], dim=1)
        temperature = self.temperature.clamp(min=self.SMALLEST_TEMPERATURE)
        probability = torch.sigmoid(self.probability(branches / temperature))
        return self.combine(torch.cat([branches, probability], dim=1))
