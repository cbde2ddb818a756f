"""What a network asks of its input before it builds a layer.

Contents: `check_patch_size`, `check_inputs`.
"""

from __future__ import annotations

from hsilib.errors import InputError


def check_patch_size(patch_size: int, least: int) -> None:
    """Complain about a patch that has no centre pixel or is smaller than ``least``.

    Raises
    ------
    InputError : an even or too small size.
    """
    if patch_size < least or patch_size % 2 == 0:
        raise InputError(f"patch_size is {patch_size}; expected an odd number of at least {least}.")


def check_inputs(network: str, n_inputs: int, least: int) -> None:
    """Complain about fewer bands or components than the network's layers need.

    Raises
    ------
    InputError : ``n_inputs`` below ``least``.
    """
    if n_inputs < least:
        raise InputError(f"{network} gets {n_inputs} bands or components; it needs at least {least}.")
