"""Mend a lost byte where neighbouring bands say which value was meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsilib.data.lost_byte import Damage, candidates, detect_lost_byte
from hsilib.data.scene import Scene
from hsilib.errors import InputError

PREDICTORS = 24  # neighbouring bands that predict a band
COMPONENTS = 10  # of a pixel's spectrum, that tell a run of wrong bands from a run of right ones
SCALES_PER_STEP = 4.0  # a band is decided only where its residual scale is below step / 4
MAX_ROUNDS, MAX_PASSES = 8, 20  # rounds that start anew; passes over the bands in each


@dataclass(frozen=True, eq=False)
class Repair:
    """What `repair_lost_byte` did.

    Attributes
    ----------
    cube : (H, W, S), type and byte order of the input, memory of its own.
    changed : (H, W, S) bool, values that differ from the input.
    residual_scale_dn : (S,) robust standard deviation (DN) of each band about its prediction, on values that
        cannot be wrong; NaN for bands without suspicious values. Decisions rest on it.
    damage : the verdict that was acted on.
    n_ambiguous : decided values whose prediction lies within step / 8 of half way between the candidates.
    n_left : values suspicious in an upper byte whose band is not predicted well enough to decide.
    n_left_low : the same for the lowest byte; each is right or off by the difference of the two bytes, in DN.
    """

    cube: NDArray[np.integer[Any]]
    changed: NDArray[np.bool_]
    residual_scale_dn: NDArray[np.float64]
    damage: Damage
    n_ambiguous: int
    n_left: int
    n_left_low: int

    @property
    def n_changed(self) -> int:
        """Values that differ from the input."""
        return int(np.count_nonzero(self.changed))


def repair_lost_byte(cube: NDArray[np.integer[Any]], damage: Damage | None = None) -> Repair:
    """Give the lost byte back to those values of a cube whose neighbouring bands say that they had it.

    Each band is predicted linearly from its 24 neighbouring bands as they stand, and each of its suspicious values
    becomes the nearer of its two candidates, again and again until nothing changes. The first round of this fits to
    values that cannot be wrong. A run of bands that are all wrong still looks right to itself, so each later round
    starts from decisions taken anew by the ten leading components of each pixel's sound values. It fits to all
    values, since a fit without one range of them is bent where a band is noisy. A pixel that is suspicious in most of
    its bands may stay wrong in a run of them.

    Bytes are mended from the highest down. A byte in which the lost value occurs is sound, or mended before, and
    stays; so a second repair changes nothing.

    A band is decided only if its residual scale is below a quarter of the step between the candidates, which puts
    the point half way at least two scales from either. For 13 turned into 10 the step is 768 DN in the high byte of
    16-bit values; in the low byte it is 3 DN, which as a rule cannot be decided and is left.

    Parameters
    ----------
    cube : (H, W, S) integers, raw sensor values; not modified.
    damage : the verdict to act on, perhaps on a larger part of the same file; `detect_lost_byte` where None.

    Raises
    ------
    InputError : the cube is not (H, W, S) integers, or values are suspicious in an upper byte and no band is
        predicted well enough to decide any of them.
    """
    if cube.ndim != 3:
        raise InputError(f"the cube has shape {cube.shape}; expected (rows, columns, bands).")
    damage = detect_lost_byte(cube) if damage is None else damage
    scales = np.full(cube.shape[2], np.nan)
    repaired = cube.copy()
    n_close = n_upper = n_left = n_left_low = 0
    for k in reversed(range(cube.itemsize)):
        suspicious, altered = candidates(repaired, damage, k)
        if suspicious.any():
            at = tuple(np.argwhere(suspicious)[0])
            step = float(altered[at]) - float(repaired[at])
            alter, left, close = _decide(_by_band(repaired).astype(float), _by_band(suspicious), step, scales)
            repaired = np.where(alter.T.reshape(cube.shape), altered, repaired)
            n_close += close
            if k:
                n_upper, n_left = n_upper + int(suspicious.sum()), n_left + left
            else:
                n_left_low = left
    if n_upper and n_left == n_upper:
        raise InputError(
            f"{n_upper} values may be wrong in an upper byte ({damage.became} in place of {damage.lost_byte}), but no "
            f"band is predicted by its neighbours to within a quarter of that error (best residual scale: "
            f"{np.nanmin(scales):.0f} DN); leave the cube as it is or obtain an undamaged copy."
        )
    return Repair(repaired.astype(cube.dtype), repaired != cube, scales, damage, n_close, n_left, n_left_low)


def repair_scene(scene: Scene) -> Scene:
    """The scene with its cube repaired, named ``<name>-repaired``; the same object where nothing is to be changed.

    Raises `InputError` as `repair_lost_byte` does.
    """
    cube: NDArray[Any] = scene.cube
    repair = repair_lost_byte(cube)
    if not repair.n_changed:
        return scene
    note = (
        f"repaired: {repair.n_changed} values ({repair.changed.mean():.2%}) held byte {repair.damage.became} in place "
        f"of {repair.damage.lost_byte}; {repair.n_left_low} values may still do so in their lowest byte."
    )
    return scene.with_cube(repair.cube, name=f"{scene.name}-repaired", note=note)


def _decide(
    low: NDArray[np.float64], suspicious: NDArray[np.bool_], step: float, scales: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], int, int]:
    """Choose between ``low`` and ``low + step``, (S, N), where suspicious; bands with a known scale too large are left.

    Returns which values to alter (S, N), how many were left and how many were close calls; writes the scales (S,)
    that it measured.
    """
    n_bands = len(low)
    width = min(n_bands, PREDICTORS + 1)
    most = abs(step) / SCALES_PER_STEP
    low = low - low.mean(axis=1, keepdims=True)
    now = low.copy()
    open_bands = suspicious.any(axis=1) & ~(scales > most)
    close = np.zeros(n_bands, dtype=np.int64)
    for round_ in range(MAX_ROUNDS):
        before = now.copy()
        # After the first round only the bands that passed the criterion are worth another look.
        stale = open_bands & ~(scales > most)
        if round_ and stale.any():
            expected, spread = _predict_from_sound(now, suspicious)
            trusted = stale & (spread <= most)
            now[trusted] = np.where(suspicious & ((expected - low) / step > 0.5), low + step, low)[trusted]
        for _ in range(MAX_PASSES):
            if not stale.any():
                break
            for band in range(n_bands):
                if not stale[band]:  # asked anew for each band, for those before it make it stale
                    continue
                stale[band] = False
                first = min(max(0, band - width // 2), n_bands - width)
                fitted = np.ones_like(suspicious[band]) if round_ else ~suspicious[band]
                predicted, scale = _predict(now[first : first + width], band - first, fitted)
                if not round_:
                    scales[band] = scale
                beyond_middle = (predicted - low[band]) / step - 0.5
                close[band] = np.count_nonzero(suspicious[band] & (np.abs(beyond_middle) < 1 / 8))
                alter = suspicious[band] & (beyond_middle > 0) & (scales[band] <= most)
                if (alter != (now[band] != low[band])).any():
                    now[band] = np.where(alter, low[band] + step, low[band])
                    near = slice(max(0, band - PREDICTORS), band + PREDICTORS + 1)
                    stale[near] |= open_bands[near]
        if round_ and (now == before).all():
            break
    decided = open_bands & (scales <= most)
    return now != low, int(suspicious[~decided].sum()), int(close[decided].sum())


def _predict(window: NDArray[np.float64], target: int, fitted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Predict row ``target`` of ``window`` (bands, N) from the others by least squares on the ``fitted`` (N,) values.

    Returns the prediction (N,) and the residual scale on those values: infinite where they are too few.
    """
    n, n_bands = int(fitted.sum()), len(window)
    if n < 2 * n_bands:
        return window[target], float("inf")
    mean = (window @ fitted) / n
    gram = (window * fitted) @ window.T - n * np.outer(mean, mean)
    others = np.arange(n_bands) != target
    weights = np.zeros(n_bands)
    weights[others] = np.linalg.lstsq(gram[np.ix_(others, others)], gram[others, target], rcond=None)[0]
    predicted = weights @ window + (mean[target] - weights @ mean)
    # 1.4826 makes the median absolute residual of normal noise its standard deviation.
    scale = 1.4826 * float(np.median(np.abs(window[target] - predicted)[fitted])) * (n / (n - n_bands)) ** 0.5
    return predicted, scale


def _predict_from_sound(
    now: NDArray[np.float64], suspicious: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict all values (S, N) from the sound ones of the same pixel, by the leading components of ``now`` (S, N).

    Returns the predictions and the residual scale (S,) of each band.
    """
    mean = now.mean(axis=1, keepdims=True)
    variances, vectors = np.linalg.eigh((now - mean) @ (now - mean).T / now.shape[1])
    variances, vectors = variances[-COMPONENTS:], vectors[:, -COMPONENTS:]
    residual = now - mean - vectors @ (vectors.T @ (now - mean))
    scales = np.maximum(1.4826 * np.median(np.abs(residual), axis=1), 0.3)  # rounding to integers alone leaves 0.29
    weights = ~suspicious / scales[:, None] ** 2
    products = (vectors[:, :, None] * vectors[:, None, :]).reshape(len(now), -1)
    normal = (weights.T @ products).reshape(-1, *2 * (vectors.shape[1],))
    normal += np.diag(1 / np.maximum(variances, 1e-9))  # the spread of the components, where few values are sound
    scores = np.linalg.solve(normal, ((weights * (now - mean)).T @ vectors)[..., None])[..., 0]
    return vectors @ scores.T + mean, scales


def _by_band(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W, S) as (S, H × W), contiguous."""
    return np.ascontiguousarray(array.reshape(-1, array.shape[2]).T)
