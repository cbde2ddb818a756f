"""What a network asks of its arguments and its input before it builds a layer.

Contents: `check_patch_size`, `check_inputs`, `check_at_least`, `check_heads`, `check_dropout`,
`is_whole`.
"""

from __future__ import annotations

from numbers import Integral, Real

from hsilib.errors import InputError


def check_patch_size(patch_size: int, least: int) -> None:
    """Complain about a patch that has no centre pixel or is smaller than ``least``.

    Raises
    ------
    InputError : an even or too small size.
    """
    if not is_whole(patch_size) or patch_size < least or patch_size % 2 == 0:
        raise InputError(f"patch_size is {patch_size}; expected an odd number of at least {least}.")


def check_inputs(network: str, n_inputs: int, least: int) -> None:
    """Complain about fewer bands or components than the network's layers need.

    Raises
    ------
    InputError : ``n_inputs`` below ``least``.
    """
    if n_inputs < least:
        raise InputError(f"{network} gets {n_inputs} bands or components; it needs at least {least}.")


def check_at_least(least: int, **sizes: int) -> None:
    """Complain about a layer without units and the like; torch builds some of these and fails only when they run.

    Parameters
    ----------
    sizes : the network's own arguments by their names.

    Raises
    ------
    InputError : one that is no whole number or is below ``least``.
    """
    for name, size in sizes.items():
        if not is_whole(size) or size < least:
            raise InputError(f"{name} is {size}; expected a whole number of at least {least}.")


def check_heads(width: int, heads: int) -> None:
    """Complain about tokens of ``width`` numbers that cannot be cut into ``heads`` parts of one size.

    Raises
    ------
    InputError : either below 1, or a number of heads that does not divide the width.
    """
    check_at_least(1, width=width, heads=heads)
    if width % heads:
        raise InputError(f"heads is {heads}; expected a number that divides width, which is {width}.")


def check_dropout(dropout: float) -> None:
    """Complain about what is no probability, or is 1, which leaves nothing.

    Raises
    ------
    InputError : below 0, 1 or more, or no number.
    """
    if not _is_number(dropout) or not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout}; expected at least 0 and below 1.")


def is_whole(value: object) -> bool:
    """Whether a setting, which may be anything, is a whole number, NumPy's included."""
    return isinstance(value, Integral)


def _is_number(value: object) -> bool:
    return isinstance(value, Real)
