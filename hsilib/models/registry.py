"""`create_model`: every network by its name."""

from __future__ import annotations

from typing import Any

from hsilib.errors import unknown_name
from hsilib.models.dual_branch import DualBranch
from hsilib.models.network import Network

NETWORKS: dict[str, type[Network]] = {"dual-branch": DualBranch}


def create_model(name: str, n_bands: int, n_classes: int, **options: Any) -> Network:
    """Build a network with fresh weights.

    Parameters
    ----------
    name : a key of ``NETWORKS``.
    n_bands, n_classes : S and K.
    options : the network's own arguments, such as ``patch_size``.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    model = NETWORKS[name](n_bands, n_classes, **options)
    model.name, model.options = name, options
    return model
