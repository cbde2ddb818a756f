"""Find a lost byte: an integer cube in which one byte value was turned into another.

A text-mode file transfer may do so: every 13 (carriage return) becomes 10 (line feed), in each byte of each
value alike. In 16-bit values that costs 3 DN where it strikes the low byte and 768 DN where it strikes the high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsilib.errors import InputError

WINDOW = 4  # bytes on each side that say how often a byte is expected
MIN_LOG10_ODDS = 3.0


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


def byte_histogram(cube: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Count each byte value in each byte of integers of any shape, lowest byte first whatever the order in memory.

    Returns (B, 256) for values of B bytes: low and high for 16-bit. Negative values count as two's complement.
    Raises `InputError` if the cube does not hold integers.
    """
    return np.stack([np.bincount(plane, minlength=256) for plane in byte_planes(cube).reshape(-1, cube.itemsize).T])


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


def candidates(
    cube: NDArray[np.integer[Any]], damage: Damage, k: int
) -> tuple[NDArray[np.bool_], NDArray[np.integer[Any]]]:
    """Where byte k may have been the lost one, and the cube with the lost byte in all those places."""
    planes = byte_planes(cube).copy()
    plane = planes[..., k]
    if damage.lost_byte is None or (plane == damage.lost_byte).any():
        return np.zeros(cube.shape, dtype=bool), cube
    suspicious = plane == damage.became
    plane[suspicious] = damage.lost_byte
    return suspicious, planes.view(cube.dtype.newbyteorder("<"))[..., 0]


def byte_planes(cube: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """(..., B) the bytes of each value, lowest first."""
    if not np.issubdtype(cube.dtype, np.integer):
        raise InputError(
            f"the cube holds {cube.dtype}; a lost byte shows only in the integers that were read from the file. "
            f"If these are whole numbers, give cube.astype(np.uint16) or the like."
        )
    little = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(*cube.shape, cube.itemsize)
