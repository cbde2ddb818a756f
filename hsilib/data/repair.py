"""Find and mend a lost byte: an integer cube in which one byte value was turned into another.

A text-mode file transfer may do so: every 13 (carriage return) becomes 10 (line feed), in each byte of each
value alike. In 16-bit values that costs 3 DN where it strikes the low byte and 768 DN where it strikes the high.

`detect_lost_byte` reads it from the byte histogram of any integer cube, `repair_lost_byte` mends it where
neighbouring bands say which value was meant, `repair_scene` does both to a `Scene`, and `judge_repair`
checks a repair against an independent 8-bit copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.errors import InputError

WINDOW = 4  # bytes on each side that say how often a byte is expected
MIN_LOG10_ODDS = 3.0
PREDICTORS = 24  # neighbouring bands that predict a band
COMPONENTS = 10  # of a pixel's spectrum, that tell a run of wrong bands from a run of right ones
SCALES_PER_STEP = 4.0  # a band is decided only where its residual scale is below step / 4
MAX_ROUNDS, MAX_PASSES = 8, 20  # rounds that start anew; passes over the bands in each


@dataclass(frozen=True)
class Damage:
    """What `detect_lost_byte` found.

    Attributes
    ----------
    found, reason : whether a byte value was lost; one sentence on why, or why not.
    lost_byte, became : the byte 0…255 that never occurs and the one it was turned into; None if not found.
    confidence : log10 odds as `detect_lost_byte` defines them; 0 if not found.
    suspicious_per_byte : for each byte of the values, lowest first, how many values hold ``became`` there;
        0 where ``lost_byte`` still occurs in that byte, because that byte is then sound.
    """

    found: bool
    reason: str
    lost_byte: int | None = None
    became: int | None = None
    confidence: float = 0.0
    suspicious_per_byte: tuple[int, ...] = ()

    @property
    def n_suspicious(self) -> int:
        """Values that may be wrong in a byte above the lowest: by 256 × (lost − became) DN in 16-bit values."""
        return sum(self.suspicious_per_byte[1:])

    @property
    def n_suspicious_low(self) -> int:
        """Values that may be wrong in the lowest byte, by lost − became DN."""
        return sum(self.suspicious_per_byte[:1])


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
    n_iterations : passes over the bands until nothing changed, of all rounds and bytes.
    n_ambiguous : decided values whose prediction lies within step / 8 of half way between the candidates.
    n_left : values suspicious in an upper byte whose band is not predicted well enough to decide.
    n_left_low : the same for the lowest byte; each is right or off by |lost − became| DN.
    """

    cube: NDArray[np.integer[Any]]
    changed: NDArray[np.bool_]
    residual_scale_dn: NDArray[np.float64]
    damage: Damage
    n_iterations: int = 0
    n_ambiguous: int = 0
    n_left: int = 0
    n_left_low: int = 0

    @property
    def n_changed(self) -> int:
        """Values that differ from the input."""
        return int(np.count_nonzero(self.changed))


@dataclass(frozen=True)
class Judgement:
    """A repair against an independent copy: counts of suspicious values.

    The copy decides a value if it supports exactly one of its candidates; ``n_undecided`` are the others, such as
    values clipped in the copy. Of the decided, ``precision`` is the share of the changed that had to be changed and
    ``recall`` the share of those to be changed that were, 0…1 (NaN where there are none). ``wrong`` (H, W, S) marks
    the wrongly changed and the wrongly kept.
    """

    n_decided: int
    n_undecided: int
    n_wrongly_changed: int
    n_wrongly_kept: int
    precision: float
    recall: float
    wrong: NDArray[np.bool_] = field(repr=False, compare=False)


def byte_histogram(cube: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Count each byte value in each byte of integers of any shape, lowest byte first whatever the order in memory.

    Returns (B, 256) for values of B bytes: low and high for 16-bit. Negative values count as two's complement.
    Raises `InputError` if the cube does not hold integers.
    """
    return np.stack([np.bincount(plane, minlength=256) for plane in _bytes(cube).reshape(-1, cube.itemsize).T])


def detect_lost_byte(cube: NDArray[np.integer[Any]]) -> Damage:
    """Say whether one byte value was turned into another throughout a cube of integers of any shape and type.

    The lowest byte tells, for its histogram is the smoothest. The expected count m of a byte is the median of its
    eight neighbours' (circular), and phi ≥ 1 is by how much the counts vary more than Poisson counts. If byte L
    never occurs and byte B occurs c times, the quasi-Poisson odds that L became B (so that B is expected
    m_L + m_B times) against L simply not occurring are

        log10 odds = [c ln(1 + m_L / m_B) − m_L] / (phi ln 10) − log10(256 × 255),

    the last term for all pairs that might have been named. Found are odds above 10³ with c within a quarter of
    m_L + m_B, if all neighbours of L are common and L is the only such hole (stretched data have many).
    Raises `InputError` if the cube does not hold integers.
    """
    counts = byte_histogram(cube)
    low = counts[0].astype(np.float64)
    neighbours = np.stack([np.roll(low, shift) for shift in range(-WINDOW, WINDOW + 1) if shift])
    expected = np.median(neighbours, axis=0)
    common = expected > 0
    rates = np.where(common, expected, 1.0)
    # 0.4549 is the median of the chi-squared distribution with one degree of freedom.
    excess = float(np.median(((low - expected) ** 2 / rates)[common])) / 0.4549 if common.any() else 1.0
    unit = max(1.0, excess) * np.log(10)
    n_pairs = np.log10(256 * 255)
    if rates.max() * (2 * np.log(2) - 1) / unit - n_pairs < MIN_LOG10_ODDS:
        return Damage(False, f"the {cube.size} values are too few or too unevenly spread to tell a loss from chance.")
    holes = np.flatnonzero((low == 0) & (neighbours.min(axis=0) > expected / 2))
    if holes.size != 1:
        what = f"{holes.size} byte values are" if holes.size else "no byte value is"
        return Damage(False, f"{what} missing among common ones; the loss of one would leave one hole.")
    lost = int(holes[0])
    odds = (low * np.log1p(rates[lost] / rates) - rates[lost]) / unit - n_pairs
    odds[~common | (np.abs(low / (rates + rates[lost]) - 1) > 0.25)] = -np.inf
    became = int(np.argmax(odds))
    if odds[became] < MIN_LOG10_ODDS:
        return Damage(False, f"byte {lost} is missing, but no other byte is in excess by as many as are missing.")
    reason = (
        f"byte {lost} never occurs where about {rates[lost]:.0f} are expected (lowest byte of each value), "
        f"and byte {became} occurs {low[became]:.0f} times instead of about {rates[became]:.0f}."
    )
    suspicious = tuple(0 if count[lost] else int(count[became]) for count in counts)
    return Damage(True, reason, lost, became, float(odds[became]), suspicious)


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
    n_passes = n_close = n_upper = n_left = n_left_low = 0
    for k in reversed(range(cube.itemsize)):
        suspicious, altered = _candidates(repaired, damage, k)
        if suspicious.any():
            at = tuple(np.argwhere(suspicious)[0])
            step = float(altered[at]) - float(repaired[at])
            alter, left, close, passes = _decide(_by_band(repaired).astype(float), _by_band(suspicious), step, scales)
            repaired = np.where(alter.T.reshape(cube.shape), altered, repaired)
            n_passes, n_close = n_passes + passes, n_close + close
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
    return Repair(repaired.astype(cube.dtype), repaired != cube, scales, damage, n_passes, n_close, n_left, n_left_low)


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


def judge_repair(
    original: NDArray[np.integer[Any]], repair: Repair, reference: NDArray[Any], tolerance: float = 1.0
) -> Judgement:
    """Compare what a repair decided in the second-lowest byte with an 8-bit copy that does not share the damage.

    Parameters
    ----------
    original, repair : (H, W, S) integers and what `repair_lost_byte` returned for them.
    reference : (H, W, S) levels 0…255: each band stretched linearly and clipped. The stretch is fitted on
        values that cannot be wrong and are not clipped.
    tolerance : levels by which the candidate may differ that the copy supports (rounding alone takes 0.5).

    Raises
    ------
    InputError : shapes that differ, or no damage to values of two or more bytes.
    """
    if not original.shape == reference.shape == repair.changed.shape:
        raise InputError(f"cube {original.shape}, repair {repair.changed.shape}, copy {reference.shape}: must agree.")
    if not repair.damage.found or original.itemsize < 2:
        raise InputError("no lost byte was found in values of two or more bytes, so there is nothing to judge.")
    suspicious, altered = _candidates(original, repair.damage, 1)
    keep, change = np.zeros_like(suspicious), np.zeros_like(suspicious)
    for band in np.flatnonzero(suspicious.any(axis=(0, 1))):
        level = reference[..., band].astype(float)
        usable = ~suspicious[..., band] & (level > 0) & (level < 255)
        stretch = np.polynomial.Polynomial.fit(original[..., band][usable].astype(float), level[usable], 1)
        for cube, supported in ((original, keep), (altered, change)):
            expected = np.clip(stretch(cube[..., band].astype(float)), 0, 255)
            supported[..., band] = np.abs(expected - level) < tolerance
    decided = suspicious & (keep != change)
    changed, due = decided & repair.changed, decided & change
    hits = int((changed & due).sum())
    return Judgement(
        n_decided=int(decided.sum()),
        n_undecided=int((suspicious & ~decided).sum()),
        n_wrongly_changed=int((changed & ~due).sum()),
        n_wrongly_kept=int((due & ~changed).sum()),
        precision=hits / (int(changed.sum()) or float("nan")),
        recall=hits / (int(due.sum()) or float("nan")),
        wrong=changed ^ due,
    )


def _decide(
    low: NDArray[np.float64], suspicious: NDArray[np.bool_], step: float, scales: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], int, int, int]:
    """Choose between ``low`` and ``low + step``, (S, N), where suspicious; bands with a known scale too large are left.

    Returns which values to alter (S, N), how many were left, how many were close calls, and the number of passes;
    writes the scales (S,) that it measured.
    """
    n_bands = len(low)
    width = min(n_bands, PREDICTORS + 1)
    low = low - low.mean(axis=1, keepdims=True)
    now = low.copy()
    open_bands = suspicious.any(axis=1) & ~(scales * SCALES_PER_STEP > abs(step))
    close = np.zeros(n_bands, dtype=np.int64)
    n_passes = 0
    for round_ in range(MAX_ROUNDS):
        sound_only = round_ == 0
        before = now.copy()
        # After the first round only the bands that passed the criterion are worth another look.
        stale = open_bands & ~(scales * SCALES_PER_STEP > abs(step))
        if round_ and stale.any():
            expected, spread = _predict_from_sound(now, suspicious)
            trusted = stale & (spread * SCALES_PER_STEP <= abs(step))
            alter = suspicious & ((expected - low) / step > 0.5)
            now[trusted] = np.where(alter, low + step, low)[trusted]
        for _ in range(MAX_PASSES):
            n_passes += int(stale.any())
            for band in range(n_bands):
                if not stale[band]:
                    continue
                first = min(max(0, band - width // 2), n_bands - width)
                fitted = ~suspicious[band] if sound_only else np.ones_like(suspicious[band])
                predicted, scale = _predict(now[first : first + width], band - first, fitted)
                scales[band] = scale if sound_only else scales[band]
                beyond_middle = (predicted - low[band]) / step - 0.5
                alter = suspicious[band] & (beyond_middle > 0) & (scales[band] * SCALES_PER_STEP <= abs(step))
                close[band] = np.count_nonzero(suspicious[band] & (np.abs(beyond_middle) < 1 / 8))
                stale[band] = False
                if (alter != (now[band] != low[band])).any():
                    now[band] = np.where(alter, low[band] + step, low[band])
                    near = slice(max(0, band - PREDICTORS), band + PREDICTORS + 1)
                    stale[near] |= open_bands[near]
            if not stale.any():
                break
        if round_ and (now == before).all():
            break
    decided = open_bands & (scales * SCALES_PER_STEP <= abs(step))
    return now != low, int(suspicious[~decided].sum()), int(close[decided].sum()), n_passes


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


def _candidates(
    cube: NDArray[np.integer[Any]], damage: Damage, k: int
) -> tuple[NDArray[np.bool_], NDArray[np.integer[Any]]]:
    """Where byte k may have been the lost one, and the cube with the lost byte in all those places."""
    planes = _bytes(cube).copy()
    plane = planes[..., k]
    if damage.lost_byte is None or (plane == damage.lost_byte).any():
        return np.zeros(cube.shape, dtype=bool), cube
    suspicious = plane == damage.became
    plane[suspicious] = damage.lost_byte
    return suspicious, planes.view(cube.dtype.newbyteorder("<"))[..., 0]


def _bytes(cube: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """(..., B) the bytes of each value, lowest first."""
    if not np.issubdtype(cube.dtype, np.integer):
        raise InputError(
            f"the cube holds {cube.dtype}; a lost byte shows only in the integers that were read from the file. "
            f"If these are whole numbers, give cube.astype(np.uint16) or the like."
        )
    little = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(*cube.shape, cube.itemsize)


def _by_band(array: NDArray[Any]) -> NDArray[Any]:
    """(H, W, S) as (S, H × W), contiguous."""
    return np.ascontiguousarray(array.reshape(-1, array.shape[2]).T)
