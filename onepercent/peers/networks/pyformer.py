"""`pyformer`: a pyramid of resolutions, each with convolutions and a transformer of its own."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool3d

from hsilib.checks import check_at_least, check_numbers
from onepercent.peers.networks.checks import check_heads
from onepercent.peers.networks.patch_network import PatchNetwork
from onepercent.peers.networks.transformer import EncoderBlock


class PyFormer(PatchNetwork):
    """Pyramid hierarchical transformer.

    Ahmad, Butt, Mazzara and Distefano (2024), Pyramid Hierarchical Transformer for Hyperspectral Image
    Classification, arXiv:2404.14945, published as Pyramid Hierarchical Spatial-Spectral Transformer in IEEE JSTARS.
    Re-implemented from the description: input organised in levels of abstraction, 3-D convolutions and a dedicated
    transformer at each, the levels' outputs joined. Details that the paper leaves open, or that we could not read,
    are ours; sizes in brackets are the authors' public notebook's:

    - 15 principal components [15]; patches of 9 × 9, the next odd size [8]; 2 levels [2];
    - a level: two 3-D convolutions of 32 and 64 maps [32, 64] with ReLU. Kernels are 3 × 3 × 3 [1 × 8 × 8],
      which costs a fraction;
    - the next level gets the level's maps averaged over 2 × 2 × 2. The notebook halves nothing: each of its
      "levels" works at full resolution, one after the other;
    - a token is a pixel, all its bands and maps embedded linearly, plus a learned position; two encoder blocks of
      4 heads [2, 4]. The notebook attends over all 960 values of a volume and adds the input again after each
      block;
    - the means of the tokens of all levels, joined, go through one layer of 128 [128, after flattening]. Its L2
      penalty of 0.01 is left out.

    Parameters: 387,760 for 15 components and 16 classes; the notebook prints 16,680,533 for 15 classes, nearly all
    of them in the layer after flattening.

    The description quotes 96.28 / 97.36 for Pavia University / Salinas. The abstract gives the second number for
    another scene, University of Houston.

    Parameters
    ----------
    levels : of the pyramid. width, heads, hidden : of the transformers. dropout : within their blocks. The others are
        those of `Network`.
    """

    name = "pyformer"
    least_patch = 3

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 9,
        components: int = 0,
        levels: int = 2,
        width: int = 64,
        heads: int = 4,
        hidden: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, levels=levels, hidden=hidden)
        check_heads(width, heads)
        check_numbers(least=0, below=1, dropout=dropout)
        self.require_inputs(2 ** (levels - 1))
        bands, size = self.n_inputs, patch_size
        self.levels = nn.ModuleList()
        for level in range(levels):
            self.levels.append(_Level(64 if level else 1, bands, size, width, heads, hidden, dropout))
            bands, size = -(-bands // 2), -(-size // 2)
        self.n_features = 128
        self.joined = nn.Sequential(nn.Linear(levels * width, self.n_features), nn.ReLU())
        self.reset_head(n_classes)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, 128)."""
        volume, means = x[:, None], []
        for number, level in enumerate(self.levels):
            if number:
                volume = avg_pool3d(volume, 2, ceil_mode=True)
            volume, mean = level(volume)
            means.append(mean)
        return self.joined(torch.cat(means, dim=1))


class _Level(nn.Module):
    """One resolution: two 3-D convolutions, pixels as tokens, two encoder blocks."""

    def __init__(
        self, channels: int, bands: int, size: int, width: int, heads: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv3d(channels, 32, 3, padding=1), nn.ReLU(), nn.Conv3d(32, 64, 3, padding=1), nn.ReLU()
        )
        self.embedding = nn.Linear(64 * bands, width)
        self.positions = nn.Parameter(0.02 * torch.randn(1, size**2, width))
        self.blocks = nn.Sequential(*[EncoderBlock(width, heads, hidden, dropout) for _ in range(2)])
        self.norm = nn.LayerNorm(width)

    def forward(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, channels, bands, size, size) → the maps (N, 64, bands, size, size) and (N, width)."""
        volume = self.convolutions(volume)
        pixels = volume.permute(0, 3, 4, 2, 1).flatten(3).flatten(1, 2)  # in a token, the band is the slower index
        tokens = self.blocks(self.embedding(pixels) + self.positions)
        return volume, self.norm(tokens).mean(dim=1)
