"""Recipes: methods with their settings, by name. Here are those of the dual-branch model.

`onepercent.recipes` adds the rules, classical classifiers, networks and pre-training that it is measured against.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsilib.config import Config
from hsilib.errors import InputError, unknown_name
from hsilib.method import MethodOptions
from hsilib.network_method import NetworkOptions
from hsilib.pretraining.pretrain import PretrainOptions
from hsilib.training.augment import AugmentOptions
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions


@dataclass(frozen=True)
class Recipe:
    """A method with its settings.

    Attributes
    ----------
    name : what records are filed under.
    method : the settings.
    what : the recipe in a line. takes : how long, on two CPU cores.
    dagger : what of it was set while looking at test pixels of a scene that it is measured on; shown as † until it is
        set anew on training pixels.
    """

    name: str
    method: MethodOptions
    what: str
    takes: str
    dagger: str = ""


# Validation pixels of one seed are test pixels of another.
POOLING = "where the spectral encoder pools, chosen on validation pixels of Indian Pines"
QUICK = NetworkOptions(
    fit=FitOptions(
        epochs=150,
        learning_rate=1e-3,
        warmup_epochs=5,
        random_orientation=True,
        max_steps_per_epoch=16,
        choose="last",
        least_steps=1200,
    )
)
# Its text has 0.5 % of the labels for validation and is silent on what they choose: here the epoch that is kept.
PAPER = NetworkOptions(
    pretrain=PretrainOptions(rm_ssl=True, mr_ssl=True),
    fit=FitOptions(
        loss=LossOptions("focal", label_smoothing=0.12, class_weights=True),
        augment=AugmentOptions(probability=0.8),
        mix=MixOptions(mixup=0.3, cutmix=0.2),
        curriculum_epochs=20,
    ),
    tta=16,
)

RECIPES: dict[str, Recipe] = {}


def register_recipes(*recipes: Recipe) -> None:
    """Make recipes known under their names.

    Raises
    ------
    ValueError : another recipe has that name.
    """
    for new in recipes:
        if RECIPES.setdefault(new.name, new) != new:
            raise ValueError(f"there are two recipes called {new.name}.")


register_recipes(
    Recipe(
        "paper",
        PAPER,
        "the dual-branch model as described, everything on: two pre-training stages, focal loss, mixing, 16 views",
        "7 min for 1 % of Indian Pines",
        dagger=POOLING,
    ),
    Recipe(
        "quick",
        QUICK,
        "the dual-branch model with turned patches, 150 short epochs, no pre-training: the method's core",
        "1 min for 1 % of Indian Pines, at most 3 min for more labels",
        dagger=f"epochs and learning rate, chosen on validation pixels of four seeds of Indian Pines; {POOLING}",
    ),
)


def recipe(name: str) -> Config:
    """The config of a named recipe.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in RECIPES:
        hint = "" if "svm" in RECIPES else " Recipes of other methods are known after `import onepercent.recipes`."
        raise InputError(f"{unknown_name('recipe', name, RECIPES)}{hint}")
    return Config(name, RECIPES[name].method)
