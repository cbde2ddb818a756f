"""Recipes and ``--set``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hsilib.config import RECIPES, Config, network_arguments, recipe, setting_names, with_overrides
from hsilib.errors import InputError
from hsilib.models.peers.random_forest import RandomForestOptions


def changed(name: str, *assignments: str) -> Any:
    return with_overrides(recipe(name), list(assignments)).method


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_filed_under_its_name_and_says_what_it_costs(name: str) -> None:
    config = recipe(name)
    assert isinstance(config, Config)
    assert config.recipe == name
    what, _, cost = (RECIPES[name].__doc__ or "").strip().partition("\n\n")
    assert what.strip().endswith(".")
    assert "\n" not in what
    assert any(unit in cost for unit in (" s", " min"))


def test_the_recipes_of_the_first_edition() -> None:
    assert {"quick", "coordinates-1nn", "superpixel-vote", "svm", "random-forest"} <= set(RECIPES)


def test_an_unknown_recipe_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown recipe 'quik': did you mean quick"):
        recipe("quik")


def test_values_of_every_type() -> None:
    method = changed("quick", "fit.epochs=7", "fit.learning_rate=0.01", "fit.clip_norm=2", "network=dual-branch")
    assert (method.fit.epochs, method.fit.learning_rate, method.fit.clip_norm) == (7, 0.01, 2.0)
    assert isinstance(method.fit.clip_norm, float)
    assert method.fit.batch_size == recipe("quick").method.fit.batch_size  # type: ignore[attr-defined]


def test_arguments_of_the_network() -> None:
    method = changed("quick", "model.patch_size=9", "model.dropout=0", "model.patch_size=11")
    assert method.model == {"patch_size": 11, "dropout": 0.0}
    assert recipe("quick").method.model == {}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "value"),
    [("(1.0, 5.0)", (1.0, 5.0)), ("[1.0, 5.0]", (1.0, 5.0)), ("1.0,5.0", (1.0, 5.0)), ("2.0", (2.0,))],
)
def test_several_values(text: str, value: tuple[float, ...]) -> None:
    assert changed("svm", f"costs={text}").costs == value


def test_the_rest_of_the_config_stays() -> None:
    config = replace(recipe("random-forest"), scene="salinas-a", seed=4)
    assert with_overrides(config, ["trees=9"]) == replace(config, method=RandomForestOptions(9))
    assert with_overrides(config, []) == config


@pytest.mark.parametrize(
    ("name", "assignment", "message"),
    [
        ("quick", "fit.epoch=3", r"unknown --set key 'fit\.epoch': did you mean fit\.epochs"),
        ("quick", "epochs=3", r"unknown --set key 'epochs': did you mean fit\.epochs"),
        ("quick", "model.patchsize=9", r"did you mean model\.patch_size"),
        ("quick", "fit=3", "unknown --set key 'fit'"),
        ("quick", "fit.epochs.more=3", "unknown --set key"),
        ("quick", "=3", "unknown --set key ''"),
        ("quick", "fit.epochs", "expected key=value"),
        ("quick", "", "expected key=value"),
        ("quick", "fit.epochs=many", r"fit\.epochs=many: expected int like \d+, got str"),
        ("quick", "fit.epochs=1.5", r"expected int like \d+, got float"),
        ("quick", "fit.epochs=True", r"expected int like \d+, got bool"),
        ("quick", "fit.learning_rate=fast", r"expected float like [\d.e-]+, got str"),
        ("quick", "fit.epochs=", "expected int"),
        ("quick", "model.patch_size=15.0", "expected int like 15, got float"),
        ("quick", "network=3", "expected str"),
        ("coordinates-1nn", "neighbours=3", "unknown --set key"),
    ],
)
def test_settings_that_cannot_be_used(name: str, assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        changed(name, assignment)


@pytest.mark.parametrize(
    ("name", "assignment"),
    [
        ("quick", "fit.epochs=0"),
        ("quick", "fit.epochs=-3"),
        ("quick", "fit.batch_size=0"),
        ("quick", "fit.learning_rate=-1.0"),
        ("quick", "fit.clip_norm=0.0"),
        ("svm", "folds=1"),
        ("svm", "costs=-1.0"),
        ("svm", "costs=cheap"),
        ("svm", "costs=()"),
        ("random-forest", "trees=0"),
        ("superpixel-vote", "pixels_per_segment=0"),
        ("superpixel-vote", "pixels_per_segment=()"),
        ("superpixel-vote", "n_components=0"),
    ],
)
def test_settings_of_the_right_type_but_out_of_range(name: str, assignment: str) -> None:
    """An epoch count of nought would file the record of an untrained model."""
    with pytest.raises(InputError):
        changed(name, assignment)


def test_every_key_that_is_offered_is_taken() -> None:
    for name in RECIPES:
        for key in setting_names(recipe(name).method):
            value: Any = recipe(name).method
            for part in key.split("."):
                value = network_arguments("dual-branch")[part] if isinstance(value, dict) else getattr(value, part)
            changed(name, f"{key}={value}")
