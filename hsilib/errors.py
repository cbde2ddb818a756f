"""The one exception that means "the input is wrong", and the sentence that helps with a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message names the input, says what was expected and what to do. The command line prints
    it without a traceback and ends with exit code 2.
    """


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """Build the error for a name that is not in a list, with the nearest valid names first.

    Parameters
    ----------
    kind : what the name stands for, such as ``"scene"``.
    name : what was given.
    valid : every name that would have been accepted.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return InputError(f"unknown {kind} {name!r}: {hint}Valid: {', '.join(names)}.")
