"""The two encoders of the dual-branch model (description, A3), written so that patches and whole scenes agree.

Both take a window larger than their output: an input of (H + P − 1) × (W + P − 1) pixels gives an
output of H × W, each output pixel a function of its own P × P patch alone. A patch is the case
H = W = 1. That holds because only pointwise operations, unpadded convolutions and box means are
used; nothing is padded inside.

Contents: `box_mean`, `SpectralEncoder`, `SpatialEncoder`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from hsilib.models.attention_controls import create_attention
from hsilib.models.pointwise import Pointwise


def box_mean(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over every ``size`` × ``size`` window: (N, C, H, W) → (N, C, H − size + 1, W − size + 1).

    The "global average pooling" of a patch is this mean at the patch's centre. Two one-dimensional
    means cost 2 · size additions a pixel instead of size².
    """
    return avg_pool2d(avg_pool2d(x, (size, 1), stride=1), (1, size), stride=1)


class SpectralEncoder(nn.Module):
    """Spectrum by spectrum: two Conv1d over the bands, pooled over the patch, then attention.

    A Conv1d with the bands as input channels and kernel 1 sees one pixel's spectrum at a time, so
    it is a 1 × 1 convolution here. The description leaves open over which axis is pooled. We pool
    over the patch, which makes the features "global" as it calls them. Gating the centre pixel's own
    features instead, alone or added to the mean, was less accurate on the validation pixels.

    Parameters
    ----------
    n_bands : S. width : number of features (160 in the description). patch_size : P, odd.
    attention : a name of ``ATTENTIONS``.
    """

    def __init__(self, n_bands: int, width: int = 160, patch_size: int = 15, attention: str = "quantum") -> None:
        super().__init__()
        self.width, self.patch_size = width, patch_size
        self.pixelwise = nn.Sequential(
            Pointwise(n_bands, width, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            Pointwise(width, width, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.attention = create_attention(attention, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) standardised spectra → (N, width, H, W)."""
        return self.attention(box_mean(self.pixelwise(x), self.patch_size))

    def forward_pixelwise(self, x: torch.Tensor) -> torch.Tensor:
        """The same without pooling, every pixel from its own spectrum alone: (N, S, H, W) → (N, width, H, W)."""
        return self.attention(self.pixelwise(x))


class SpatialEncoder(nn.Module):
    """Shapes and textures: two unpadded 3 × 3 convolutions, pooled over the patch, then attention.

    Parameters
    ----------
    n_bands : S. width : number of features (96 in the description; the first convolution has half).
    patch_size : P, odd and at least 5, so that the convolutions leave something to pool.
    attention : a name of ``ATTENTIONS``.
    """

    def __init__(self, n_bands: int, width: int = 96, patch_size: int = 15, attention: str = "quantum") -> None:
        super().__init__()
        self.width, self.pooled_size = width, patch_size - 4
        self.windows = nn.Sequential(
            nn.Conv2d(n_bands, width // 2, 3, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.SiLU(),
            nn.Conv2d(width // 2, width, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.attention = create_attention(attention, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) standardised spectra → (N, width, H, W)."""
        return self.attention(box_mean(self.windows(x), self.pooled_size))
