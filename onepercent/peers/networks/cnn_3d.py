"""`cnn-3d`: three-dimensional convolutions only, on small patches."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import unfold

from hsilib.checks import check_at_least
from hsilib.model.network import Network
from onepercent.peers.networks.layers import bands_into_channels, draw_he_weights


class Cnn3d(Network):
    """Ben Hamida, Benoit, Lambert, Ben Amar (2018), 3-D Deep Learning Approach for Remote Sensing Image
    Classification, IEEE TGRS, doi:10.1109/TGRS.2018.2818945.

    Their network for 5 × 5 patches: 3 × 3 × 3 (20 filters), "pooling" by a convolution over three bands with
    stride 2 (20), both once more with 35 filters, then two spectral convolutions of three and of two bands (35, the
    second with stride 2), and one linear layer on all that is left. ReLU after each. The space is never padded and
    the spectrum is, by one band, everywhere but in the first layer; the paper does not say, the toolbox DeepHyperX
    does so, and draws He's initial weights, as we do but for the last layer. A scene takes one dense pass.

    Deviations: none known to us beyond those choices. Parameters for 200 bands, 16 classes: 45,196; theirs: not
    known to us.

    Parameters
    ----------
    patch_size : above 5 the last layer sees all (P − 4)² places.
    width, wide : filters of the first pair of layers and of the others; 20 and 35 in the paper. The others are those
        of `Network`.
    """

    name = "cnn-3d"
    least_patch = 5
    least_inputs = 3

    def __init__(
        self, n_bands: int, n_classes: int, patch_size: int = 5, components: int = 0, width: int = 20, wide: int = 35
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, width=width, wide=wide)
        self.layers = nn.Sequential(
            nn.Conv3d(1, width, 3),
            nn.ReLU(),
            nn.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0)),
            nn.ReLU(),
            nn.Conv3d(width, wide, 3, padding=(1, 0, 0)),
            nn.ReLU(),
            nn.Conv3d(wide, wide, (3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0)),
            nn.ReLU(),
            nn.Conv3d(wide, wide, (3, 1, 1), padding=(1, 0, 0)),
            nn.ReLU(),
            nn.Conv3d(wide, wide, (2, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0)),
            nn.ReLU(),
        )
        draw_he_weights(self)
        halved = (self.n_inputs - 1) // 2  # of S − 2 bands, rounded up
        self.n_features = ((halved + 1) // 2 // 2 + 1) * wide * (patch_size - 4) ** 2
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, n_features, H, W)."""
        maps = bands_into_channels(self.layers(self.prepare(x)[:, None]))
        size = self.patch_size - 4
        height, width = maps.shape[2] - size + 1, maps.shape[3] - size + 1
        return maps if size == 1 else unfold(maps, size).unflatten(2, (height, width))
