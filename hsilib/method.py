"""`Method`: what `experiment.run` runs. A rule on coordinates, an SVM and a network differ behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.errors import InputError

SEEDS_TOGETHER = "seeds_together"  # in a record's timing: its seconds are a share of what so many runs took at once


@dataclass(frozen=True)
class Workspace:
    """Where a run keeps what an interruption must not lose and what other runs can use again.

    Attributes
    ----------
    folder : shared by all runs. run : the run's own id.
    """

    folder: Path
    run: str

    @property
    def checkpoint(self) -> Path:
        """The state of this run's training; deleted when the run is done."""
        return self.folder / f"{self.run}.checkpoint"

    @property
    def pretrained(self) -> Path:
        """Pre-trained encoders, found again by their content."""
        return self.folder / "pretrained"


class Method(ABC):
    """Learns from the training pixels of a split and gives class probabilities for every pixel.

    It never sees a test label: the scene comes without ground truth, the split with the test
    labels hidden. The validation pixels are for choosing, such as a scale or an epoch.

    Attributes
    ----------
    workspace : set by who runs the method; None keeps nothing on disk.
    seconds : what the stages of `fit` took, if it has any, as they go into the record's ``timing``. Where several
        methods were fitted together, their number stands beside it as ``SEEDS_TOGETHER``.
    """

    workspace: Workspace | None = None
    seconds: Mapping[str, float] = MappingProxyType({})

    @abstractmethod
    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Learn. All randomness comes from ``generator``."""

    @abstractmethod
    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K) class probabilities that sum to 1."""

    def save(self, path: Path, class_names: Sequence[str]) -> None:
        """Write the fitted network to one file, for `hsilib.rasters.classify.classify_raster`.

        Raises
        ------
        InputError : the method has no network, or the folder cannot be written.
        """
        raise InputError(f"{type(self).__name__} trains no network, so there is none to save.")

    def details(self) -> dict[str, Any]:
        """What the record keeps of the fitted method: parameters, choices made on validation, curves."""
        return {}


class MethodOptions(Protocol):
    """A frozen dataclass of a method's settings that can build it.

    Attributes
    ----------
    kind : what record ids call the class; it stays when the class is renamed.
    uses_spectra : whether the method needs the cube, or coordinates and labels alone.
    uses_validation : whether it chooses by validation pixels. If not it never sees them: its labels are the training
        pixels alone.
    """

    kind: ClassVar[str]
    uses_spectra: ClassVar[bool]

    @property
    def uses_validation(self) -> bool: ...

    def build(self, device: torch.device) -> Method:
        """A method that is not fitted yet."""


def one_hot(labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float32]:
    """Labels 1…K of any shape → probabilities 0 or 1 with a last axis K."""
    return np.eye(n_classes, dtype=np.float32)[labels - 1]
