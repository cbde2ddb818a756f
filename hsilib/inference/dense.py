"""A network's logits for a whole scene: in one dense pass, or patch by patch to check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.orientation import turned, turned_back
from hsilib.data.patches import PatchSampler, reflected_indices
from hsilib.inference.folding import FoldedDualBranch, can_be_folded
from hsilib.model.network import Network

TILE = 256  # a multiple of every network's own tile
PATCHES_AT_ONCE = 64

# Rows and columns of the padded scene → their values, (h, w, S) float32 on the model's device.
Windows = Callable[[slice, slice], torch.Tensor]


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
    model.eval()
    windows = padded_windows(cube, model.patch_size // 2, model.band_mean.device)
    return map_tiles(folded(model), windows, cube.shape[:2], model.patch_size - 1, model.tile)


def predict_padded(model: Network, padded: torch.Tensor) -> torch.Tensor:
    """The same for values that have their margin of one patch radius r already.

    Tiles are counted from the first pixel. So a part of a scene that starts at a multiple of ``TILE``, in rows and
    in columns, gives the same numbers, to the bit, as the whole scene does there.

    Parameters
    ----------
    padded : (H + 2r, W + 2r, S) raw float32 values on the model's device.

    Returns
    -------
    (H, W, K) float32 on the model's device.
    """
    model.eval()
    return in_tiles(folded(model), padded, model.patch_size - 1, model.tile)


def folded(model: Network) -> Callable[[torch.Tensor], torch.Tensor]:
    """``model.forward_map`` for one (1, S, …, …) map in evaluation mode, with the weights as they are now.

    For the dual-branch model (`can_be_folded`) something faster that is equal to float precision. Fold anew after
    every change of the weights; it is cheap.
    """
    return FoldedDualBranch(model) if can_be_folded(model) else model.forward_map


def folded_views(model: Network, orientations: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same in several views: (1, S, H + P − 1, W + P − 1) → (V, K, H, W), each view laid back.

    Parameters
    ----------
    orientations : V numbers as in `hsilib.data.orientation.turned`. The spectral branch of the dual-branch model, which
        is blind to orientation, is computed once for all.
    """
    if can_be_folded(model):
        return FoldedDualBranch(model, orientations)
    forward = folded(model)
    return lambda x: torch.cat([turned_back(forward(turned(x, k)), k) for k in orientations])


def padded_windows(cube: NDArray[np.generic], radius: int, device: torch.device) -> Windows:
    """Windows of the scene with mirrored borders, as of `padded_scene`, which is never built as a whole."""
    rows, cols = (reflected_indices(n, radius) for n in cube.shape[:2])

    def window(of_rows: slice, of_cols: slice) -> torch.Tensor:
        values = cube[np.ix_(rows[of_rows], cols[of_cols])]
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)

    return window


def in_tiles(
    function: Callable[[torch.Tensor], torch.Tensor], padded: torch.Tensor, margin: int, tile: int = Network.tile
) -> torch.Tensor:
    """Apply ``function``, (1, S, h + margin, w + margin) → (1, C, h, w), tile by tile.

    Parameters
    ----------
    padded : (H + margin, W + margin, S).
    tile : side of a tile.

    Returns
    -------
    (H, W, C).
    """
    size = padded.shape[0] - margin, padded.shape[1] - margin
    return map_tiles(function, lambda rows, cols: padded[rows, cols], size, margin, tile)


@torch.inference_mode()
def map_tiles(
    function: Callable[[torch.Tensor], torch.Tensor],
    windows: Windows,
    size: tuple[int, ...],
    margin: int,
    tile: int,
) -> torch.Tensor:
    """The same for a scene of ``size`` (H, W) whose values come window by window. (H, W, C)."""
    rows, cols = size
    result: torch.Tensor | None = None
    for top in range(0, rows, tile):
        for left in range(0, cols, tile):
            bottom, right = min(top + tile, rows), min(left + tile, cols)
            values = windows(slice(top, bottom + margin), slice(left, right + margin))
            found = function(values.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
            if result is None:
                result = found.new_empty(rows, cols, found.shape[2])
            result[top:bottom, left:right] = found
    assert result is not None
    return result


@torch.inference_mode()
def predict_logits_patchwise(
    model: Network, cube: NDArray[np.generic], patches_at_once: int = PATCHES_AT_ONCE
) -> torch.Tensor:
    """The same, patch by patch: the definition that the dense pass is tested against. (H, W, K) float32."""
    model.eval()
    device = model.band_mean.device
    sampler = PatchSampler(cube, model.patch_size, device)
    rows, cols = cube.shape[:2]
    pixels = torch.arange(rows * cols, device=device)
    return torch.cat([model(sampler(batch)) for batch in pixels.split(patches_at_once)]).reshape(rows, cols, -1)
