"""`a2s2k-resnet`: kernels that weigh spectrum against space, then residual blocks with recalibrated channels."""

from __future__ import annotations

import torch
from torch import nn

from onepercent.peers.networks.layers import ResidualBlock, Size3d, conv_norm_relu
from onepercent.peers.networks.patch_network import PatchNetwork

SPECTRAL, SPATIAL = (1, 1, 7), (3, 3, 1)
WIDTH, SPECTRAL_WIDTH = 24, 128


class A2S2KResNet(PatchNetwork):
    """Roy, Manna, Song, Bruzzone (2021), Attention-Based Adaptive Spectral–Spatial Kernel ResNet for Hyperspectral
    Image Classification, IEEE TGRS, doi:10.1109/TGRS.2020.3043267.

    For 9 × 9 patches of 200 bands: 24 filters of 1 × 1 × 7 and 24 of 3 × 3 × 7 with stride 2 along the spectrum (97
    places left), mixed channel by channel by a softmax over the two (`SelectiveKernel`); two spectral residual
    blocks, 128 filters over all places, 24 filters of 3 × 3 × 128, two spatial residual blocks, the mean over the
    patch, the classes. Blocks normalise as "improved" residual networks do (`ImprovedBlock`) and end in efficient
    channel attention (`ECA`), the paper's efficient feature recalibration.

    Parameters for 200 bands, 16 classes: 373,160. The paper's figure is not known to us.

    Deviations from the authors' code, where it departs from its own description:
    - it computes both weights of the kernel selection by the same layer, so each is exactly ½ whatever it sees and
      the layers behind it never learn; here each kernel has a layer of its own, as selective kernels do;
    - for 9 × 9 patches it averages the upper left 5 × 5 of the 7 × 7 places that are left; here all of them;
    - it rectifies a second time before some batch norms, and rotates the bands to all their principal components.
    Batch norm has PyTorch's settings.
    """

    name = "a2s2k-resnet"
    least_patch = 3
    least_inputs = 7

    def __init__(self, n_bands: int, n_classes: int, patch_size: int = 9, components: int = 0) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        places = (self.n_inputs - 7) // 2 + 1
        # The spectrum is the last axis, as in memory: a CPU convolves along it faster than when it comes first.
        self.spectral = nn.Sequential(
            SelectiveKernel(WIDTH, self.n_inputs // 2),
            ImprovedBlock(WIDTH, SPECTRAL, first=True),
            ImprovedBlock(WIDTH, SPECTRAL),
            *conv_norm_relu(WIDTH, SPECTRAL_WIDTH, (1, 1, places)),
        )
        self.spatial = nn.Sequential(
            *conv_norm_relu(SPECTRAL_WIDTH, WIDTH, SPATIAL),
            ImprovedBlock(WIDTH, SPATIAL),
            ImprovedBlock(WIDTH, SPATIAL),
            nn.BatchNorm3d(WIDTH),
            nn.ReLU(),
        )
        self.n_features = WIDTH
        self.reset_head(n_classes)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, 24)."""
        return self.spatial(self.spectral(x.permute(0, 2, 3, 1)[:, None])).mean(dim=(2, 3, 4))


class SelectiveKernel(nn.Module):
    """Two convolutions, one along the spectrum and one across the space too, mixed with weights that sum to 1.

    The weights come from the mean of both over everything: a layer that squeezes, ReLU, one layer a kernel, softmax
    over the kernels, channel by channel.

    Parameters
    ----------
    width : channels. squeezed : units of the squeezing layer.
    """

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        sides = (3, 1)
        self.kernels = nn.ModuleList(
            nn.Sequential(
                *conv_norm_relu(1, width, (side, side, 7), stride=(1, 1, 2), padding=(side // 2, side // 2, 0))
            )
            for side in sides
        )
        self.squeeze = nn.Sequential(nn.Linear(width, squeezed), nn.ReLU())
        self.excite = nn.ModuleList(nn.Linear(squeezed, width) for _ in sides)

    def weights(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Both kernels' (N, width, ...) → (2, N, width), a softmax over the two."""
        squeezed = self.squeeze(sum(part.flatten(2).mean(dim=2) for part in maps))
        return torch.softmax(torch.stack([excite(squeezed) for excite in self.excite]), dim=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W, S) → (N, width, H, W, (S − 7) // 2 + 1)."""
        maps = [kernel(x) for kernel in self.kernels]
        first, second = self.weights(maps)[..., None, None, None]
        return first * maps[0] + second * maps[1]


class ImprovedBlock(ResidualBlock):
    """A residual block that ends in `ECA`.

    The first block of a network leaves its first batch norm and ReLU out and has a batch norm before `ECA`.

    Parameters
    ----------
    width : channels. kernel : odd sizes. first : see above.
    """

    def __init__(self, width: int, kernel: Size3d, first: bool = False) -> None:
        super().__init__(width, kernel, activated=first)
        self.layers.extend([nn.BatchNorm3d(width), ECA()] if first else [ECA()])


class ECA(nn.Module):
    """Efficient channel attention: each channel times the sigmoid of a convolution over the channels' means."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, ...) → the same shape."""
        means = x.flatten(2).mean(dim=2)[:, None]
        gate = torch.sigmoid(self.convolution(means))[:, 0]
        return x * gate.reshape(*gate.shape, *(1 for _ in x.shape[2:]))
