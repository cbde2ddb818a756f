"""`ssrn`: residual blocks along the spectrum, then across the space."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_at_least, check_numbers
from onepercent.peers.networks.shared_convolutions import TrunkNetwork

SPECTRAL, SPATIAL = (1, 1, 7), (3, 3, 1)


class SSRN(TrunkNetwork):
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
    n_bands, n_classes : S and K.
    patch_size : P, odd, at least 3.
    components : principal components to work on; 0 works on all bands, as published. The least is 7.
    width, spectral_width : 24 and 128 in the paper.
    dropout : 0.5 in the authors' code.

    Raises
    ------
    InputError : an even or too small patch size, too few inputs, a width below 1, a dropout that is no probability
        below 1.
    """

    name = "ssrn"
    least_patch = 3
    least_inputs = 7
    shrink = 2

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 7,
        components: int = 0,
        width: int = 24,
        spectral_width: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, width=width, spectral_width=spectral_width)
        check_numbers(least=0, below=1, dropout=dropout)
        places = (self.n_inputs - 7) // 2 + 1
        # The spectrum is the last axis, as in memory: a CPU convolves along it faster than when it comes first.
        self.spectral = nn.Sequential(
            nn.Conv3d(1, width, SPECTRAL, stride=(1, 1, 2)),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            ResidualBlock(width, SPECTRAL, activated=True),
            ResidualBlock(width, SPECTRAL),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.Conv3d(width, spectral_width, (1, 1, places)),
            nn.BatchNorm3d(spectral_width),
            nn.ReLU(),
        )
        self.reduction = nn.Sequential(
            nn.Conv3d(spectral_width, width, (3, 3, 1)),
            nn.BatchNorm3d(width),
            nn.ReLU(),
        )
        self.spatial = nn.Sequential(
            ResidualBlock(width, SPATIAL, activated=True),
            ResidualBlock(width, SPATIAL),
            nn.BatchNorm3d(width),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        self.n_features = width
        self.reset_head(n_classes)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, H, W) prepared values → (N, width, H − 2, W − 2)."""
        cubes = x.permute(0, 2, 3, 1)[:, None]  # (N, 1, H, W, bands)
        return self.reduction(self.spectral(cubes)).squeeze(4)

    def encode_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, width, P − 2, P − 2) → (N, width)."""
        return self.dropout(self.spatial(maps[..., None]).mean(dim=(2, 3, 4)))


class ResidualBlock(nn.Module):
    """Batch norm, ReLU, convolution, twice; what comes in is added. Padded, so that sizes stay.

    Parameters
    ----------
    width : channels. kernel : odd sizes. activated : the input is normalised and rectified already.
    """

    def __init__(self, width: int, kernel: tuple[int, int, int], activated: bool = False) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.layers = nn.Sequential(
            *([] if activated else [nn.BatchNorm3d(width), nn.ReLU()]),
            nn.Conv3d(width, width, kernel, padding=padding),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.Conv3d(width, width, kernel, padding=padding),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)
