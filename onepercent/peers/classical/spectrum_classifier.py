"""What scikit-learn classifiers that take pixel by pixel have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.method import Method
from hsilib.progress import progress

ROWS_AT_ONCE = 32


class SpectrumClassifier(Method):
    """One pixel's standardised values in, one label out. A subclass says which estimator.

    The values are the pixel's spectrum, or what a subclass computes from the scene.
    """

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def estimator(self, train_labels: NDArray[np.int64], seed: int) -> Any:
        """A scikit-learn classifier that is not fitted yet."""

    def features(self, scene: Scene) -> NDArray[Any]:
        """(H, W, F) what describes each pixel, before it is standardised: its spectrum, F = S."""
        return scene.cube

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Fit on the training pixels."""
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        features = self.features(scene)
        self._standardizer = Standardizer.fit(features)
        training = self._standardizer.apply(features.reshape(-1, features.shape[-1])[split.train])
        self._estimator = self.estimator(split.train_labels, seed).fit(training, split.train_labels)

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K); a class without training pixels has probability 0."""
        probabilities = np.zeros((*scene.shape, scene.n_classes), dtype=np.float32)
        columns = self._estimator.classes_ - 1
        features = self.features(scene)
        with progress(scene.shape[0], "predict", "row") as bar:
            for top in range(0, scene.shape[0], ROWS_AT_ONCE):
                rows = features[top : top + ROWS_AT_ONCE]
                scores = self.scores(self._standardizer.apply(rows.reshape(-1, rows.shape[-1])))
                probabilities[top : top + len(rows), :, columns] = scores.reshape(*rows.shape[:2], -1)
                bar.update(len(rows))
        return probabilities

    def scores(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, F) → (N, classes seen) that sum to 1: the estimator's probabilities, or the softmax of its decisions."""
        if hasattr(self._estimator, "predict_proba"):
            return np.asarray(self._estimator.predict_proba(values), dtype=np.float32)
        decisions = self._estimator.decision_function(values)
        if decisions.ndim == 1:
            decisions = np.column_stack([-decisions, decisions])
        return softmax(decisions, axis=1).astype(np.float32)
