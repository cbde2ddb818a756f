"""`svm`: the field's classical baseline, an RBF support vector machine on single spectra.

Reference: Melgani and Bruzzone (2004), Classification of Hyperspectral Remote Sensing Images With
Support Vector Machines, doi:10.1109/TGRS.2004.831865.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from hsilib.checks import check_numbers
from hsilib.errors import InputError
from onepercent.peers.classical.spectrum_classifier import SpectrumClassifier

# Without cross-validation. "scale" is 1 / (S · variance), with all values of the training pixels taken together.
FIXED: dict[str, Any] = {"C": 100.0, "gamma": "scale"}


@dataclass(frozen=True)
class SvmOptions:
    """Settings of `Svm`.

    Attributes
    ----------
    costs : values of C to choose from by cross-validation on the training pixels.
    gammas : RBF widths to choose from, as multiples of 1 / S (spectra are standardised).
    folds : folds of the cross-validation; fewer where the smallest class has fewer pixels.
    """

    costs: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    gammas: tuple[float, ...] = (0.05, 0.2, 1.0, 4.0)
    folds: int = 3
    kind: ClassVar[str] = "SvmOptions"
    uses_spectra: ClassVar[bool] = True
    uses_validation: ClassVar[bool] = False

    def __post_init__(self) -> None:
        values = (*self.costs, *self.gammas)
        if not self.costs or not self.gammas or not all(isinstance(v, (int, float)) and v > 0 for v in values):
            raise InputError("svm: costs and gammas need numbers above 0.")
        check_numbers("svm: ", least=2, whole=True, folds=self.folds)

    def build(self, device: torch.device) -> Svm:
        """A method that is not fitted yet."""
        return Svm(self)


class Svm(SpectrumClassifier):
    """C and γ chosen by stratified cross-validation on the training pixels alone."""

    options: SvmOptions

    def estimator(self, train_labels: NDArray[np.int64], seed: int) -> Any:
        """A grid search around an RBF SVC; a plain SVC where a class has a single training pixel."""
        counts = np.bincount(train_labels)
        if np.count_nonzero(counts) < 2:
            raise InputError("svm: the training pixels are of one class only; it needs at least two.")
        smallest = int(counts[counts > 0].min())
        if smallest < 2:
            return SVC(**FIXED, break_ties=True)
        folds = StratifiedKFold(min(self.options.folds, smallest), shuffle=True, random_state=seed)
        # gamma="scale" is 1 / S on standardised spectra; multiples of it need the band count at fit time.
        return GridSearchCV(_ScaledSvc(), {"C": self.options.costs, "gamma_factor": self.options.gammas}, cv=folds)

    def details(self) -> dict[str, Any]:
        """The chosen C and γ factor; where there was nothing to choose by, what `estimator` fixed."""
        return {"chosen": getattr(self._estimator, "best_params_", FIXED)}


class _ScaledSvc(SVC):
    """SVC whose γ is ``gamma_factor`` / S."""

    def __init__(self, C: float = 1.0, gamma_factor: float = 1.0) -> None:
        super().__init__(C=C, break_ties=True)
        self.gamma_factor = gamma_factor

    def fit(self, X: NDArray[np.float32], y: NDArray[np.int64], sample_weight: None = None) -> _ScaledSvc:
        self.gamma = self.gamma_factor / X.shape[1]
        super().fit(X, y, sample_weight)
        return self
