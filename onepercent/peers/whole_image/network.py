"""A network that takes a whole image as one sample and labels all its pixels at once."""

from __future__ import annotations

from typing import ClassVar

import torch

from hsilib.model.network import Network


class WholeImageNetwork(Network):
    """Base of networks whose output at a pixel may depend on the whole image.

    A subclass sets ``n_features``, calls `reset_head` and writes `forward_features`, which gives each pixel's
    features at the image's own size. There are no patches, so that ``patch_size`` is 1.

    Attributes
    ----------
    stride : height and width of an image must be multiples of it.
    """

    takes_patches = False
    stride: ClassVar[int] = 1

    def __init__(self, n_bands: int, n_classes: int, components: int = 0) -> None:
        super().__init__(n_bands, n_classes, patch_size=1, components=components)

    def look_at(self, x: torch.Tensor) -> None:
        """Compute what depends on the image alone, (1, S, H, W) raw values, such as a graph of its parts.

        Called once before the image is passed through the network any number of times.
        """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, S, H, W) raw values → logits (1, K, H, W)."""
        height, width = x.shape[-2:]
        if x.shape[:-2] != (1, self.n_bands) or height % self.stride or width % self.stride:
            raise ValueError(
                f"the image has shape {tuple(x.shape)}; expected (1, {self.n_bands}, H, W) with H and W multiples "
                f"of {self.stride}."
            )
        return self.forward_map(x)
