"""Progress bars with the time left, on standard error."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress(total: int, description: str, unit: str) -> tqdm[Any]:
    """A bar of ``total`` steps. A log or a notebook, which cannot redraw a line, gets one state every ten seconds."""
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total, desc=description, unit=unit, mininterval=interval, maxinterval=interval, dynamic_ncols=True
    )
