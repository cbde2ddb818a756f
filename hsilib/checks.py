"""What a setting must be, checked in one way for every room: the error names the setting and its range."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from hsilib.errors import InputError, unknown_name


def check_numbers(
    prefix: str = "",
    /,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
    whole: bool = False,
    **values: Any,
) -> None:
    """Complain about a setting that is no finite number or out of range; torch notices some only when it runs.

    Parameters
    ----------
    prefix : what stands before the names, such as ``fit.``.
    least, above, below, most : the range; None leaves a side open.
    whole : only whole numbers, NumPy's included.
    values : the settings by their names.

    Raises
    ------
    InputError : one of them is outside.
    """
    limits = {"at least": least, "above": above, "below": below, "at most": most}
    wanted = " and ".join(f"{words} {limit}" for words, limit in limits.items() if limit is not None)
    for name, value in values.items():
        right_kind = isinstance(value, Integral if whole else Real) and math.isfinite(value)
        if not (
            right_kind
            and (least is None or value >= least)
            and (above is None or value > above)
            and (below is None or value < below)
            and (most is None or value <= most)
        ):
            kind = "a whole number" if whole else "a number"
            raise InputError(f"{prefix}{name} is {value}; expected {kind}{f', {wanted}' if wanted else ''}.")


def check_name(kind: str, name: str, valid: Collection[str]) -> None:
    """Complain about a name that is not in ``valid``; ``kind`` says what it stands for, such as ``fusion``.

    Raises
    ------
    InputError : it is none of them; the nearest ones come first.
    """
    if name not in valid:
        raise unknown_name(kind, name, valid)


def is_whole(value: object) -> bool:
    """Whether a setting, which may be anything, is a whole number, NumPy's included."""
    return isinstance(value, Integral)


def check_at_least(least: int, **sizes: Any) -> None:
    """Complain about a layer without units and the like; see `check_numbers`."""
    check_numbers(least=least, whole=True, **sizes)
