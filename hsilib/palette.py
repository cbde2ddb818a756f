"""Class colours that readers with any colour vision can tell apart as far as that is possible.

The discrete rainbow of Paul Tol (2021), Colour Schemes, SRON/EPS/TN/09-002 issue 3.2, which is made
for up to 23 ordered classes; black is unlabelled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNLABELLED = "#000000"
# The 23 colours of Tol's full sequence; a scene of K classes takes K of them, evenly spread.
# fmt: off
RAINBOW = (
    "#E8ECFB", "#D9CCE3", "#CAACCB", "#BA8DB4", "#AA6F9E", "#994F88", "#882E72", "#1965B0",
    "#437DBF", "#6195CF", "#7BAFDE", "#4EB265", "#90C987", "#CAE0AB", "#F7F056", "#F7CB45",
    "#F4A736", "#EE8026", "#E65518", "#DC050C", "#A5170E", "#72190E", "#42150A",
)
# fmt: on


def class_colours(n_classes: int) -> list[str]:
    """K + 1 hexadecimal colours; the first is for label 0. Colours repeat beyond 23 classes."""
    spread = np.linspace(0, len(RAINBOW) - 1, min(n_classes, len(RAINBOW))).round().astype(int)
    return [UNLABELLED, *(RAINBOW[spread[k % len(spread)]] for k in range(n_classes))]


def class_colours_rgb(n_classes: int) -> NDArray[np.uint8]:
    """(K + 1, 3) the same as bytes."""
    return np.array([list(bytes.fromhex(colour[1:])) for colour in class_colours(n_classes)], dtype=np.uint8)
