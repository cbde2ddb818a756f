"""The one place where raw values are scaled."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from hsilib.data.scene import Scene
from hsilib.data.standardize import Standardizer


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
