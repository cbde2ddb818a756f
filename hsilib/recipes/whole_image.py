"""Recipes of networks that take the whole scene as one sample.

Each has its authors' public code's optimiser, steps and sampling for Indian Pines where there are such, else for
Salinas. All standardise the bands, validate every ten steps and keep the best of these; the codes of `freenet` and
`ssdgl` keep the last weights.
"""

from __future__ import annotations

from hsilib.config import Config
from hsilib.inference.whole_image_method import WholeImageOptions
from hsilib.training.whole_image_options import WholeImageFitOptions


def freenet() -> Config:
    """FreeNet: an encoder and decoder over the whole image, 1,000 steps, as its authors' code for Salinas.

    13 min on two CPU cores for Indian Pines.
    """
    schedule = WholeImageFitOptions(
        epochs=1000, optimizer="sgd", schedule="poly", learning_rate=1e-3, sampling="stratified", per_class=20
    )
    return Config("freenet", WholeImageOptions("freenet", fit=schedule))


def cegcn() -> Config:
    """CEGCN: a graph of superpixels beside convolutions, 600 steps, as its authors' code for Indian Pines.

    4 min on two CPU cores for Indian Pines.
    """
    schedule = WholeImageFitOptions(
        epochs=600, optimizer="adam", schedule="constant", learning_rate=5e-4, weight_decay=0.0, sampling="all"
    )
    return Config("cegcn", WholeImageOptions("cegcn", fit=schedule))


def ssdgl() -> Config:
    """SSDGL with its loss on training pixels alone: a convolutional LSTM over the whole image, 600 steps.

    15 min on two CPU cores for Indian Pines.
    """
    # The power of the code's schedule is 0.8 for Indian Pines; ours is 0.9 everywhere.
    schedule = WholeImageFitOptions(
        epochs=600,
        optimizer="sgd",
        schedule="poly",
        learning_rate=5e-3,
        sampling="balanced",
        per_class=10,
        class_weights=True,
    )
    return Config("ssdgl", WholeImageOptions("ssdgl", fit=schedule))
