"""A class map as an image that opens anywhere and still holds the labels: PNG with a palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hsilib.files import write_atomically
from hsilib.palette import class_colours_rgb


def write_class_map(class_map: NDArray[np.uint8], path: Path, n_classes: int | None = None) -> Path:
    """Write labels 0…K, (H, W), as a palette image: a pixel's value is its label, the palette its colour."""
    image = Image.fromarray(class_map).convert("P")
    image.putdata(class_map.ravel().tolist())
    image.putpalette(class_colours_rgb(n_classes or int(class_map.max())).ravel().tolist())
    with write_atomically(path) as stream:
        image.save(stream, format="PNG", optimize=True)
    return path


def read_class_map(path: Path) -> NDArray[np.uint8]:
    """The labels (H, W) of a file that `write_class_map` wrote."""
    with Image.open(path) as image:
        return np.array(image, dtype=np.uint8)
