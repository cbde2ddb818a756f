"""A network's logits for a whole scene: in one dense pass, or patch by patch to check it.

Contents: `predict_logits`, `predict_logits_patchwise`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.patches import PatchSampler, padded_scene
from hsilib.models.network import Network

ROWS_AT_ONCE = 64
PATCHES_AT_ONCE = 256


@torch.inference_mode()
def predict_logits(model: Network, cube: NDArray[np.generic], rows_at_once: int = ROWS_AT_ONCE) -> torch.Tensor:
    """Logits of every pixel in one convolutional pass, a band of rows at a time to bound memory.

    Equal to `predict_logits_patchwise` to float precision, because a pixel's output is a function of
    its own patch alone.

    Parameters
    ----------
    cube : (H, W, S) raw values. rows_at_once : rows of output per pass; changes memory, not values.

    Returns
    -------
    (H, W, K) float32 on the model's device.
    """
    model.eval()
    radius = model.patch_size // 2
    padded = padded_scene(cube, radius, model.band_mean.device).permute(2, 0, 1)[None]
    strips = [
        model.forward_map(padded[:, :, top : top + rows_at_once + 2 * radius])[0]
        for top in range(0, cube.shape[0], rows_at_once)
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
