"""A layer that sees one pixel at a time, as a matrix product.

Contents: `Pointwise`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear


class Pointwise(nn.Conv2d):
    """A 1 × 1 convolution, computed as the product of (pixels, channels) and its weights.

    Weights and results are those of `torch.nn.Conv2d`, the result to float precision. On maps of few pixels a
    convolution spends most of its time on the layout of its weights; on maps that are contiguous with channels
    last, as patches and scenes are here, the product needs no copy.

    Parameters
    ----------
    n_in, n_out : channels. bias : whether a constant is added.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True) -> None:
        super().__init__(n_in, n_out, 1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_in, H, W) → (N, n_out, H, W), channels last in memory."""
        return linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
