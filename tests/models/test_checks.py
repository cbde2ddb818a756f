"""Arguments that no network can be built with: one sentence that names the argument, no traceback of torch."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest

from hsilib.errors import InputError
from hsilib.models.checks import check_at_least, check_dropout, check_heads, check_patch_size
from hsilib.models.network import Network
from hsilib.models.registry import NETWORKS, WHOLE_IMAGE_NETWORKS, create_model, create_whole_image_model

CLASSES: dict[str, type[Network]] = {**NETWORKS, **WHOLE_IMAGE_NETWORKS}
NONSENSE: dict[type, tuple[Any, ...]] = {int: (0, -1, 2.5, "wide"), float: (1.5, 1.0, -0.1, "much"), tuple: ((), 7)}
WRONG = [
    (name, argument, value)
    for name, network in CLASSES.items()
    for argument, parameter in signature(network).parameters.items()
    if parameter.default is not parameter.empty and argument != "components"  # 0 means all bands
    for value in NONSENSE.get(type(parameter.default), ())
]
WITH_HEADS = [name for name, network in CLASSES.items() if "heads" in signature(network).parameters]


def create(name: str, **options: Any) -> Network:
    build = create_model if name in NETWORKS else create_whole_image_model
    return build(name, 16, 3, **options)


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
    check_dropout(0)
    check_dropout(np.float32(0.9))
    check_patch_size(np.int64(7), 7)


@pytest.mark.parametrize("dropout", [float("nan"), float("inf"), None])
def test_a_dropout_that_is_no_number(dropout: Any) -> None:
    with pytest.raises(InputError, match="dropout is"):
        check_dropout(dropout)


def test_the_first_wrong_size_is_named() -> None:
    with pytest.raises(InputError, match="second is 1; expected a whole number of at least 2"):
        check_at_least(2, first=2, second=1, third=0)
