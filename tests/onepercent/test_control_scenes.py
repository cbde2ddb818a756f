"""The controls of Indian Pines' damage do to the cube what they say."""

from __future__ import annotations

import numpy as np
import pytest

import onepercent.recipes  # noqa: F401 (registers the scenes)
from hsilib import InputError, load_scene
from hsilib.data.load import MADE, register_scene
from onepercent.control_scenes import PLACEBOS


def test_the_damage_itself_is_the_loss_that_the_placebos_repeat() -> None:
    """Losing 13 on the repaired cube gives back the published one where the repair was right about a byte."""
    from onepercent.control_scenes import placebo

    repaired, published = load_scene("indian-pines-repaired"), load_scene("indian-pines")
    again = placebo(13).cube
    assert np.array_equal(again, published.cube)
    assert not np.array_equal(repaired.cube, published.cube)


@pytest.mark.parametrize("lost", PLACEBOS)
def test_a_placebo_loses_its_byte_and_nothing_else(lost: int) -> None:
    repaired, cube = load_scene("indian-pines-repaired").cube, load_scene(f"indian-pines-placebo-{lost}").cube
    data, before = (np.ascontiguousarray(c).view(np.uint8) for c in (cube, repaired))
    assert not (data == lost).any()
    assert np.array_equal(data != before, before == lost)
    assert (before[data != before] - data[data != before] == 3).all()
    changed = np.count_nonzero(repaired.astype(int) - cube >= 768)
    real = np.count_nonzero(repaired.astype(int) - load_scene("indian-pines").cube >= 768)
    assert 0.3 < changed / real < 3, "about as many errors as the damage made"


def test_random_errors_are_as_many_and_as_large() -> None:
    repaired = load_scene("indian-pines-repaired").cube.astype(int)
    published, random = (load_scene(name).cube for name in ("indian-pines", "indian-pines-random-errors"))
    real, made = repaired - published, repaired - random
    assert set(np.unique(made)) == {0, 768}
    assert np.count_nonzero(made) == np.count_nonzero(real >= 768)
    assert np.array_equal(random, load_scene("indian-pines-random-errors").cube), "the same places each time"


def test_eight_bits_keep_the_order_of_each_band() -> None:
    published, levels = load_scene("indian-pines").cube, load_scene("indian-pines-published-8-bit").cube
    assert levels.dtype == np.uint8
    band = 40
    order = np.argsort(published[..., band].ravel(), kind="stable")
    assert (np.diff(levels[..., band].ravel()[order].astype(int)) >= 0).all()
    clipped = np.isin(levels, (0, 255)).mean()
    assert 0.03 < clipped < 0.07


def test_the_copy_that_is_not_at_hand() -> None:
    with pytest.raises(InputError, match=r"IP_200_M.mat: not found in .*hszhaohs/SSGA"):
        load_scene("indian-pines-8-bit-copy")


def test_a_name_twice() -> None:
    assert "indian-pines-8-bit-copy" in MADE
    with pytest.raises(ValueError, match="two scenes called"):
        register_scene("indian-pines", lambda: load_scene("indian-pines"))
