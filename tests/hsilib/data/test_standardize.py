"""The one place where raw values are scaled."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from hsilib.data.scene import Scene
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError


def test_against_scikit_learn(tiny: Scene) -> None:
    spectra = tiny.cube.reshape(-1, tiny.n_bands)
    reference = StandardScaler().fit(spectra.astype(float))
    standardizer = Standardizer.fit(tiny.cube)
    np.testing.assert_allclose(standardizer.mean, reference.mean_)
    np.testing.assert_allclose(standardizer.scale, reference.scale_)
    scaled = standardizer.apply(tiny.cube)
    assert scaled.shape == tiny.cube.shape
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.reshape(spectra.shape), reference.transform(spectra.astype(float)), atol=1e-5)


def test_sums_of_integers_do_not_overflow() -> None:
    cube = np.full((300, 300, 1), 60_000, dtype=np.uint16)
    cube[0, 0] = 0
    standardizer = Standardizer.fit(cube)
    assert standardizer.mean[0] == 60_000 * (1 - 1 / 90_000)
    np.testing.assert_allclose(standardizer.scale[0], 60_000 * np.sqrt(1 / 90_000 - 1 / 90_000**2))


def test_it_applies_the_statistics_of_the_fit_and_not_of_what_it_scales() -> None:
    standardizer = Standardizer.fit(np.array([[[0.0], [2.0]]]))
    assert standardizer.apply(np.array([[5.0]])).tolist() == [[4.0]]


def test_a_band_of_one_value_stays_finite() -> None:
    standardizer = Standardizer.fit(np.full((2, 2, 1), 7.0))
    assert standardizer.scale.tolist() == [1.0]
    assert standardizer.apply(np.array([7.0])).tolist() == [0.0]


def test_principal_components_against_scikit_learn(tiny: Scene) -> None:
    """Equal up to the sign of each component, which is fixed here, and to n / (n − 1) in the variance."""
    spectra = StandardScaler().fit_transform(tiny.cube.reshape(-1, tiny.n_bands).astype(float))
    reference = PCA(4, whiten=True).fit_transform(spectra) * np.sqrt(len(spectra) / (len(spectra) - 1))
    standardizer = Standardizer.fit(tiny.cube, components=4)
    projected = standardizer.apply(tiny.cube).reshape(-1, 4)
    signs = np.sign((projected * reference).sum(axis=0))
    np.testing.assert_allclose(projected * signs, reference, atol=1e-4)
    assert standardizer.projection is not None
    largest = np.abs(standardizer.projection).argmax(axis=1)
    assert (standardizer.projection[np.arange(4), largest] > 0).all()


def test_the_first_components_do_not_depend_on_how_many_follow(tiny: Scene) -> None:
    """What a curriculum over components relies on."""
    few, many = (Standardizer.fit(tiny.cube, k).projection for k in (2, 5))
    assert few is not None
    assert many is not None
    np.testing.assert_array_equal(few, many[:2])


def test_more_components_than_there_are(tiny: Scene) -> None:
    with pytest.raises(InputError, match=f"components is 13; this scene has 1 to {tiny.n_bands} principal"):
        Standardizer.fit(tiny.cube, 13)
    flat = np.repeat(np.random.default_rng(0).normal(size=(5, 4, 1)), 3, axis=2)
    with pytest.raises(InputError, match="components is 2; this scene has 1 to 1 principal"):
        Standardizer.fit(flat, 2)


def test_without_whitening_the_projection_is_a_rotation(tiny: Scene) -> None:
    standardizer = Standardizer.fit(tiny.cube, tiny.n_bands, whiten=False)
    assert standardizer.projection is not None
    np.testing.assert_allclose(standardizer.projection @ standardizer.projection.T, np.eye(tiny.n_bands), atol=1e-10)
    variances = standardizer.apply(tiny.cube).reshape(-1, tiny.n_bands).var(axis=0)
    assert (np.diff(variances) < 0).all()
    assert variances.sum() == pytest.approx(tiny.n_bands, rel=1e-4)
