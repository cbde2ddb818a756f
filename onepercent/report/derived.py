"""Metrics that follow from what a record holds, for queries: ``derived.NAME``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hsilib.data.splits import SMALLEST_TRAINING_CLASS, VALIDATION_FRACTION
from hsilib.records import Record

SMALL_CLASS = 10  # training pixels, below which the description sees a limit


def recall_by_size(record: Record, small: bool) -> float:
    """Mean recall of the classes with fewer than ten training pixels, or of the others, of a ``percent`` split.

    How many were drawn follows from how many were tested: the share that is left when training and validation are gone.
    """
    fraction = float(record.split["spec"].removeprefix("percent:"))
    tested = np.sum(record.metrics["confusion"], axis=1)
    trained = np.maximum(SMALLEST_TRAINING_CLASS, fraction * tested / (1 - fraction - VALIDATION_FRACTION))
    chosen = (trained < SMALL_CLASS) == small
    recalls = [r for r, take in zip(record.metrics["per_class_recall"], chosen, strict=True) if take and r is not None]
    return float(np.mean(recalls))


DERIVED: dict[str, Callable[[Record], float]] = {
    "recall_of_small_classes": lambda record: recall_by_size(record, small=True),
    "recall_of_large_classes": lambda record: recall_by_size(record, small=False),
}
