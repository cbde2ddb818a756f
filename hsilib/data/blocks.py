"""Square blocks that belong to training or to test, with a gap between: the geometry of the ``blocks`` split.

Contents: `assign_blocks`.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Sides = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def assign_blocks(shape: tuple[int, int], size: int, buffer: int, generator: np.random.Generator) -> Sides:
    """Two (H, W) masks: half of the blocks for training, the rest less the buffer for test."""
    block_rows, block_cols = (-(-n // size) for n in shape)
    n_blocks = block_rows * block_cols
    chosen = np.zeros(n_blocks, dtype=bool)
    chosen[generator.permutation(n_blocks)[: (n_blocks + 1) // 2]] = True
    expanded = np.kron(chosen.reshape(block_rows, block_cols), np.ones((size, size), dtype=bool))
    train_side = expanded[: shape[0], : shape[1]]
    near = scipy.ndimage.maximum_filter(train_side, size=2 * buffer + 1, mode="constant", cval=False)
    return train_side, ~near
