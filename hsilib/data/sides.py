"""Where training and test pixels may lie when they are kept apart: blocks, folds of blocks, whole fields.

Which pixels these are depends on where labels lie and on the draw, never on what a method makes of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Sides(NamedTuple):
    """Two (H, W) masks without a common pixel."""

    train: Mask
    test: Mask


def block_sides(shape: tuple[int, int], size: int, buffer: int, generator: np.random.Generator) -> Sides:
    """Half of the blocks for training, the rest less the buffer for test."""
    numbers = block_numbers(shape, size)
    n_blocks = numbers.max() + 1
    chosen = np.zeros(n_blocks, dtype=bool)
    chosen[generator.permutation(n_blocks)[: (n_blocks + 1) // 2]] = True
    return Sides(chosen[numbers], ~near(chosen[numbers], buffer))


def fold_sides(shape: tuple[int, int], n_folds: int, buffer: int, generator: np.random.Generator) -> list[Sides]:
    """Blocks dealt into ``n_folds``, each of which is tested once; the buffer is cut from the training side.

    A block's side is twice the buffer and one pixel more, so that of a block between tested ones something is left.
    """
    numbers = block_numbers(shape, 2 * buffer + 1)
    fold_of = generator.permutation(np.arange(numbers.max() + 1) % n_folds)[numbers]
    return [Sides(~near(fold_of == fold, buffer), fold_of == fold) for fold in range(n_folds)]


def field_sides(
    ground_truth: NDArray[np.integer], n_groups: int, buffer: int, generator: np.random.Generator
) -> list[Sides]:
    """The connected fields of each class dealt into groups, each of which is tested once.

    A field touches its neighbours at a side or a corner. The fields of a class come in an order that is drawn, each to
    the group that has the fewest of its pixels so far. A class of one field is never tested and may always train.
    """
    group_of = np.full(ground_truth.shape, -1)  # no label, or a class of one field
    for label in range(1, int(ground_truth.max()) + 1):
        fields, n_fields = scipy.ndimage.label(ground_truth == label, structure=np.ones((3, 3)))
        if n_fields < 2:
            continue
        sizes = np.bincount(fields.ravel())
        filled = np.zeros(n_groups)
        for field in generator.permutation(n_fields) + 1:
            group = int(filled.argmin())
            filled[group] += sizes[field]
            group_of[fields == field] = group
    labelled = ground_truth > 0
    return [
        Sides(labelled & (group_of != group) & ~near(group_of == group, buffer), group_of == group)
        for group in range(n_groups)
    ]


def block_numbers(shape: tuple[int, int], size: int) -> NDArray[np.int64]:
    """(H, W) the number of each pixel's block, row by row."""
    rows, cols = (np.arange(n) // size for n in shape)
    return rows[:, None] * (cols[-1] + 1) + cols


def near(mask: Mask, distance: int) -> Mask:
    """Pixels at most ``distance`` rows and columns from one of the mask."""
    return scipy.ndimage.maximum_filter(mask, size=2 * distance + 1, mode="constant", cval=False)
