"""What the claims ledger measures without a record: arithmetic of the text, the model's parameters, views."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import cache

import numpy as np

from hsilib.data.catalog import catalog
from hsilib.errors import InputError, unknown_name
from onepercent.report.complexity import audit, ssl_head_parameters

ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def calculate(text: str) -> float:
    """The value of an expression of numbers, + - * / and parentheses.

    Raises
    ------
    InputError : anything else in it.
    """

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            return ARITHMETIC[type(node.op)](value(node.left), value(node.right))
        raise SyntaxError

    try:
        return value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ZeroDivisionError) as error:
        raise InputError(f"{text!r} is no arithmetic: expected numbers, + - * / and parentheses.") from error


def counted(what: str) -> float:
    """``SCENE/PART`` of the dual-branch model: a part, ``SSL heads``, ``total`` (without them) or ``size_mb``.

    Raises
    ------
    InputError : an unknown scene or part.
    """
    scene, _, part = what.partition("/")
    if scene not in catalog():
        raise unknown_name("scene", scene, catalog())
    values = _parts(scene)
    if part not in values:
        raise unknown_name("part", part, values)
    return values[part]


@cache
def _parts(scene: str) -> dict[str, float]:
    entry = catalog()[scene]
    n_bands = entry.shape[2]
    model = audit(n_bands, len(entry.class_names))
    heads = ssl_head_parameters(n_bands)
    return {**model.parameters, "SSL heads": heads, "total": model.n_parameters, "size_mb": model.size_mb}


def distinct_views() -> float:
    """How many of 4 rotations times 4 flips (none, two axes, both) differ, counted on a square of four corners."""
    square = np.arange(4).reshape(2, 2)
    flipped = (square, square[::-1], square[:, ::-1], square[::-1, ::-1])
    return len({np.rot90(view, turns).tobytes() for view in flipped for turns in range(4)})


COMPUTED: dict[str, Callable[[], float]] = {"distinct-views": distinct_views}
