"""Layers that several convolutional peers share. Lists of layers, where there were such: names in files stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Size3d = tuple[int, int, int]


def conv_norm_relu(
    n_in: int, n_out: int, kernel: Size3d, stride: Size3d = (1, 1, 1), padding: Size3d = (0, 0, 0)
) -> list[nn.Module]:
    """A 3-D convolution, batch norm, ReLU."""
    return [nn.Conv3d(n_in, n_out, kernel, stride, padding), nn.BatchNorm3d(n_out), nn.ReLU()]


class ResidualBlock(nn.Module):
    """Batch norm, ReLU, convolution, twice; what comes in is added. Padded, so that sizes stay.

    Parameters
    ----------
    width : channels. kernel : odd sizes. activated : the input is normalised and rectified already.
    """

    def __init__(self, width: int, kernel: Size3d, activated: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *([] if activated else [nn.BatchNorm3d(width), nn.ReLU()]),
            nn.Conv3d(width, width, kernel, padding="same"),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.Conv3d(width, width, kernel, padding="same"),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width, …) → the same shape."""
        return x + self.layers(x)


def hybridsn_volumes() -> nn.Sequential:
    """HybridSN's three unpadded convolutions: (N, 1, bands, H, W) → (N, 32, bands − 12, H − 6, W − 6)."""
    return nn.Sequential(
        nn.Conv3d(1, 8, (7, 3, 3)),
        nn.ReLU(),
        nn.Conv3d(8, 16, (5, 3, 3)),
        nn.ReLU(),
        nn.Conv3d(16, 32, (3, 3, 3)),
        nn.ReLU(),
    )


def bands_into_channels(volumes: torch.Tensor) -> torch.Tensor:
    """(N, C, bands, H, W) → (N, bands · C, H, W), bands before filters: the next weights see the first bands first."""
    return volumes.transpose(1, 2).flatten(1, 2)


def draw_he_weights(network: nn.Module, draw: Callable[[torch.Tensor], torch.Tensor] = nn.init.kaiming_normal_) -> None:
    """He's initial weights in every convolution that ``network`` has so far, and biases of 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            draw(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
