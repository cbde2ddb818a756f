"""A network's logits for a whole scene: in one dense pass, or patch by patch to check it.

Contents: `predict_logits`, `predict_padded`, `in_tiles`, `predict_logits_patchwise`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.patches import PatchSampler, padded_scene
from hsilib.models.network import Network

TILE = 64
PATCHES_AT_ONCE = 256


def predict_logits(model: Network, cube: NDArray[np.generic]) -> torch.Tensor:
    """Logits of every pixel in one convolutional pass, a tile at a time to bound memory.

    Equal to `predict_logits_patchwise` to float precision, because a pixel's output is a function of
    its own patch alone.

    Parameters
    ----------
    cube : (H, W, S) raw values.

    Returns
    -------
    (H, W, K) float32 on the model's device.
    """
    return predict_padded(model, padded_scene(cube, model.patch_size // 2, model.band_mean.device))


@torch.inference_mode()
def predict_padded(model: Network, padded: torch.Tensor) -> torch.Tensor:
    """The same for values that have their margin of one patch radius r already.

    Tiles of ``TILE`` × ``TILE`` pixels are counted from the first pixel. So a part of a scene that starts at a
    multiple of ``TILE`` gives the same numbers, to the bit, as the whole scene does there.

    Parameters
    ----------
    padded : (H + 2r, W + 2r, S) raw float32 values on the model's device.

    Returns
    -------
    (H, W, K) float32 on the model's device.
    """
    model.eval()
    return in_tiles(model.forward_map, padded, 2 * (model.patch_size // 2))


def in_tiles(function: Callable[[torch.Tensor], torch.Tensor], padded: torch.Tensor, margin: int) -> torch.Tensor:
    """Apply ``function``, (1, S, h + margin, w + margin) → (1, C, h, w), tile by tile.

    Parameters
    ----------
    padded : (H + margin, W + margin, S).

    Returns
    -------
    (H, W, C).
    """
    values = padded.permute(2, 0, 1)[None]
    rows, cols = padded.shape[0] - margin, padded.shape[1] - margin
    strips = [
        torch.cat(
            [
                function(values[:, :, top : top + TILE + margin, left : left + TILE + margin])[0]
                for left in range(0, cols, TILE)
            ],
            dim=2,
        )
        for top in range(0, rows, TILE)
    ]
    return torch.cat(strips, dim=1).permute(1, 2, 0)


@torch.inference_mode()
def predict_logits_patchwise(model: Network, cube: NDArray[np.generic]) -> torch.Tensor:
    """The same, patch by patch: the definition that the dense pass is tested against. (H, W, K) float32."""
    model.eval()
    device = model.band_mean.device
    sampler = PatchSampler(cube, model.patch_size, device)
    rows, cols = cube.shape[:2]
    pixels = torch.arange(rows * cols, device=device)
    return torch.cat([model(sampler(batch)) for batch in pixels.split(PATCHES_AT_ONCE)]).reshape(rows, cols, -1)
