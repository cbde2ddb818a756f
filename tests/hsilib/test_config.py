"""Recipes and ``--set``."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from hsilib.config import Config, settings, with_overrides
from hsilib.errors import InputError
from hsilib.records import record_id
from hsilib.registry import network_arguments
from onepercent.peers.classical.random_forest import RandomForestOptions
from onepercent.recipes import RECIPES, recipe


def changed(name: str, *assignments: str) -> Any:
    return with_overrides(recipe(name), list(assignments)).method


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_filed_under_its_name_and_says_what_it_costs(name: str) -> None:
    config = recipe(name)
    assert isinstance(config, Config)
    assert config.recipe == name
    entry = RECIPES[name]
    assert entry.name == name
    assert entry.method == config.method
    assert entry.what
    assert not entry.what.endswith(".")
    assert "\n" not in entry.what
    assert any(unit in entry.takes for unit in (" s", " min"))


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
        ("quick", "fit.clip_norm=-1.0"),
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


@pytest.mark.parametrize(
    "assignments", [["model.fusion_width=64", "network=ssrn"], ["network=ssftt", "model.tokens=8"]]
)
def test_arguments_are_those_of_the_network_finally_chosen(assignments: list[str]) -> None:
    if "fusion" in assignments[0]:
        with pytest.raises(InputError, match=r"unknown --set key 'model\.fusion_width'"):
            with_overrides(recipe("quick"), assignments)
    else:
        assert with_overrides(recipe("quick"), assignments[::-1]) == with_overrides(recipe("quick"), assignments)


def test_another_network_does_not_take_over_what_it_has_no_argument_for() -> None:
    wider = with_overrides(recipe("quick"), ["model.fusion_width=64"])
    with pytest.raises(InputError, match=r"quick sets model\.fusion_width, which network ssrn does not have"):
        with_overrides(wider, ["network=ssrn"])


@pytest.mark.parametrize("name", RECIPES)
def test_every_key_that_is_offered_is_taken_and_its_value_changes_nothing(name: str) -> None:
    method = recipe(name).method
    shown = settings(method)
    for key, value in shown.items():
        # Setting the epochs turns the least number of steps off, unless that is set, too.
        steps = [f"fit.least_steps={shown['fit.least_steps']}"] if "fit.least_steps" in shown else []
        assert changed(name, f"{key}={value}", *steps * (key == "fit.epochs")) == method


def test_a_setting_has_the_value_of_the_recipe_or_the_networks_default() -> None:
    found = settings(recipe("hybridsn").method)
    assert (found["fit.batch_size"], found["model.components"]) == (16, 30)
    assert settings(recipe("quick").method)["model.patch_size"] == network_arguments("dual-branch")["patch_size"]


# --- the recipe `paper`: the description's numbers, everything on, a switch for every part

SWITCHES = [
    "pretrain.rm_ssl=False",
    "pretrain.mr_ssl=False",
    "model.attention=none",
    "model.attention=squeeze-excitation",
    "model.attention=constant-phase",
    "model.fusion=concatenation",
    "model.fusion=fixed-temperature",
    "fit.loss.name=cross-entropy",
    "fit.loss.label_smoothing=0",
    "fit.loss.class_weights=False",
    "fit.curriculum_epochs=0",
    "fit.mix.mixup=0",
    "fit.mix.cutmix=0",
    "fit.mix.variants=plain",
    "fit.augment.probability=0",
    "tta=0",
    "tta=8",
]


def leaves(options: Any, prefix: str = "") -> dict[str, Any]:
    """Every setting by its dotted name."""
    if not isinstance(options, dict):
        return {prefix: options}
    return {k: v for name, value in options.items() for k, v in leaves(value, f"{prefix}.{name}").items()}


def test_paper_has_the_descriptions_hyper_parameters() -> None:
    """METHOD A6 to A10."""
    settings = leaves(asdict(recipe("paper").method))  # type: ignore[call-overload]
    expected = {
        ".network": "dual-branch",
        ".pretrain.rm_ssl": True,
        ".pretrain.mr_ssl": True,
        ".pretrain.epochs": 90,
        ".pretrain.rm_learning_rate": 4e-4,
        ".pretrain.mr_learning_rate": 2e-4,
        ".pretrain.weight_decay": 1e-6,
        ".fit.epochs": 300,
        ".fit.batch_size": 16,
        ".fit.learning_rate": 6e-4,
        ".fit.final_learning_rate": 1e-6,
        ".fit.warmup_epochs": 20,
        ".fit.weight_decay": 3e-5,
        ".fit.clip_norm": 0.6,
        ".fit.loss.name": "focal",
        ".fit.loss.alpha": 1.2,
        ".fit.loss.gamma": 2.2,
        ".fit.loss.label_smoothing": 0.12,
        ".fit.loss.class_weights": True,
        ".fit.curriculum_epochs": 20,
        ".fit.mix.mixup": 0.3,
        ".fit.mix.mixup_alpha": 0.4,
        ".fit.mix.variants": ("plain", "spectral", "manifold"),
        ".fit.mix.cutmix": 0.2,
        ".fit.mix.cutmix_alpha": 1.0,
        ".fit.augment.probability": 0.8,
        ".fit.augment.orientation": True,
        ".fit.augment.noise": 0.03,
        ".fit.augment.dropped_bands": 0.1,
        ".fit.augment.dropped_gain": (0.5, 0.9),
        ".fit.augment.brightness": (0.85, 1.15),
        ".fit.augment.smoothing_probability": 0.15,
        ".fit.augment.smoothing_sigma": (0.3, 0.7),
        ".tta": 16,
    }
    assert {name: settings[name] for name in expected} == expected
    assert network_arguments("dual-branch")["dropout"] == 0.15


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_changes_one_setting_and_nothing_else(switch: str) -> None:
    whole = recipe("paper")
    switched = with_overrides(whole, [switch])
    assert replace(switched, method=whole.method) == whole
    before, after = (leaves(asdict(config.method)) for config in (whole, switched))  # type: ignore[call-overload]
    changed_names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert len(changed_names) == 1
    assert changed_names <= {f".{switch.partition('=')[0]}", ".model"}


def test_every_switch_gives_a_record_of_its_own() -> None:
    methods = [recipe("paper").method, *(changed("paper", switch) for switch in SWITCHES)]
    assert len({record_id(method, "indian-pines", "percent:0.01", 0) for method in methods}) == len(SWITCHES) + 1


def test_epochs_that_are_set_are_meant() -> None:
    plain = recipe("quick").method
    assert plain.fit.least_steps == 1200
    few = with_overrides(recipe("quick"), ["fit.epochs=5"]).method
    assert (few.fit.epochs, few.fit.least_steps) == (5, 0)
    both = with_overrides(recipe("quick"), ["fit.least_steps=100", "fit.epochs=5"]).method
    assert (both.fit.epochs, both.fit.least_steps) == (5, 100)
    assert with_overrides(recipe("freenet"), ["fit.epochs=5"]).method.fit.epochs == 5
