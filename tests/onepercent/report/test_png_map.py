"""A class map as a PNG that still holds the labels, and the colours it is drawn in."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsilib.palette import class_colours, class_colours_rgb
from onepercent.report.png_map import read_class_map, write_class_map


@pytest.mark.parametrize("n_classes", [1, 2, 9, 16, 23, 40, 255])
def test_round_trip(n_classes: int, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, n_classes + 1, (31, 17)).astype(np.uint8)
    path = write_class_map(labels, tmp_path / "maps" / "map.png", n_classes)
    assert np.array_equal(read_class_map(path), labels)


def test_a_map_without_the_highest_classes_keeps_their_colours(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    path = write_class_map(labels, tmp_path / "map.png", 9)
    with Image.open(path) as image:
        assert image.mode == "P"
        colours = np.array(image.convert("RGB"))
    assert np.array_equal(colours, class_colours_rgb(9)[labels])


def test_unlabelled_is_black_and_classes_differ() -> None:
    for n_classes in range(1, 24):
        colours = class_colours(n_classes)
        assert colours[0] == "#000000"
        assert len(colours) == n_classes + 1 == len(set(colours))
        assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours)


def test_beyond_the_palette_colours_repeat() -> None:
    colours = class_colours(30)
    assert len(colours) == 31
    assert colours[24] == colours[1]


def test_colours_as_bytes() -> None:
    rgb = class_colours_rgb(5)
    assert rgb.dtype == np.uint8
    assert ["#{:02X}{:02X}{:02X}".format(*row) for row in rgb.tolist()] == class_colours(5)
