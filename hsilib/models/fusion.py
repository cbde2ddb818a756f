"""Temperature-guided fusion of the two branches (description, A5) and what it is compared with.

Contents: `TemperatureFusion`, `ConcatenationFusion`, `FUSIONS`, `create_fusion`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from hsilib.errors import unknown_name
from hsilib.models.pointwise import Pointwise


class TemperatureFusion(nn.Module):
    """D = Conv(branch); P = σ(Conv([D_spec, D_spat] / max(T, 0.1))); F = Conv([D_spec, D_spat, P]).

    T is one learned scalar that starts at 1. The description reads P as a probability and hence as
    uncertainty; it is a gate of ``width`` numbers between 0 and 1, and the book tests that reading.

    Parameters
    ----------
    spectral_width, spatial_width : channels that come in. width : channels of D, P and F.
    learned : whether T is learned; if not, it stays 1, and with it all temperature is gone.
    """

    SMALLEST_TEMPERATURE = 0.1

    def __init__(self, spectral_width: int, spatial_width: int, width: int = 128, learned: bool = True) -> None:
        super().__init__()
        self.spectral = Pointwise(spectral_width, width)
        self.spatial = Pointwise(spatial_width, width)
        self.temperature: torch.Tensor
        if learned:
            self.temperature = nn.Parameter(torch.ones(()))
        else:
            self.register_buffer("temperature", torch.ones(()))
        self.probability = Pointwise(2 * width, width)
        self.combine = Pointwise(3 * width, width)

    def forward(self, spectral: torch.Tensor, spatial: torch.Tensor) -> torch.Tensor:
        """(N, spectral_width, H, W) and (N, spatial_width, H, W) → F, (N, width, H, W)."""
        branches = torch.cat([self.spectral(spectral), self.spatial(spatial)], dim=1)
        temperature = self.temperature.clamp(min=self.SMALLEST_TEMPERATURE)
        probability = torch.sigmoid(self.probability(branches / temperature))
        return self.combine(torch.cat([branches, probability], dim=1))


class ConcatenationFusion(nn.Module):
    """F = Conv([D_spec, D_spat]): the same two projections, no temperature and no gate P.

    Parameters
    ----------
    spectral_width, spatial_width : channels that come in. width : channels of D and F.
    """

    def __init__(self, spectral_width: int, spatial_width: int, width: int = 128) -> None:
        super().__init__()
        self.spectral = Pointwise(spectral_width, width)
        self.spatial = Pointwise(spatial_width, width)
        self.combine = Pointwise(2 * width, width)

    def forward(self, spectral: torch.Tensor, spatial: torch.Tensor) -> torch.Tensor:
        """(N, spectral_width, H, W) and (N, spatial_width, H, W) → F, (N, width, H, W)."""
        return self.combine(torch.cat([self.spectral(spectral), self.spatial(spatial)], dim=1))


FUSIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "temperature": TemperatureFusion,
    "fixed-temperature": partial(TemperatureFusion, learned=False),
    "concatenation": ConcatenationFusion,
}


def create_fusion(name: str, spectral_width: int, spatial_width: int, width: int) -> nn.Module:
    """The fusion of that name.

    Raises
    ------
    InputError : a name that is not in ``FUSIONS``.
    """
    if name not in FUSIONS:
        raise unknown_name("fusion", name, FUSIONS)
    return FUSIONS[name](spectral_width, spatial_width, width)
