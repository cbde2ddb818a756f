"""Accuracy of a class map, all of it from the confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Metrics:
    """Fractions in 0…1; kappa in −1…1.

    Attributes
    ----------
    overall_accuracy : right pixels over all pixels (OA).
    average_accuracy : mean recall of the tested classes (AA).
    kappa : agreement beyond chance, Cohen's.
    per_class_recall : K values; None for a class without test pixels.
    confusion : K × K counts, rows are the truth and columns the prediction.
    """

    overall_accuracy: float
    average_accuracy: float
    kappa: float
    per_class_recall: list[float | None]
    confusion: list[list[int]]


def confusion_matrix(truth: NDArray[np.integer], predicted: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """(K, K) counts from labels 1…K of equal length: ``[t − 1, p − 1]`` counts truth t predicted as p."""
    flat = (truth.astype(np.int64) - 1) * n_classes + (predicted.astype(np.int64) - 1)
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def metrics_from_confusion(confusion: NDArray[np.integer]) -> Metrics:
    """Every metric from the counts (rows truth, columns prediction).

    The average accuracy is the mean *recall*: swapping the axes would silently give the mean precision.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    total, right = counts.sum(), np.trace(counts)
    truth, predicted = counts.sum(axis=1), counts.sum(axis=0)
    tested = truth > 0
    recall = np.diag(counts) / np.where(tested, truth, 1)
    chance = float(truth @ predicted) / total**2
    accuracy = float(right / total)
    return Metrics(
        overall_accuracy=accuracy,
        average_accuracy=float(recall[tested].mean()),
        kappa=1.0 if chance == 1 else float((accuracy - chance) / (1 - chance)),
        per_class_recall=[value if known else None for value, known in zip(recall.tolist(), tested, strict=True)],
        confusion=np.asarray(confusion, dtype=np.int64).tolist(),
    )
