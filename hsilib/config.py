"""`Config`, the recipes that return one, and ``--set`` overrides.

A recipe is a plain function without arguments. Its docstring's first line is shown by
``hsilib run --help``, its second says how long it takes.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from hsilib.errors import InputError, unknown_name
from hsilib.inference.network_method import NetworkOptions
from hsilib.inference.probe_method import ProbeOptions
from hsilib.models.method import MethodOptions
from hsilib.models.peers.coordinates_1nn import Coordinates1NNOptions
from hsilib.models.peers.random_forest import RandomForestOptions
from hsilib.models.peers.superpixel_vote import SuperpixelVoteOptions
from hsilib.models.peers.svm import SvmOptions
from hsilib.models.registry import NETWORKS
from hsilib.training.augment import AugmentOptions
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions
from hsilib.training.pretrain import PretrainOptions


@dataclass(frozen=True)
class Config:
    """One run: a method with its options, on a scene, under a split, with a seed.

    Attributes
    ----------
    recipe : the name under which the record is filed.
    method : the method's options.
    scene, split, seed : see `load_scene` and `make_split`.
    device : ``auto`` (CUDA when found), ``cpu`` or ``cuda``.
    workspace : folder for checkpoints of unfinished runs and for pre-trained encoders; None keeps nothing.
    """

    recipe: str
    method: MethodOptions
    scene: str = "indian-pines"
    split: str = "percent:0.01"
    seed: int = 0
    device: str = "auto"
    workspace: Path | None = None


def quick() -> Config:
    """The dual-branch model with turned patches, 150 short epochs, no pre-training: the method's core.

    1 min on two CPU cores for 1 % of Indian Pines, at most 3 min for more labels.
    """
    schedule = FitOptions(
        epochs=150, learning_rate=1e-3, warmup_epochs=5, random_orientation=True, max_steps_per_epoch=16
    )
    return Config("quick", NetworkOptions(fit=schedule))


def paper() -> Config:
    """The dual-branch model as described, everything on: two pre-training stages, focal loss, mixing, 16 views.

    7 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = FitOptions(
        loss=LossOptions("focal", label_smoothing=0.12, class_weights=True),
        augment=AugmentOptions(probability=0.8),
        mix=MixOptions(mixup=0.3, cutmix=0.2),
        curriculum_epochs=20,
    )
    stages = PretrainOptions(rm_ssl=True, mr_ssl=True)
    return Config("paper", NetworkOptions(pretrain=stages, fit=schedule, tta=16))


def probe() -> Config:
    """What pre-training alone has learned: a linear classifier on frozen features of one encoder.

    2 min on two CPU cores for the spatial encoder of Indian Pines, 1 min for the spectral one.
    """
    return Config("probe", ProbeOptions())


def coordinates_1nn() -> Config:
    """The label of the nearest training pixel; no spectra at all.

    1 s.
    """
    return Config("coordinates-1nn", Coordinates1NNOptions())


def superpixel_vote() -> Config:
    """Superpixels in which the training pixels vote; no classifier.

    5 s for Indian Pines.
    """
    return Config("superpixel-vote", SuperpixelVoteOptions())


def svm() -> Config:
    """RBF support vector machine on single spectra, cross-validated on the training pixels.

    5 s for 1 % of Indian Pines.
    """
    return Config("svm", SvmOptions())


def random_forest() -> Config:
    """Random forest of 500 trees on single spectra.

    5 s for 1 % of Indian Pines.
    """
    return Config("random-forest", RandomForestOptions())


RECIPES: dict[str, Callable[[], Config]] = {
    recipe().recipe: recipe for recipe in (paper, quick, probe, coordinates_1nn, superpixel_vote, svm, random_forest)
}


def recipe(name: str) -> Config:
    """The config of a named recipe.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]()


def with_overrides(config: Config, assignments: list[str]) -> Config:
    """Change settings of the method: each assignment is ``key=value`` or ``group.key=value``.

    Raises
    ------
    InputError : no ``=``, an unknown key, a value of another type.
    """
    method: Any = config.method
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment!r}: expected key=value, such as fit.epochs=100.")
        known = setting_names(method)
        if key not in known:
            raise unknown_name("--set key", key, known)
        method = _replaced(method, key, key.split("."), text)
    return replace(config, method=method)


def _replaced(options: Any, key: str, path: list[str], text: str) -> Any:
    name, *rest = path
    value = getattr(options, name)
    if isinstance(value, dict):
        default = network_arguments(options.network)[rest[0]]
        value = {**value, rest[0]: _parsed(key, text, default)}
        if value[rest[0]] == default:  # what equals its default is left out, so that ids do not depend on it
            del value[rest[0]]
    else:
        value = _replaced(value, key, rest, text) if rest else _parsed(key, text, value)
    return replace(options, **{name: value})


def setting_names(options: Any, prefix: str = "") -> list[str]:
    """Every key that ``--set`` takes for these options."""
    names = []
    for f in fields(options):
        value = getattr(options, f.name)
        if is_dataclass(value):
            names += setting_names(value, f"{prefix}{f.name}.")
        elif isinstance(value, dict):
            names += [f"{prefix}{f.name}.{argument}" for argument in network_arguments(options.network)]
        else:
            names.append(f"{prefix}{f.name}")
    return names


def network_arguments(network: str) -> dict[str, Any]:
    """A network's own arguments with their defaults."""
    if network not in NETWORKS:
        raise unknown_name("network", network, NETWORKS)
    parameters = inspect.signature(NETWORKS[network]).parameters
    return {p.name: p.default for p in parameters.values() if p.default is not inspect.Parameter.empty}


def _parsed(key: str, text: str, current: Any) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(current, tuple) and not isinstance(value, tuple):
        value = tuple(value) if isinstance(value, list) else (value,)
    if type(value) is not type(current):
        raise InputError(
            f"--set {key}={text}: expected {type(current).__name__} like {current!r}, got {type(value).__name__}."
        )
    return value
