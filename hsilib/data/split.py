"""`Split`: which pixels train, validate and test, whatever drew them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from hsilib.errors import InputError

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint pixels for training, validation and test, with their labels.

    Attributes
    ----------
    spec : how it was drawn, as text.
    shape : (H, W) of the scene.
    train, val, test : flat pixel indices (row · W + column), rising.
    train_labels, val_labels, test_labels : their classes 1…K; test labels are 0 once hidden.
    untested_classes : classes (1…K) that could not stand on both sides.
    """

    spec: str
    shape: tuple[int, int]
    train: Indices
    val: Indices
    test: Indices
    train_labels: Indices
    val_labels: Indices
    test_labels: Indices
    untested_classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        together = np.concatenate([self.train, self.val, self.test])
        if np.unique(together).size != together.size:
            raise InputError(f"split {self.spec!r}: a pixel stands in more than one of train, validation and test.")
        for part in ("train", "test"):
            if getattr(self, part).size == 0:
                raise InputError(f"split {self.spec!r}: no {part} pixels; the scene is too small for it.")

    def hide_test_labels(self) -> Split:
        """The same split as a method may see it: test positions are known, their labels are 0."""
        return replace(self, test_labels=np.zeros_like(self.test_labels))

    def without_validation(self) -> Split:
        """The same split for a method that must not see the validation pixels; they are not tested either."""
        nothing = np.zeros(0, dtype=np.int64)
        return replace(self, val=nothing, val_labels=nothing)

    def validation_joined(self) -> Split:
        """The same split with the validation pixels among the training pixels."""
        train, labels = np.append(self.train, self.val), np.append(self.train_labels, self.val_labels)
        order = np.argsort(train)
        return replace(self.without_validation(), train=train[order], train_labels=labels[order])

    def untrained_classes(self, n_classes: int) -> tuple[int, ...]:
        """Classes (1…K) without a training pixel."""
        return tuple(k for k in range(1, n_classes + 1) if k not in self.train_labels)

    def leakage(self, patch_size: int) -> dict[str, int | float]:
        """How much of the test set a patch of ``patch_size`` pixels has already seen in training.

        Returns
        -------
        ``patch_size``; ``contains``, the share of test patches that contain a training pixel; and
        ``overlaps``, the share that have a pixel in common with a training patch.
        """
        training = np.zeros(self.shape, dtype=bool)
        training.ravel()[self.train] = True
        near = {}
        for name, window in (("contains", patch_size), ("overlaps", 2 * patch_size - 1)):
            reached = scipy.ndimage.maximum_filter(training, size=window, mode="constant", cval=False)
            near[name] = float(reached.ravel()[self.test].mean())
        return {"patch_size": patch_size, **near}
