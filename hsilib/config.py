"""`Config`: one run, and ``--set`` overrides of its settings."""

from __future__ import annotations

import ast
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from hsilib.errors import InputError, unknown_name
from hsilib.method import MethodOptions
from hsilib.registry import network_arguments


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
    save : file for the trained network, see `Method.save`; None saves none.
    """

    recipe: str
    method: MethodOptions
    scene: str = "indian-pines"
    split: str = "percent:0.01"
    seed: int = 0
    device: str = "auto"
    workspace: Path | None = None
    save: Path | None = None


def with_overrides(config: Config, assignments: list[str]) -> Config:
    """Change settings of the method: each assignment is ``key=value`` or ``group.key=value``.

    Raises
    ------
    InputError : no ``=``, an unknown key, a value of another type.
    """
    method: Any = config.method
    # Whoever sets the epochs means them: no minimum of steps adds to them.
    keys = [assignment.partition("=")[0] for assignment in assignments]
    if "fit.epochs" in keys and "fit.least_steps" not in keys and "fit.least_steps" in settings(method):
        assignments = [*assignments, "fit.least_steps=0"]
    # The network first: its own arguments are known then, in whatever order they are given.
    for assignment in sorted(assignments, key=lambda text: not text.startswith("network=")):
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment!r}: expected key=value, such as fit.epochs=100.")
        known = settings(method)
        if key not in known:
            raise unknown_name("--set key", key, known)
        method = _replaced(method, key, key.split("."), text)
    if isinstance(getattr(method, "model", None), dict):
        for argument in sorted(set(method.model) - set(network_arguments(method.network))):
            raise InputError(
                f"recipe {config.recipe} sets model.{argument}, which network {method.network} does not have; "
                f"start from a recipe of that network."
            )
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


def settings(options: Any, prefix: str = "") -> dict[str, Any]:
    """Every key that ``--set`` takes for these options, with its present value."""
    found: dict[str, Any] = {}
    for f in fields(options):
        key, value = f"{prefix}{f.name}", getattr(options, f.name)
        if is_dataclass(value):
            found |= settings(value, f"{key}.")
        elif isinstance(value, dict):
            arguments = network_arguments(options.network)
            found |= {f"{key}.{name}": value.get(name, default) for name, default in arguments.items()}
        else:
            found[key] = value
    return found


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
