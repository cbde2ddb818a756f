"""`hybridsn`: three-dimensional convolutions, then one over the space, on principal components."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_numbers
from hsilib.model.network import Network
from onepercent.peers.networks.layers import bands_into_channels, hybridsn_volumes


class HybridSN(Network):
    """Roy, Krishna, Dubey, Chaudhuri (2020), HybridSN: Exploring 3-D–2-D CNN Feature Hierarchy for Hyperspectral
    Image Classification, IEEE GRSL, doi:10.1109/LGRS.2019.2918719.

    Their table I: 8 filters of 3 × 3 × 7, 16 of 3 × 3 × 5, 32 of 3 × 3 × 3 (the last number counts components), the
    spectral places laid into the channels, 64 filters of 3 × 3, flattening, 256 and 128 hidden units with dropout
    0.4; no padding anywhere, ReLU throughout. The first hidden layer is written as a convolution as large as what is
    left of a patch, the same sum, so that a scene takes one dense pass.

    Parameters for 30 components, 25 × 25, 16 classes: 5,122,176, as they state.

    Deviations: initial weights are PyTorch's, theirs Keras's; a scene's border is mirrored, theirs filled with 0.

    Parameters
    ----------
    components : 30 for Indian Pines, 15 for the other scenes in the paper. dropout : 0.4 in the paper. The others are
        those of `Network`.
    """

    name = "hybridsn"
    least_patch = 9
    least_inputs = 13

    def __init__(
        self, n_bands: int, n_classes: int, patch_size: int = 25, components: int = 0, dropout: float = 0.4
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_numbers(least=0, below=1, dropout=dropout)
        self.cubes = hybridsn_volumes()
        self.planes = nn.Sequential(nn.Conv2d(32 * (self.n_inputs - 12), 64, 3), nn.ReLU())
        self.hidden = nn.Sequential(
            nn.Conv2d(64, 256, patch_size - 8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(256, 128, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.n_features = 128
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, 128, H, W)."""
        maps = bands_into_channels(self.cubes(self.prepare(x)[:, None]))
        return self.hidden(self.planes(maps))
