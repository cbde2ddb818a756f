"""Recipes without a network: rules that see no spectra, and classical classifiers."""

from __future__ import annotations

from hsilib.config import Config
from hsilib.models.peers.coordinates_1nn import Coordinates1NNOptions
from hsilib.models.peers.random_forest import RandomForestOptions
from hsilib.models.peers.superpixel_vote import SuperpixelVoteOptions
from hsilib.models.peers.svm import SvmOptions


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


def svm() -> Config:
    """RBF support vector machine on single spectra, cross-validated on the training pixels.

    5 s for 1 % of Indian Pines.
    """
    return Config("svm", SvmOptions())


def random_forest() -> Config:
    """Random forest of 500 trees on single spectra.

    5 s for 1 % of Indian Pines.
    """
    return Config("random-forest", RandomForestOptions())
