"""Judge a repair by an independent 8-bit copy of the scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsilib.data.lost_byte import candidates
from hsilib.data.repair import Repair
from hsilib.errors import InputError


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
    suspicious, altered = candidates(original, repair.damage, 1)
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
