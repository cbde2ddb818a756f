"""Test-time augmentation: the scene is seen in several views and the probabilities are averaged.

The description counts "4 rotations × 4 flips", 16 combinations. A square can be laid down in eight
ways only (quarter turns, and their mirror images), so each of the eight is there twice: a second pass
over the same view would cost time and change nothing. Sixteen views are the eight, once with
spectral noise of 0.01 and once of 0.02.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.orientation import N_ORIENTATIONS, turned, turned_back
from hsilib.errors import InputError
from hsilib.inference.dense import folded_views, map_tiles, padded_windows, predict_logits
from hsilib.model.network import Network
from hsilib.progress import progress

VIEWS = (0, 8, 16)
NOISE_LEVELS = (0.01, 0.02)
CONFIDENCE_FACTOR = 2


class View(NamedTuple):
    """One way to look at the scene.

    Attributes
    ----------
    orientation : 0…7 as in `hsilib.data.orientation.turned`; 0 leaves the scene as it is.
    noise : standard deviation of Gaussian noise, in units of each band's range over the scene.
    """

    orientation: int
    noise: float


def scene_views(views: int) -> list[View]:
    """The views behind a number of them: 0 the scene as it is, 8 its orientations, 16 these at two noise levels.

    Raises
    ------
    InputError : a number that is not in ``VIEWS``.
    """
    if views not in VIEWS:
        raise InputError(
            f"tta is {views}; expected 0 (one plain pass), 8 (the orientations of the scene) or 16 (the orientations, "
            f"once at each noise level, {NOISE_LEVELS[0]} and {NOISE_LEVELS[1]})."
        )
    if views == 0:
        return [View(0, 0.0)]
    levels = (0.0,) if views == N_ORIENTATIONS else NOISE_LEVELS
    return [View(orientation, noise) for noise in levels for orientation in range(N_ORIENTATIONS)]


@torch.inference_mode()
def predict_view(
    model: Network,
    cube: NDArray[np.generic],
    view: View,
    generator: torch.Generator,
    band_range: NDArray[np.float32] | None = None,
) -> torch.Tensor:
    """Probabilities of every pixel as one view gives them, laid back onto the scene.

    Parameters
    ----------
    cube : (H, W, S) raw values. generator : a CPU generator; draws the noise, one number a value.
    band_range : (S,) each band's largest value minus its smallest, where it is known already.

    Returns
    -------
    (H, W, K) float32 on the model's device.
    """
    seen = turned(cube, view.orientation, axes=(0, 1))
    if view.noise:
        seen = _noisy(seen, view.noise * (_band_range(cube) if band_range is None else band_range), generator)
    return turned_back(predict_logits(model, seen).softmax(dim=-1), view.orientation, axes=(0, 1))


@torch.inference_mode()
def predict_proba(model: Network, cube: NDArray[np.generic], views: int, generator: torch.Generator) -> torch.Tensor:
    """Mean of the views' probabilities; each pixel weights its views by softmax(2 · confidence).

    The confidence of a view at a pixel is its largest probability there. So weights differ by a
    factor of e² at most. Views without noise are averaged tile by tile and share what turning does not change
    (`folded_views`). Of views with noise one is held at a time, and beside it the sums Σ e^{2c} p and Σ e^{2c}.

    Parameters
    ----------
    cube : (H, W, S) raw values.
    views : one of ``VIEWS``; 0 is one plain pass, the softmax of `predict_logits`.
    generator : a CPU generator; draws the noise of 16 views and nothing for 0 and 8.

    Returns
    -------
    (H, W, K) float32 on the model's device, each pixel's sum is 1.

    Raises
    ------
    InputError : a number of views that is not in ``VIEWS``.
    """
    chosen = scene_views(views)
    if len(chosen) == 1:
        return predict_view(model, cube, chosen[0], generator)
    if not any(view.noise for view in chosen):
        return _mean_of_orientations(model, cube)
    band_range = _band_range(cube)
    device = model.band_mean.device
    total = torch.zeros(*cube.shape[:2], model.n_classes, device=device)
    weights = torch.zeros(*cube.shape[:2], 1, device=device)
    with progress(views, "test-time augmentation", "view") as bar:
        for view in chosen:
            proba = predict_view(model, cube, view, generator, band_range)
            weight = _weights(proba, dim=-1)
            total.addcmul_(weight, proba)
            weights += weight
            bar.update()
    return total / weights


def _mean_of_orientations(model: Network, cube: NDArray[np.generic]) -> torch.Tensor:
    """(H, W, K) mean of the eight views without noise, of one tile after the other."""
    model.eval()
    forward = folded_views(model, range(N_ORIENTATIONS))

    def mean(x: torch.Tensor) -> torch.Tensor:
        proba = forward(x).softmax(dim=1)
        weights = _weights(proba, dim=1)
        return (weights * proba).sum(dim=0, keepdim=True) / weights.sum(dim=0)

    windows = padded_windows(cube, model.patch_size // 2, model.band_mean.device)
    return map_tiles(mean, windows, cube.shape[:2], model.patch_size - 1, model.tile)


def _weights(proba: torch.Tensor, dim: int) -> torch.Tensor:
    """e^{2c}, the softmax's numerators; c is at most 1, so nothing overflows. ``dim``: the classes, kept as one."""
    return torch.exp(CONFIDENCE_FACTOR * proba.amax(dim=dim, keepdim=True))


def _band_range(cube: NDArray[np.generic]) -> NDArray[np.float32]:
    """(S,) each band's largest value in the scene minus its smallest."""
    low, high = (np.asarray(edge(axis=(0, 1)), dtype=np.float32) for edge in (cube.min, cube.max))
    return high - low


def _noisy(
    cube: NDArray[np.generic], deviation: NDArray[np.float32], generator: torch.Generator
) -> NDArray[np.float32]:
    """The cube in float32 with noise of ``deviation`` (S,): one new array, filled in place."""
    noisy = torch.randn(cube.shape, generator=generator).numpy()
    noisy *= deviation
    noisy += cube
    return noisy
