"""`freenet`: an encoder and a decoder over the whole image, with spectral attention and lateral connections."""

from __future__ import annotations

import torch
from torch import nn

from onepercent.peers.whole_image.pyramid import PyramidNetwork, conv_norm_relu

GROUPS = 16  # of the normalisation; also the attention's reduction


class FreeNet(PyramidNetwork):
    """Fast patch-free global learning.

    Zheng, Zhong, Ma and Zhang (2020), FPGA: Fast Patch-Free Global Learning Framework for Fully End-to-End
    Hyperspectral Image Classification, IEEE TGRS 58(8). A level of the encoder is spectral attention (squeeze and
    excitation), a 3 × 3 convolution, group normalisation and ReLU; a fusion of the decoder is a 3 × 3 convolution.
    Widths are the public code's. The training loss is over training pixels only, a stratified part of them at a
    time, see `fit_whole_image`.

    - Each of the decoder's four levels has a convolution of its own. The public code uses its first one at the
      two coarsest levels and its fourth never.
    - No class ever sits out a step, see `onepercent.peers.whole_image.pixel_sampling`.
    - The image is padded to a multiple of 8 by mirroring, all that three strides of 2 need; the code pads to a
      multiple of 16.

    Parameters for 204 bands and 16 classes: 2,800,922; the published count is not known to us.

    Widths and ``inner_width`` are multiples of 16.
    """

    name = "freenet"
    upsampling = "nearest"
    groups = multiple = GROUPS

    def level(self, width: int) -> nn.Module:
        """Attention, then a convolution: (1, width, H, W) → the same shape."""
        return nn.Sequential(SpectralAttention(width, GROUPS), conv_norm_relu(width, width, GROUPS))


class SpectralAttention(nn.Module):
    """A gate for each channel, σ(W₂ ReLU(W₁ m)), from all channels' means m over the image.

    Parameters
    ----------
    channels : C. reduction : the hidden layer has C / reduction units.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight ``x`` (1, C, H, W) channel by channel."""
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))))
