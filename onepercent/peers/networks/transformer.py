"""The transformer encoder that several peers share: pre-norm attention and a small perceptron, each with a shortcut.

Reference: Vaswani et al. (2017), Attention Is All You Need, arXiv:1706.03762; pre-norm as in Dosovitskiy et al.
(2021), An Image is Worth 16x16 Words, arXiv:2010.11929.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class EncoderBlock(nn.Module):
    """z ← z + Attention(Norm(z)), then z ← z + MLP(Norm(z)): (N, L, width) → (N, L, width).

    Parameters
    ----------
    width : numbers a token, a multiple of ``heads``. heads : attention heads of width / heads numbers each.
    hidden : width of the perceptron. dropout : after the attention and after both layers of the perceptron.
    bias : whether queries, keys and values have one.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.1, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=bias)
        self.joined = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(dropout),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(N, L, width) tokens → (N, L, width)."""
        split = self.queries_keys_values(self.attention_norm(z)).unflatten(2, (3, self.heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)  # each (N, heads, L, width / heads)
        mixed = scaled_dot_product_attention(queries, keys, values)
        z = z + self.joined(mixed.transpose(1, 2).flatten(2))
        return z + self.perceptron(z)
