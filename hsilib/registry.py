"""Every network by its name."""

from __future__ import annotations

import inspect
from typing import Any

from hsilib.errors import InputError, unknown_name
from hsilib.model.dual_branch import DualBranch
from hsilib.model.network import Network

# `onepercent.peers` adds the networks of the literature when it is imported.
NETWORKS: dict[str, type[Network]] = {DualBranch.name: DualBranch}


def register_network(network: type[Network]) -> None:
    """Make a network known under its ``name``, to recipes, model files and the command line.

    Raises
    ------
    ValueError : another network has that name.
    """
    if NETWORKS.setdefault(network.name, network) is not network:
        raise ValueError(f"there are two networks called {network.name}.")


def network_class(name: str) -> type[Network]:
    """The registered network of that name.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in NETWORKS:
        hint = "" if len(NETWORKS) > 1 else " The networks of the literature are known after `import onepercent.peers`."
        raise InputError(f"{unknown_name('network', name, NETWORKS)}{hint}")
    return NETWORKS[name]


def create_model(name: str, n_bands: int, n_classes: int, **options: Any) -> Network:
    """Build a network with fresh weights.

    Parameters
    ----------
    name : of a registered network.
    n_bands, n_classes : S and K.
    options : the network's own arguments, such as ``patch_size``.

    Raises
    ------
    InputError : an unknown name.
    """
    return network_class(name)(n_bands, n_classes, **options)


def network_arguments(name: str) -> dict[str, Any]:
    """A network's own arguments with their defaults.

    Raises
    ------
    InputError : an unknown name.
    """
    parameters = inspect.signature(network_class(name).__init__).parameters
    return {p.name: p.default for p in parameters.values() if p.default is not inspect.Parameter.empty}
