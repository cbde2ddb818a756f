"""Find and mend a lost byte: an integer cube in which one byte value was turned into another.

A file that passes through a text-mode transfer may lose a byte value: every 13 (carriage return)
becomes 10 (line feed), in each byte of each value alike. The low byte then costs 3 DN, the high
byte of a 16-bit value 768 DN. `detect_lost_byte` reads this from the byte histogram of any integer
cube; `repair_lost_byte` mends it where neighbouring bands say which value was meant; `repair_scene`
does both to a `Scene`; `judge_repair` checks a repair against an independent 8-bit copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.errors import InputError

PREDICTORS = 12  # neighbouring bands that predict a band
WINDOW = 4  # bytes on each side that say how often a byte is expected
MIN_LOG10_ODDS = 3.0
SCALES_PER_STEP = 8.0  # a band is decided only where its residual scale is below step / 8
MAX_ITERATIONS = 20
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Damage:
    """What `detect_lost_byte` found.

    Attributes
    ----------
    found : whether a byte value was lost.
    reason : one sentence on why, or why not.
    lost_byte, became : the byte that no longer occurs and the one it was turned into, 0…255; None if not found.
    confidence : log10 of the odds that ``lost_byte`` became ``became`` rather than simply not occurring,
        after a correction for the 256 × 255 pairs that could have been named; 0 where nothing was found.
        See `detect_lost_byte` for the closed form.
    suspicious_per_byte : values whose byte k (0 = lowest) is ``became``, for each k; 0 where
        ``lost_byte`` still occurs in that byte, because then that byte is sound.
    """

    found: bool
    reason: str
    lost_byte: int | None = None
    became: int | None = None
    confidence: float = 0.0
    suspicious_per_byte: tuple[int, ...] = ()

    @property
    def n_suspicious(self) -> int:
        """Values that may be wrong in a byte above the lowest, by 256 × (lost − became) DN and more."""
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
    cube : (H, W, S), type and byte order of the input; never the same memory.
    changed : (H, W, S) bool, values that differ from the input.
    residual_scale_dn : (S,) robust standard deviation, in DN, of each band about its prediction, on values
        that cannot be wrong; NaN for bands without suspicious values. Decisions rest on it.
    damage : the verdict that was acted on.
    n_iterations : passes over the bands until nothing changed.
    n_ambiguous : decided values whose prediction lay within step / 8 of half way between both candidates.
    n_left : values left as they were because their band is not predicted well enough; lowest byte not counted.
    n_left_low : the same for the lowest byte; each is right or off by |lost − became| DN.
    """

    cube: NDArray[np.integer]
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
        return int(self.changed.sum())


@dataclass(frozen=True)
class Judgement:
    """Decisions of a repair against an independent copy: counts of values.

    Attributes
    ----------
    n_decided : suspicious values for which the copy supports exactly one of the two candidates.
    n_undecided : the other suspicious values: clipped in the copy, or the copy supports neither.
    right_changed, wrong_changed, right_kept, wrong_kept : the decided values, by what the repair did.
    """

    right_changed: int
    wrong_changed: int
    right_kept: int
    wrong_kept: int
    n_undecided: int
    wrong: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def n_decided(self) -> int:
        """Values that the copy can judge."""
        return self.right_changed + self.wrong_changed + self.right_kept + self.wrong_kept

    @property
    def precision(self) -> float:
        """Share of the changed values that had to be changed; NaN without any."""
        return _ratio(self.right_changed, self.right_changed + self.wrong_changed)

    @property
    def recall(self) -> float:
        """Share of the values that had to be changed which were; NaN without any."""
        return _ratio(self.right_changed, self.right_changed + self.wrong_kept)


def byte_histogram(cube: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count each byte value in each byte of the values, lowest byte first, whatever the byte order on disk.

    Parameters
    ----------
    cube : integers of any shape, signed ones as two's complement.

    Returns
    -------
    (B, 256) counts, B bytes per value: (1, 256) for 8-bit, (2, 256) for 16-bit with low and high.

    Raises
    ------
    InputError : the cube does not hold integers.
    """
    return np.stack([np.bincount(plane, minlength=256) for plane in _bytes(cube).reshape(-1, cube.itemsize).T])


def detect_lost_byte(cube: NDArray[np.integer]) -> Damage:
    """Say whether one byte value was turned into another everywhere in the cube.

    The lowest byte tells: its histogram is the smoothest. Each byte's expected count m is the median of its
    eight neighbours (circular), and the excess variance over Poisson counts, phi >= 1, is measured on the same
    histogram. Byte L never occurring and byte B occurring c times, the odds that L became B (B is then expected
    m_L + m_B times) against L simply missing are, as quasi-Poisson likelihoods,

        log10 odds = [c ln(1 + m_L / m_B) - m_L] / (phi ln 10) - log10(256 * 255).

    Found are odds above 10^3 with c within a quarter of m_L + m_B, provided that every neighbour of L is
    common and that L is the only such hole: scaled or stretched data have many.

    Parameters
    ----------
    cube : integers of any shape, size, sign and byte order.

    Raises
    ------
    InputError : the cube does not hold integers.
    """
    counts = byte_histogram(cube)
    low = counts[0].astype(np.float64)
    offsets = [o for o in range(-WINDOW, WINDOW + 1) if o]
    neighbours = np.stack([np.roll(low, -o) for o in offsets])
    expected = np.median(neighbours, axis=0)
    common = expected > 0
    holes = np.flatnonzero((low == 0) & common & (neighbours.min(axis=0) > expected / 2))
    if holes.size != 1:
        what = "no byte value is missing among common ones" if not holes.size else f"{holes.size} bytes are missing"
        return Damage(False, f"{what} in the lowest byte of {cube.size} values.")
    lost = int(holes[0])
    phi = max(1.0, float(np.median((low - expected)[common] ** 2 / expected[common])) / 0.4549)
    rates = np.where(common, expected, 1.0)
    odds = (low * np.log1p(rates[lost] / rates) - rates[lost]) / (phi * np.log(10)) - np.log10(256 * 255)
    fits = common & (np.abs(low / (rates + rates[lost]) - 1) < 0.25)
    became = int(np.argmax(np.where(fits, odds, -np.inf)))
    if not fits.any() or odds[became] < MIN_LOG10_ODDS:
        return Damage(
            False,
            f"byte {lost} is missing, but no other byte is in excess enough to have taken its place, "
            f"in the lowest byte of {cube.size} values.",
        )
    return Damage(
        True,
        f"byte {lost} never occurs in the lowest byte, where about {rates[lost]:.0f} are expected; "
        f"byte {became} occurs {low[became]:.0f} times instead of about {rates[became]:.0f}.",
        lost,
        became,
        float(odds[became]),
        tuple(int(c[became]) if c[lost] == 0 else 0 for c in counts),
    )


def repair_lost_byte(cube: NDArray[np.integer], damage: Damage | None = None) -> Repair:
    """Give back the lost byte to the values whose neighbouring bands say that they had it.
    """
    damage = detect_lost_byte(cube) if damage is None else damage
    values = _bytes(cube).copy()
    n_bands = cube.shape[2]
    scale = np.full(n_bands, np.nan)
    n_iterations = n_ambiguous = n_left = n_left_low = 0
    if damage.found:
        assert damage.lost_byte is not None and damage.became is not None
        for k in reversed(range(cube.itemsize)):
            suspicious = values[..., k] == damage.became
            if not suspicious.any() or (values[..., k] == damage.lost_byte).any():
                continue
            high = values.copy()
            high[..., k] = damage.lost_byte
            both = np.moveaxis(np.stack([_values(values, cube.dtype), _values(high, cube.dtype)]), 3, 1)
            both = both.reshape(2, n_bands, -1).astype(np.float64)
            low_, high_ = both
            s = np.moveaxis(suspicious, 2, 0).reshape(n_bands, -1)
            cur = low_.copy()
            bands = np.flatnonzero(s.any(axis=1))
            for it in range(MAX_ITERATIONS):
                nch = 0
                for b in bands:
                    first = min(max(0, b - PREDICTORS // 2), max(0, n_bands - PREDICTORS - 1))
                    near = [j for j in range(first, min(n_bands, first + PREDICTORS + 1)) if j != b]
                    x = cur[near]; ok = ~s[b]
                    mx = x[:, ok].mean(1, keepdims=True); my = cur[b, ok].mean()
                    xc = x - mx
                    w = np.linalg.lstsq(xc[:, ok] @ xc[:, ok].T, xc[:, ok] @ (cur[b, ok] - my), rcond=None)[0]
                    pred = my + w @ xc
                    r = (cur[b] - pred)[ok]
                    scale[b] = MAD_TO_SIGMA * np.median(np.abs(r - np.median(r)))
                    new = np.where(s[b] & (np.abs(high_[b] - pred) < np.abs(low_[b] - pred)), high_[b], low_[b])
                    nch += (new != cur[b]).sum()
                    cur[b] = new
                print(k, it, nch)
                if nch == 0 or k==0: break
            if k == 0: continue
            ch = np.moveaxis((cur != low_).reshape((n_bands,) + cube.shape[:2]), 0, 2)
            values[..., k][ch] = damage.lost_byte
    repaired = _values(values, cube.dtype)
    return Repair(repaired, repaired != cube, scale, damage, n_iterations, n_ambiguous, n_left, n_left_low)


def judge_repair(
    original: NDArray[np.integer], repair: Repair, reference: NDArray[np.uint8], tolerance: float = 1.0
) -> Judgement:
    d = repair.damage
    o = _bytes(original)
    susp = o[..., 1] == d.became
    hi = o.copy(); hi[..., 1] = d.lost_byte
    low_, high_ = original.astype(float), _values(hi, original.dtype).astype(float)
    sup_low = np.zeros(susp.shape, bool); sup_high = sup_low.copy()
    for b in range(original.shape[2]):
        if not susp[..., b].any(): continue
        y = reference[..., b].astype(float)
        use = ~susp[..., b] & (y > 0) & (y < 255)
        a, c = np.polyfit(low_[..., b][use], y[use], 1)
        res = y[use] - a * low_[..., b][use] - c
        for cand, sup in ((low_, sup_low), (high_, sup_high)):
            sup[..., b] = np.abs(np.clip(a * cand[..., b] + c, 0, 255) - y) < tolerance
        if b % 17 == 0: print(b, a, 768 * a, np.abs(res).max(), np.median(np.abs(res)), use.sum())
    dec = susp & (sup_low != sup_high)
    c = repair.changed
    return Judgement(*(int((dec & m).sum()) for m in (c & sup_high, c & sup_low, ~c & sup_low, ~c & sup_high)),
        int((susp & ~dec).sum()), dec & (c == sup_low))


def _bytes(cube: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(..., B) bytes of each value, lowest first; a copy where the layout asks for one."""
    if not np.issubdtype(cube.dtype, np.integer):
        raise InputError(
            f"the cube holds {cube.dtype}, which has no bytes to compare; give the integers it was read from, "
            f"for example cube.astype(np.uint16) where they are whole numbers."
        )
    little = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(*cube.shape, cube.itemsize)


def _values(planes: NDArray[np.uint8], dtype: np.dtype[np.integer]) -> NDArray[np.integer]:
    """The inverse of `_bytes`, in the given type and byte order."""
    return np.ascontiguousarray(planes).view(dtype.newbyteorder("<"))[..., 0].astype(dtype)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
