"""Recipes without a network: rules that see no spectra, and classical classifiers."""

from __future__ import annotations

from hsilib.config import Config
from hsilib.models.peers.coordinates_1nn import Coordinates1NNOptions
from hsilib.models.peers.geodesic_1nn import Geodesic1NNOptions
from hsilib.models.peers.random_forest import RandomForestOptions
from hsilib.models.peers.superpixel_vote import SuperpixelVoteOptions
from hsilib.models.peers.svm import SvmOptions
from hsilib.models.peers.svm_emp import SvmEmpOptions
from hsilib.models.peers.svm_multiscale import SvmMultiscaleOptions


def coordinates_1nn() -> Config:
    """The label of the nearest training pixel; no spectra at all.

    1 s.
    """
    return Config("coordinates-1nn", Coordinates1NNOptions())


def superpixel_vote() -> Config:
    """Superpixels in which the training pixels vote; no classifier.

    5 s for Indian Pines.
    """
    return Config("superpixel-vote", SuperpixelVoteOptions())


def geodesic_1nn() -> Config:
    """The nearest label along the image, where a step costs more the more the spectrum changes; no classifier.

    5 s for Indian Pines.
    """
    return Config("geodesic-1nn", Geodesic1NNOptions())


def svm() -> Config:
    """RBF support vector machine on single spectra, cross-validated on the training pixels.

    5 s for 1 % of Indian Pines.
    """
    return Config("svm", SvmOptions())


def svm_emp() -> Config:
    """The support vector machine on morphological profiles of four principal components.

    5 s for 1 % of Indian Pines.
    """
    return Config("svm-emp", SvmEmpOptions())


def svm_multiscale() -> Config:
    """The support vector machine on means over windows and superpixels; it may be given coordinates.

    10 s for 1 % of Indian Pines.
    """
    return Config("svm-multiscale", SvmMultiscaleOptions())


def random_forest() -> Config:
    """Random forest of 500 trees on single spectra.

    5 s for 1 % of Indian Pines.
    """
    return Config("random-forest", RandomForestOptions())
