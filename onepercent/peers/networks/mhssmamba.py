"""`mhssmamba`: spatial tokens look at spectral tokens, then a selective state-space scan reads them in order."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_at_least
from onepercent.peers.networks.checks import check_heads
from onepercent.peers.networks.patch_network import PatchNetwork
from onepercent.peers.networks.selective_scan import SelectiveStateSpace
from onepercent.peers.networks.spectral_spatial_tokens import SpectralSpatialTokens


class MHSSMamba(PatchNetwork):
    """Multi-head spatial–spectral Mamba.

    Ahmad, Butt, Usama, Altuwaijri, Mazzara, Distefano and Khan (2025), Multi-head spatial-spectral mamba for
    hyperspectral image classification, Remote Sensing Letters 16(4), doi:10.1080/2150704X.2025.2461330;
    preprint arXiv:2408.01224. Re-implemented from the description: spectral and spatial tokens, enhanced by
    gates from the centre pixel, multi-head attention between them, a state-space model over the result. Details
    that the paper leaves open, or that we could not read, are ours; sizes in brackets are the authors' public
    notebook's and result files':

    - 15 principal components [15]; patches of 9 × 9, the next odd size [8]; 64 numbers a token [64], 4 heads [4];
    - spatial tokens are the queries, spectral ones keys and values [so]; a shortcut and LayerNorm follow [none];
    - the state-space model is Mamba's block with 16 states a channel, over the pixels row by row, with a shortcut;
      the mean over the pixels is classified. The notebook has no selective scan: its state is
      W h + U x + b with dense, fixed W of 128 × 128, and it classifies the last state;
    - no dropout [0.1 on the attention's output].

    Parameters: 65,168 for 15 components and 16 classes; the notebook's model summary prints 48,841 for 9.

    The description quotes 98.56 / 98.54 for Pavia University / Salinas; the preprint's abstract says
    97.62 / 96.85.

    Parameters
    ----------
    width, heads : of the tokens and their attention. state : numbers a channel of the scan remembers. The others are
        those of `Network`.
    """

    name = "mhssmamba"
    least_patch = 3
    least_inputs = 2

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 9,
        components: int = 0,
        width: int = 64,
        heads: int = 4,
        state: int = 16,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_heads(width, heads)
        check_at_least(1, state=state)
        self.tokens = SpectralSpatialTokens(self.n_inputs, patch_size, width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.scan_norm = nn.LayerNorm(width)
        self.scan = SelectiveStateSpace(width, state)
        self.norm = nn.LayerNorm(width)
        self.n_features = width
        self.reset_head(n_classes)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, width)."""
        spatial, spectral = self.tokens(x)
        attended, _ = self.attention(spatial, spectral, spectral, need_weights=False)
        z = self.scan_norm(spatial + attended)
        return self.norm(z + self.scan(z)).mean(dim=1)
