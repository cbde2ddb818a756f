"""The catalogue says of each scene what loading it needs, and says it without contradiction."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hsilib.data.catalog import CatalogEntry, catalog

ENTRIES = list(catalog().values())


def test_every_scene_of_the_design_is_there() -> None:
    named = "indian-pines salinas-a pavia-university salinas pavia-centre ksc botswana houston-2013 loukia dioni"
    assert set(named.split()) <= set(catalog())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_complete(entry: CatalogEntry) -> None:
    assert len(entry.shape) == 3
    assert all(text.strip() for text in (entry.title, entry.sensor, entry.licence, entry.cite))
    assert entry.page.startswith("https://")
    assert len(set(entry.class_names)) == len(entry.class_names)
    assert entry.cube.file != entry.ground_truth.file
    if entry.label_values is not None:
        assert len(entry.label_values) == len(entry.class_names)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_wavelengths_are_one_a_band(entry: CatalogEntry) -> None:
    centres = entry.band_centres_nm()
    if entry.wavelengths_nm is None:
        assert centres is None
        return
    assert centres is not None
    assert centres.shape == (entry.shape[2],)
    assert (np.diff(centres) > 0).all()
    assert entry.wavelengths_nm[0] <= centres[0] <= centres[-1] <= entry.wavelengths_nm[1]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_hashes_come_with_sizes_and_addresses_are_secure(entry: CatalogEntry) -> None:
    for file in (entry.cube, entry.ground_truth):
        if file.sha256 is not None:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.bytes is not None
            assert file.bytes > 0
        assert all(url.startswith("https://") and "{" not in url for url in file.urls())


def test_removed_bands_are_counted_from_one() -> None:
    """Indian Pines: bands 104–108, 150–163 and 220 of 220 recorded between 400 and 2500 nm."""
    centres = catalog()["indian-pines"].band_centres_nm()
    assert centres is not None
    step = 2100 / 219
    assert centres[102] == pytest.approx(400 + 102 * step)
    assert centres[103] == pytest.approx(400 + 108 * step)
    assert centres[-1] == pytest.approx(2500 - step)


def test_the_first_mirror_comes_first() -> None:
    urls = catalog()["pavia-university"].cube.urls()
    assert urls[0] == "https://www.ehu.eus/ccwintco/uploads/e/ee/PaviaU.mat"
    assert urls[1].startswith("https://media.githubusercontent.com/")
    assert urls[1].endswith("/Pavia/PaviaU.mat")


def test_a_file_that_no_mirror_has_offers_no_address() -> None:
    assert catalog()["loukia"].cube.urls() == []
    houston = catalog()["houston-2013"].cube.urls()
    assert len(houston) == 1
    assert "ehu.eus" not in houston[0]
