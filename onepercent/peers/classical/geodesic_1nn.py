"""`geodesic-1nn`: the nearest label along the image; a step costs more the more the spectrum changes.

No classifier: spectra decide where the way is long, never which class they look like. Geodesic distances
from labelled seeds are an old idea of image segmentation (Bai and Sapiro, A geodesic framework for fast
interactive image and video segmentation and matting, ICCV 2007); the cost, the smoothing and the choice on
validation pixels are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.method import Method, one_hot
from onepercent.peers.classical.superpixels import fit_components, neighbours, segment_means, superpixels


@dataclass(frozen=True)
class Geodesic1NNOptions:
    """Settings of `Geodesic1NN`: a grid, of which the validation pixels choose one pair.

    Attributes
    ----------
    pixels_per_segment : mean sizes of the superpixels over which spectra are averaged first; 1 leaves them as
        they are.
    contrasts : how many pixels' length a step costs more whose spectrum changes by one standard deviation of
        the scene, in the root mean square over the bands.
    """

    pixels_per_segment: tuple[int, ...] = (1, 10, 25, 50, 100)
    contrasts: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0)
    kind: ClassVar[str] = "Geodesic1NNOptions"
    uses_spectra: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.pixels_per_segment or min(self.pixels_per_segment) < 1:
            raise InputError("geodesic-1nn: pixels_per_segment needs numbers of at least 1.")
        if not self.contrasts or not all(isinstance(c, (int, float)) and c >= 0 for c in self.contrasts):
            raise InputError("geodesic-1nn: contrasts needs numbers of at least 0.")

    def build(self, device: torch.device) -> Geodesic1NN:
        """A method that is not fitted yet."""
        return Geodesic1NN(self)


class Geodesic1NN(Method):
    """Dijkstra's shortest ways from all training pixels at once on the graph of 8 neighbours (SciPy).

    A step between neighbours p and q costs ``‖p − q‖ · (1 + contrast · rms(s_p − s_q))``, s being the
    standardised and smoothed spectra. A contrast of 0 is close to `coordinates-1nn`: the nearest label by
    steps of 1 and √2.
    """

    def __init__(self, options: Geodesic1NNOptions) -> None:
        self.options = options

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Try every pair of the grid; keep the one most right on the validation pixels, the first of equals."""
        spectra = Standardizer.fit(scene.cube).apply(scene.cube)
        components = fit_components(scene.cube, 3).apply(scene.cube)
        labels = np.zeros(scene.shape, dtype=np.int64)
        labels.ravel()[split.train] = split.train_labels
        self.validation_accuracy: dict[str, float] = {}
        best = -1.0
        for size in self.options.pixels_per_segment:
            smoothed = spectra
            if size > 1:
                segments = superpixels(components, size)
                smoothed = segment_means(spectra, segments)[segments].astype(np.float32)
            for contrast in self.options.contrasts:
                _, _, sources = dijkstra(
                    step_costs(smoothed, contrast),
                    directed=False,
                    indices=split.train,
                    min_only=True,
                    return_predecessors=True,
                )
                class_map = labels.ravel()[sources]
                right = class_map[split.val] == split.val_labels
                accuracy = float(right.mean()) if right.size else 0.0
                self.validation_accuracy[f"{size}, {contrast:g}"] = accuracy
                if accuracy > best:
                    best, self.chosen, self._class_map = accuracy, (size, contrast), class_map.reshape(scene.shape)

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K), 1 for the nearest label. Good for the scene it was fitted on only."""
        return one_hot(self._class_map, scene.n_classes)

    def details(self) -> dict[str, Any]:
        """The pair chosen and the validation accuracy of each, by "pixels per segment, contrast"."""
        size, contrast = self.chosen
        return {
            "chosen": {"pixels_per_segment": size, "contrast": contrast},
            "validation_accuracy": self.validation_accuracy,
        }


def step_costs(spectra: NDArray[np.float32], contrast: float) -> csr_matrix:
    """The graph of an image (H, W, S): (H · W, H · W), one entry for each pair of the eight neighbours."""
    height, width, _ = spectra.shape
    pixels = np.arange(height * width).reshape(height, width)
    costs, starts, ends = [], [], []
    for (length, here, there), (_, start, end) in zip(neighbours(spectra), neighbours(pixels), strict=True):
        change = np.sqrt(np.square(here - there).mean(axis=-1, dtype=np.float64))
        costs.append((length * (1 + contrast * change)).ravel())
        starts.append(start.ravel())
        ends.append(end.ravel())
    entries = np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))
    return coo_matrix(entries, shape=(pixels.size, pixels.size)).tocsr()
