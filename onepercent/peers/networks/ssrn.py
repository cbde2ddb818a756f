"""`ssrn`: residual blocks along the spectrum, then across the space."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_numbers
from onepercent.peers.networks.layers import ResidualBlock, conv_norm_relu, draw_he_weights
from onepercent.peers.networks.shared_convolutions import SharedConvolutionNetwork

SPECTRAL, SPATIAL = (1, 1, 7), (3, 3, 1)
WIDTH, SPECTRAL_WIDTH = 24, 128


class SSRN(SharedConvolutionNetwork):
    """Zhong, Li, Luo, Chapman (2018), Spectral–Spatial Residual Network for Hyperspectral Image Classification:
    A 3-D Deep Learning Framework, IEEE TGRS, doi:10.1109/TGRS.2017.2755542.

    Their figures 5 to 7, for 7 × 7 patches of 200 bands: 24 filters over seven bands with stride 2 (97 places left),
    two spectral residual blocks of two such layers each, 128 filters over all 97 places, 24 filters of 3 × 3 × 128,
    two spatial residual blocks of 3 × 3, the mean over the 5 × 5 left, dropout 0.5, the classes. Batch norm and ReLU
    before each convolution inside a block (their equations 1 and 2) and after the others, He's initial weights, as
    in the authors' code. The spectral half works pixel by pixel, so a scene shares it between its patches.

    Parameters for 200 bands, 16 classes: 364,168. The paper's figure is not known to us.

    Deviations: their code normalises twice in a row at the end of each half, we do once; batch norm has PyTorch's
    settings. Their code lays 1e-4 of the squared weights upon the loss; the recipe's weight decay stands for it.

    Parameters
    ----------
    dropout : 0.5 in the authors' code. The others are those of `Network`.
    """

    name = "ssrn"
    least_patch = 3
    least_inputs = 7
    shrink = 2

    def __init__(
        self, n_bands: int, n_classes: int, patch_size: int = 7, components: int = 0, dropout: float = 0.5
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_numbers(least=0, below=1, dropout=dropout)
        places = (self.n_inputs - 7) // 2 + 1
        # The spectrum is the last axis, as in memory: a CPU convolves along it faster than when it comes first.
        self.spectral = nn.Sequential(
            *conv_norm_relu(1, WIDTH, SPECTRAL, stride=(1, 1, 2)),
            ResidualBlock(WIDTH, SPECTRAL, activated=True),
            ResidualBlock(WIDTH, SPECTRAL),
            nn.BatchNorm3d(WIDTH),
            nn.ReLU(),
            *conv_norm_relu(WIDTH, SPECTRAL_WIDTH, (1, 1, places)),
        )
        self.reduction = nn.Sequential(*conv_norm_relu(SPECTRAL_WIDTH, WIDTH, SPATIAL))
        self.spatial = nn.Sequential(
            ResidualBlock(WIDTH, SPATIAL, activated=True),
            ResidualBlock(WIDTH, SPATIAL),
            nn.BatchNorm3d(WIDTH),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        draw_he_weights(self)
        self.n_features = WIDTH
        self.reset_head(n_classes)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, H, W) prepared values → (N, 24, H − 2, W − 2)."""
        cubes = x.permute(0, 2, 3, 1)[:, None]  # (N, 1, H, W, bands)
        return self.reduction(self.spectral(cubes)).squeeze(4)

    def encode_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, 24, P − 2, P − 2) → (N, 24)."""
        return self.dropout(self.spatial(maps[..., None]).mean(dim=(2, 3, 4)))
