"""`ssftt`: two convolutions, a few tokens that gather what belongs together, one transformer block."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_at_least, check_numbers
from onepercent.peers.networks.checks import check_heads
from onepercent.peers.networks.layers import bands_into_channels
from onepercent.peers.networks.shared_convolutions import SharedConvolutionNetwork
from onepercent.peers.networks.transformer import EncoderBlock


class SSFTT(SharedConvolutionNetwork):
    """Spectral–spatial feature tokenization transformer.

    Sun, Zhao, Zheng and Wu (2022), Spectral–Spatial Feature Tokenization Transformer for Hyperspectral Image
    Classification, IEEE TGRS 60, doi:10.1109/TGRS.2022.3144158: eight 3 × 3 × 3 convolutions, then 64 of 3 × 3
    over the joined maps, both with BatchNorm and ReLU and unpadded; the Gaussian-weighted tokenizer (section II-B);
    class token, positions and one encoder block (section II-C).

    The tokenizer: A = softmax over the patch's positions of X W_a, T = Aᵀ X W_v, with X the 81 positions' 64
    numbers each and W_a drawn from a normal distribution at the start, which is all that is Gaussian about it.
    W_v is the public code's; the paper's formula has T = Aᵀ X.

    - Attention is divided by the square root of a head's width, as in the paper's formula; the public code divides
      by that of the whole token's.
    - The classifier starts from PyTorch's initial values, W_a and W_v with Glorot's variance as in the code.

    The published setting is 30 principal components. Parameters there: 153,152 for 16 classes; the published
    count is not known to us.

    Parameters
    ----------
    tokens, width, heads, hidden : 4 tokens of 64 numbers, 8 heads, a perceptron of 8.
    dropout : after the positions and within the block. The others are those of `Network`.
    """

    name = "ssftt"
    least_patch = 5
    least_inputs = 3
    shrink = 4

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 13,
        components: int = 0,
        tokens: int = 4,
        width: int = 64,
        heads: int = 8,
        hidden: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, tokens=tokens, hidden=hidden)
        check_heads(width, heads)
        check_numbers(least=0, below=1, dropout=dropout)
        self.volumes = nn.Sequential(nn.Conv3d(1, 8, 3, bias=False), nn.BatchNorm3d(8), nn.ReLU())
        self.maps = nn.Sequential(nn.Conv2d(8 * (self.n_inputs - 2), 64, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.weigh = nn.Parameter(nn.init.xavier_normal_(torch.empty(64, tokens)))
        self.value = nn.Parameter(nn.init.xavier_normal_(torch.empty(64, width)))
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, tokens + 1, width))
        self.dropout = nn.Dropout(dropout)
        self.block = EncoderBlock(width, heads, hidden, dropout)
        self.n_features = width
        self.reset_head(n_classes)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, H, W) prepared values → (N, 64, H − 4, W − 4)."""
        return self.maps(bands_into_channels(self.volumes(x[:, None])))

    def tokenize(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, 64, h, w) → (N, tokens, width): each a weighted mean over the positions."""
        positions = maps.flatten(2)
        weights = (positions.transpose(1, 2) @ self.weigh).softmax(dim=1)
        return (positions @ weights).transpose(1, 2) @ self.value

    def encode_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, 64, P − 4, P − 4) → (N, width), the class token."""
        tokens = self.tokenize(maps)
        z = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        return self.block(self.dropout(z))[:, 0]
