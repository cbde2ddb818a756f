"""`spectralformer`: a transformer over the bands, each token a group of neighbouring bands of the whole patch."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_at_least, check_numbers
from hsilib.errors import InputError
from onepercent.peers.networks.checks import check_heads
from onepercent.peers.networks.patch_network import PatchNetwork
from onepercent.peers.networks.transformer import EncoderBlock


class SpectralFormer(PatchNetwork):
    """Group-wise spectral embedding (GSE) and cross-layer adaptive fusion (CAF), the patch-wise variant.

    Hong, Han, Yao, Gao, Zhang, Plaza and Chanussot (2022), SpectralFormer: Rethinking Hyperspectral Image
    Classification With Transformers, IEEE TGRS 60, doi:10.1109/TGRS.2021.3130716, sections II-B (GSE) and II-C
    (CAF). Token i holds the patches of the bands i − 1, i and i + 1, embedded linearly; the last band is the
    first one's neighbour, as in the authors' public code. Before the third and every later block, a token is mixed
    with the tokens of two blocks before.

    - CAF: the paper writes a weight of two numbers; the public code, which its results come from, has a
      convolution with the tokens as channels, so that each new token is a weighted sum of all tokens of both blocks. So
      here.
    - Bands are standardised here (each to mean 0, variance 1); the public code scales them to 0…1.
    - Random initial values are PyTorch's and, for positions and class token, standard normal, as in the code.

    Parameters: 355,577 for 200 bands and 16 classes, two thirds of them in CAF; the published count is not known
    to us.

    Parameters
    ----------
    patch_size : 1 is the pixel-wise variant. group : bands a token holds, odd; 3 is the paper's best for patches.
    width, depth, heads, hidden : of the encoder: 64 numbers a token, 5 blocks, 4 heads, perceptrons of 8.
    dropout : after the embedding and within the blocks. The others are those of `Network`.

    Raises
    ------
    InputError : also an even group.
    """

    name = "spectralformer"

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 7,
        components: int = 0,
        group: int = 3,
        width: int = 64,
        depth: int = 5,
        heads: int = 4,
        hidden: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, group=group, depth=depth, hidden=hidden)
        if group % 2 == 0:
            raise InputError(f"group is {group}; expected an odd number of bands.")
        check_heads(width, heads)
        check_numbers(least=0, below=1, dropout=dropout)
        self.require_inputs(group)
        n_tokens = self.n_inputs + 1
        self.shifts = range(group // 2, -(group // 2) - 1, -1)
        self.embedding = nn.Linear(group * patch_size**2, width)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, n_tokens, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([EncoderBlock(width, heads, hidden, dropout, bias=False) for _ in range(depth)])
        self.fusions = nn.ModuleList([nn.Linear(2 * n_tokens, n_tokens) for _ in range(depth - 2)])
        self.norm = nn.LayerNorm(width)
        self.n_features = width
        self.reset_head(n_classes)

    def group_bands(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, P, P) → (N, C, group · P²): each band's patch between those of its neighbours, in a circle."""
        bands = x.flatten(2)
        return torch.cat([bands.roll(shift, dims=1) for shift in self.shifts], dim=2)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, width), the class token of the last block."""
        z = self.embedding(self.group_bands(x))
        z = torch.cat([self.class_token.expand(len(z), -1, -1), z], dim=1) + self.positions
        z = self.dropout(z)
        outputs: list[torch.Tensor] = []
        for number, block in enumerate(self.blocks):
            outputs.append(z)
            if number >= 2:
                # token by token, this block's and the earlier one's beside each other
                both = torch.stack([z, outputs[number - 2]], dim=2).flatten(1, 2)
                z = self.fusions[number - 2](both.transpose(1, 2)).transpose(1, 2)
            z = block(z)
        return self.norm(z[:, 0])
