"""Progress bars with the time left, on standard error."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress(total: int, description: str, unit: str, done: int = 0) -> tqdm[Any]:
    """A bar of ``total`` steps, ``done`` of them before.

    A log or a notebook, which cannot redraw a line, gets one state every ten seconds.
    """
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        mininterval=interval,
        maxinterval=interval,
        dynamic_ncols=True,
    )
