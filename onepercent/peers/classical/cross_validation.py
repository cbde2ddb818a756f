"""Choosing a setting by cross-validation on the training pixels, for rules that label a whole scene at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from hsilib.data.splits import Split

FOLDS = 5

Setting = TypeVar("Setting")
Rule = Callable[[Split, Setting], NDArray[np.integer]]  # → class map, (H, W) or flat


def training_folds(labels: NDArray[np.int64], seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions among the training pixels to learn from and to check on, five folds, each class dealt out evenly.

    Fewer folds where the smallest class has fewer pixels; a class of one pixel is dealt out with the others. Empty for
    a single pixel, which leaves nothing to learn from.
    """
    smallest = int(np.bincount(labels)[1:][np.bincount(labels)[1:] > 0].min())
    n_folds = min(FOLDS, len(labels))
    if n_folds < 2:
        return []
    if smallest < 2:
        return list(KFold(n_folds, shuffle=True, random_state=seed).split(labels))
    return list(StratifiedKFold(min(n_folds, smallest), shuffle=True, random_state=seed).split(labels, labels))


def choose_setting(
    rule: Rule[Setting], settings: Iterable[Setting], split: Split, seed: int
) -> tuple[Setting, dict[Setting, float]]:
    """The setting whose rule is right on most training pixels that it did not learn from; the first of equals.

    Returns
    -------
    The setting, and each setting's share of right answers.
    """
    folds = training_folds(split.train_labels, seed)
    accuracy: dict[Setting, float] = {}
    for setting in settings:
        right = 0
        for learned, checked in folds:
            part = replace(split, train=split.train[learned], train_labels=split.train_labels[learned])
            found = rule(part, setting).ravel()[split.train[checked]]
            right += int((found == split.train_labels[checked]).sum())
        accuracy[setting] = right / len(split.train)
    return max(accuracy, key=lambda setting: accuracy[setting]), accuracy
