"""What scikit-learn classifiers on single spectra have in common."""

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
from hsilib.models.method import Method
from hsilib.progress import progress

ROWS_AT_ONCE = 32


class PixelwiseClassifier(Method):
    """One standardised spectrum in, one label out. A subclass says which estimator."""

    @abstractmethod
    def estimator(self, train_labels: NDArray[np.int64], seed: int) -> Any:
        """A scikit-learn classifier that is not fitted yet."""

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Fit on the training spectra."""
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        self._standardizer = Standardizer.fit(scene.cube)
        spectra = self._standardizer.apply(scene.cube.reshape(-1, scene.n_bands)[split.train])
        self._estimator = self.estimator(split.train_labels, seed).fit(spectra, split.train_labels)

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K); a class without training pixels has probability 0."""
        probabilities = np.zeros((*scene.shape, scene.n_classes), dtype=np.float32)
        columns = self._estimator.classes_ - 1
        with progress(scene.shape[0], "predict", "row") as bar:
            for top in range(0, scene.shape[0], ROWS_AT_ONCE):
                rows = scene.cube[top : top + ROWS_AT_ONCE]
                scores = self.scores(self._standardizer.apply(rows.reshape(-1, scene.n_bands)))
                probabilities[top : top + len(rows), :, columns] = scores.reshape(*rows.shape[:2], -1)
                bar.update(len(rows))
        return probabilities

    def scores(self, spectra: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, S) → (N, classes seen) that sum to 1: the estimator's probabilities, or the softmax of its decisions."""
        if hasattr(self._estimator, "predict_proba"):
            return np.asarray(self._estimator.predict_proba(spectra), dtype=np.float32)
        decisions = self._estimator.decision_function(spectra)
        if decisions.ndim == 1:
            decisions = np.column_stack([-decisions, decisions])
        return softmax(decisions, axis=1).astype(np.float32)
