"""An encoder of four levels and a decoder with lateral connections, over a whole image."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import interpolate

from hsilib.checks import is_whole
from hsilib.errors import InputError
from onepercent.peers.whole_image.network import WholeImageNetwork

LEVELS = 4


class PyramidNetwork(WholeImageNetwork):
    """Base of `FreeNet` and of `SSDGL`, which builds on it.

    Encoder: a 3 × 3 convolution with normalisation and ReLU, then the levels, between them 3 × 3 convolutions of
    stride 2 with ReLU. Decoder: each level's map through a 1 × 1 lateral connection, added to the level below
    brought to twice its size, then through a fusion. A subclass says what a level and a fusion is.

    Parameters
    ----------
    widths : channels of the four levels, multiples of ``multiple``.
    inner_width : channels of the decoder, a multiple of ``groups``. The others are those of `Network`.

    Attributes
    ----------
    upsampling : how a map is brought to twice its size, a mode of `torch.nn.functional.interpolate`.
    groups : of the normalisation. multiple : what each width must be a multiple of.
    """

    stride = 2 ** (LEVELS - 1)
    upsampling: ClassVar[str]
    groups: ClassVar[int]
    multiple: ClassVar[int]

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        components: int = 0,
        widths: tuple[int, ...] = (96, 128, 192, 256),
        inner_width: int = 128,
    ) -> None:
        super().__init__(n_bands, n_classes, components)
        sizes = widths if isinstance(widths, tuple | list) else ()
        if len(sizes) != LEVELS or not all(_is_multiple(width, self.multiple) for width in sizes):
            raise InputError(f"widths are {widths}; expected four multiples of {self.multiple}.")
        if not _is_multiple(inner_width, self.groups):
            raise InputError(f"inner_width is {inner_width}; expected a multiple of {self.groups}.")
        self.stem = conv_norm_relu(self.n_inputs, widths[0], self.groups)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(finer, coarser, 3, stride=2, padding=1), nn.ReLU())
            for finer, coarser in pairwise(widths)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, inner_width, 1) for width in widths)
        self.levels = nn.ModuleList(self.level(width) for width in widths)
        finest = self.finest_fusion(inner_width)
        self.fusions = nn.ModuleList([finest, *(self.fusion(inner_width) for _ in widths[1:])])
        self.n_features = finest.out_channels
        self.reset_head(n_classes)

    def level(self, width: int) -> nn.Module:
        """A level of the encoder: (1, width, H, W) → the same shape."""
        raise TypeError(f"{type(self).__name__} defines no level.")

    def fusion(self, inner_width: int) -> nn.Module:
        """A fusion of the decoder: (1, inner_width, H, W) → the same shape."""
        return nn.Conv2d(inner_width, inner_width, 3, padding=1)

    def finest_fusion(self, inner_width: int) -> nn.Conv2d:
        """The last of them, whose channels are the features."""
        return nn.Conv2d(inner_width, inner_width, 3, padding=1)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(1, S, H, W) raw values → (1, n_features, H, W)."""
        x = self.levels[0](self.stem(self.prepare(x)))
        maps = [x]
        for halve, level in zip(self.downs, self.levels[1:], strict=True):
            x = level(halve(x))
            maps.append(x)
        fused = self.fusions[-1](self.laterals[-1](maps[-1]))
        for i in reversed(range(LEVELS - 1)):
            below = interpolate(fused, scale_factor=2.0, mode=self.upsampling)
            fused = self.fusions[i](self.laterals[i](maps[i]) + below)
        return fused


def _is_multiple(size: int, unit: int) -> bool:
    """Whether ``size`` is a whole number of units, one at least."""
    return is_whole(size) and size >= unit and size % unit == 0


def conv_norm_relu(n_in: int, n_out: int, groups: int) -> nn.Sequential:
    """A padded 3 × 3 convolution, group normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.GroupNorm(groups, n_out), nn.ReLU())
