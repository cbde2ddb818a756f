"""`wavemamba`: Haar wavelets split the tokens of a patch into means and differences, a state-space scan reads them."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_at_least
from onepercent.peers.networks.haar import haar, haar_2d
from onepercent.peers.networks.patch_network import PatchNetwork
from onepercent.peers.networks.selective_scan import SelectiveStateSpace
from onepercent.peers.networks.spectral_spatial_tokens import SpectralSpatialTokens


class WaveMamba(PatchNetwork):
    """Spatial–spectral wavelet Mamba.

    Ahmad, Usama, Mazzara and Distefano (2024), WaveMamba: Spatial-Spectral Wavelet Mamba for Hyperspectral
    Image Classification, IEEE GRSL; preprint arXiv:2408.01231. Re-implemented from the description: spectral and
    spatial tokens, gates from the centre pixel, a Haar transform of both, a state-space model over the sub-bands.
    Details that the paper leaves open, or that we could not read, are ours; sizes in brackets are the authors'
    public notebook's:

    - 15 principal components [15]; patches of 5 × 5, the next odd size [4]; 64 numbers a token [64];
    - spatial tokens are laid out as the patch and transformed along rows and columns, spectral ones along the
      bands. The notebook transforms the table of tokens and features, so that it pairs neighbouring features,
      which have no order;
    - the sub-bands of a place become one token again by a linear map; the scan reads the spatial tokens row by
      row, then the spectral ones;
    - the state-space model is Mamba's block with 16 states a channel and a shortcut; the mean over the tokens is
      classified. The notebook has no selective scan: its state is ReLU(W h + w) + ReLU(U x + u) with a
      dense, fixed W of 128 × 128, and it classifies the last state.

    Parameters: 69,648 for 15 components and 16 classes; the notebook prints 61,711 for 15.

    Parameters
    ----------
    width : numbers a token. state : numbers a channel of the scan remembers. The others are those of `Network`.
    """

    name = "wavemamba"
    least_patch = 3
    least_inputs = 2

    def __init__(
        self, n_bands: int, n_classes: int, patch_size: int = 5, components: int = 0, width: int = 64, state: int = 16
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, width=width, state=state)
        self.tokens = SpectralSpatialTokens(self.n_inputs, patch_size, width)
        self.join_spatial = nn.Linear(4 * width, width)
        self.join_spectral = nn.Linear(2 * width, width)
        self.scan_norm = nn.LayerNorm(width)
        self.scan = SelectiveStateSpace(width, state)
        self.norm = nn.LayerNorm(width)
        self.n_features = width
        self.reset_head(n_classes)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, width)."""
        spatial, spectral = self.tokens(x)
        maps = haar_2d(spatial.transpose(1, 2).unflatten(2, x.shape[2:]))  # (N, 4, width, h, w)
        places = self.join_spatial(maps.flatten(1, 2).flatten(2).transpose(1, 2))
        bands = self.join_spectral(torch.cat(haar(spectral, 1), dim=2))
        z = self.scan_norm(torch.cat([places, bands], dim=1))
        return self.norm(z + self.scan(z)).mean(dim=1)
