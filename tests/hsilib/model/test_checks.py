"""Arguments that no network can be built with: one sentence that names the argument, no traceback of torch."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest

import onepercent.peers  # noqa: F401 (registers the networks)
from hsilib.checks import check_at_least, check_numbers
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.registry import NETWORKS, create_model
from onepercent.peers.networks.checks import check_heads

NONSENSE: dict[type, tuple[Any, ...]] = {int: (0, -1, 2.5, "wide"), float: (1.5, 1.0, -0.1, "much"), tuple: ((), 7)}
WRONG = [
    (name, argument, value)
    for name, network in NETWORKS.items()
    for argument, parameter in signature(network.__init__).parameters.items()
    if parameter.default is not parameter.empty and argument != "components"  # 0 means all bands
    for value in NONSENSE.get(type(parameter.default), ())
]
WITH_HEADS = [name for name, network in NETWORKS.items() if "heads" in signature(network.__init__).parameters]


def create(name: str, **options: Any) -> Network:
    return create_model(name, 16, 3, **options)


@pytest.mark.parametrize(("name", "argument", "value"), WRONG)
def test_sizes_and_probabilities_that_are_none(name: str, argument: str, value: object) -> None:
    with pytest.raises(InputError) as refused:
        create(name, **{argument: value})
    (sentence,) = refused.value.args
    verb = "are" if argument == "widths" else "is"
    assert sentence.startswith(f"{argument} {verb} {value}; expected ")


@pytest.mark.parametrize("name", WITH_HEADS)
def test_heads_that_do_not_divide_the_width(name: str) -> None:
    with pytest.raises(InputError, match="heads is 5; expected a number that divides width, which is 64"):
        create(name, heads=5)
    with pytest.raises(InputError, match="heads is 128; expected"):
        create(name, heads=128)
    create(name, heads=2)


def test_which_networks_have_heads() -> None:
    assert WITH_HEADS == ["mhssmamba", "pyformer", "spectralformer", "ssftt"]


def test_what_is_let_through() -> None:
    check_at_least(2, width=2, other=np.int64(3))
    check_heads(64, 8)
    check_numbers(least=0, below=1, first=0, second=np.float32(0.9))
    assert create_model("hybridsn", 16, 3, patch_size=np.int64(9)).patch_size == 9


@pytest.mark.parametrize("dropout", [float("nan"), float("inf"), None])
def test_a_dropout_that_is_no_number(dropout: Any) -> None:
    with pytest.raises(InputError, match="dropout is"):
        check_numbers(least=0, below=1, dropout=dropout)


def test_the_first_wrong_size_is_named() -> None:
    with pytest.raises(InputError, match="second is 1; expected a whole number, at least 2"):
        check_at_least(2, first=2, second=1, third=0)
