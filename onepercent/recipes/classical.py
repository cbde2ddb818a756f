"""Recipes without a network: rules that see no spectra, and classical classifiers."""

from __future__ import annotations

from hsilib.recipes import Recipe
from onepercent.peers.classical.coordinates_1nn import Coordinates1NNOptions
from onepercent.peers.classical.geodesic_1nn import Geodesic1NNOptions
from onepercent.peers.classical.majority import MajorityOptions
from onepercent.peers.classical.random_forest import RandomForestOptions
from onepercent.peers.classical.superpixel_vote import SuperpixelVoteOptions
from onepercent.peers.classical.svm import SvmOptions
from onepercent.peers.classical.svm_emp import SvmEmpOptions
from onepercent.peers.classical.svm_multiscale import SvmMultiscaleOptions

RECIPES = (
    Recipe(
        "majority",
        MajorityOptions(),
        "the class that most training pixels have, everywhere",
        "1 s",
    ),
    Recipe(
        "coordinates-1nn",
        Coordinates1NNOptions(),
        "the label of the nearest training pixel; no spectra at all",
        "1 s",
    ),
    Recipe(
        "superpixel-vote",
        SuperpixelVoteOptions(),
        "superpixels in which the training pixels vote; no classifier",
        "5 s for Indian Pines",
    ),
    Recipe(
        "geodesic-1nn",
        Geodesic1NNOptions(),
        "the nearest label along the image, where a step costs more the more the spectrum changes; no classifier",
        "5 s for Indian Pines",
    ),
    Recipe(
        "svm",
        SvmOptions(),
        "RBF support vector machine on single spectra, cross-validated on the training pixels",
        "5 s for 1 % of Indian Pines",
    ),
    Recipe(
        "svm-emp",
        SvmEmpOptions(),
        "the support vector machine on morphological profiles of four principal components",
        "5 s for 1 % of Indian Pines",
    ),
    Recipe(
        "svm-multiscale",
        SvmMultiscaleOptions(),
        "the support vector machine on means over windows and superpixels; it may be given coordinates",
        "10 s for 1 % of Indian Pines",
        dagger="the sizes of windows and superpixels, from trials on test pixels of Indian Pines",
    ),
    Recipe(
        "random-forest",
        RandomForestOptions(),
        "random forest of 500 trees on single spectra",
        "5 s for 1 % of Indian Pines",
    ),
)
