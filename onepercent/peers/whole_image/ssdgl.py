"""`ssdgl`: encoder and decoder of `freenet`, with a convolutional LSTM over groups of channels, joint attention."""

from __future__ import annotations

import torch
from torch import nn

from onepercent.peers.whole_image.pyramid import PyramidNetwork, conv_norm_relu

STEPS = 8  # groups of channels that the LSTM reads one after the other
GROUPS = 4  # of the normalisation
REDUCTION = 16  # of the channel attention


class SSDGL(PyramidNetwork):
    """Spectral-spatial-dependent global learning.

    Zhu, Deng, Zheng, Zhong, Guan, Lin, Zhang and Li (2021), A Spectral-Spatial-Dependent Global Learning Framework
    for Insufficient and Imbalanced Hyperspectral Image Classification, IEEE Transactions on Cybernetics,
    doi:10.1109/TCYB.2021.3070577. At each level of the encoder a convolutional LSTM reads the channels in eight
    groups (GCL), channel and spatial attention gate what it makes of them (GJAM), group normalisation and ReLU
    follow. A fusion of the decoder is a 3 × 3 convolution, with normalisation and ReLU but for the finest, which
    has as many channels as there are bands. Sizes are the public code's.

    **The public code trains on test pixels.** Its loss ignores the mask of the training pixels and averages over
    every labelled pixel of the scene; its class weights come from counts over the whole ground truth. Accuracies
    measured with it say nothing about few labels. Here the loss is over training pixels only, and weights come
    from their labels, see `fit_whole_image`.

    - The LSTM's peephole weights, zeros that the code never trains, are left out.
    - The ReLU before the spatial gate's sigmoid is left out: it can shut off the layer's gradient for good.
    - The image is padded to a multiple of 8 by mirroring, all that three strides of 2 need; the code pads to a
      multiple of 16.

    Parameters for 200 bands and 16 classes: 2,267,912; the published count is not known to us.

    Widths are multiples of 32, ``inner_width`` is one of 4.
    """

    name = "ssdgl"
    upsampling = "bilinear"
    groups = GROUPS
    multiple = 2 * REDUCTION

    def level(self, width: int) -> nn.Module:
        """The LSTM, attention, normalisation: (1, width, H, W) → the same shape."""
        return nn.Sequential(GlobalConvLSTM(width), JointAttention(width // 2), nn.GroupNorm(GROUPS, width), nn.ReLU())

    def fusion(self, inner_width: int) -> nn.Module:
        """A convolution with normalisation and ReLU: (1, inner_width, H, W) → the same shape."""
        return conv_norm_relu(inner_width, inner_width, GROUPS)

    def finest_fusion(self, inner_width: int) -> nn.Conv2d:
        """A convolution to as many channels as there are bands."""
        return nn.Conv2d(inner_width, self.n_inputs, 3, padding=1)


class GlobalConvLSTM(nn.Module):
    """Two layers of convolutional LSTM along the channels, in eight groups; the second layer's outputs, joined.

    Parameters
    ----------
    channels : C, a multiple of 16. The layers have C / 8 and C / 16 hidden channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        group = channels // STEPS
        self.hidden = (group, group // 2)
        self.cells = nn.ModuleList(ConvLSTMCell(group, hidden) for hidden in self.hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, C, H, W) → (1, C / 2, H, W)."""
        states = [x.new_zeros(2, 1, hidden, *x.shape[2:]) for hidden in self.hidden]
        outputs = []
        for group in x.chunk(STEPS, dim=1):
            for i, cell in enumerate(self.cells):
                states[i] = cell(group, states[i])
                group = states[i][0]
            outputs.append(group)
        return torch.cat(outputs, dim=1)


class ConvLSTMCell(nn.Module):
    """One step of a convolutional LSTM (Shi et al., NeurIPS 2015, equation 3) without peepholes, kernel 5 × 5.

    Parameters
    ----------
    n_in, hidden : channels of the input and of the state.
    """

    def __init__(self, n_in: int, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(n_in + hidden, 4 * hidden, 5, padding=2)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Input (1, n_in, H, W) and state (2, 1, hidden, H, W), output and memory → the next state."""
        output, memory = state
        into, forget, out, candidate = self.gates(torch.cat([x, output], dim=1)).chunk(4, dim=1)
        memory = forget.sigmoid() * memory + into.sigmoid() * candidate.tanh()
        return torch.stack([out.sigmoid() * memory.tanh(), memory])


class JointAttention(nn.Module):
    """Channel attention and spatial attention side by side, each added to its input; twice as many channels.

    The channel gate comes from each channel's mean and maximum over the image, the spatial gate from each pixel's
    mean and maximum over the channels through a 7 × 7 convolution (as in CBAM, Woo et al., ECCV 2018).

    Parameters
    ----------
    channels : C, at least 16.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // REDUCTION, 1, bias=False)
        self.excite = nn.Conv2d(channels // REDUCTION, channels, 1, bias=False)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, C, H, W) → (1, 2 C, H, W)."""
        pooled = torch.cat([x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)])
        channel = self.excite(torch.relu(self.squeeze(pooled))).sum(dim=0, keepdim=True).sigmoid()
        spatial = self.spatial(torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)).sigmoid()
        return torch.cat([x + x * channel, x + x * spatial], dim=1)
