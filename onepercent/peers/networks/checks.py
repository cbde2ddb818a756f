"""What several networks ask of their arguments."""

from __future__ import annotations

from hsilib.checks import check_at_least
from hsilib.errors import InputError


def check_heads(width: int, heads: int) -> None:
    """Complain about tokens of ``width`` numbers that cannot be cut into ``heads`` parts of one size.

    Raises
    ------
    InputError : either below 1, or a number of heads that does not divide the width.
    """
    check_at_least(1, width=width, heads=heads)
    if width % heads:
        raise InputError(f"heads is {heads}; expected a number that divides width, which is {width}.")
