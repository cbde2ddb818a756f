"""Recipes of networks that take the whole scene as one sample.

Each has its authors' public code's optimiser, steps and sampling for Indian Pines where there are such, else for
Salinas. All standardise the bands and keep the last weights, as the codes of `freenet` and `ssdgl` do.
"""

from __future__ import annotations

from hsilib.recipes import Recipe
from onepercent.peers.whole_image.method import WholeImageOptions
from onepercent.peers.whole_image.options import WholeImageFitOptions

FREENET = WholeImageFitOptions(
    epochs=1000,
    optimizer="sgd",
    schedule="poly",
    learning_rate=1e-3,
    sampling="stratified",
    per_class=20,
    choose="last",
)
CEGCN = WholeImageFitOptions(
    epochs=600,
    optimizer="adam",
    schedule="constant",
    learning_rate=5e-4,
    weight_decay=0.0,
    sampling="all",
    choose="last",
)
# The power of the code's schedule is 0.8 for Indian Pines; ours is 0.9 everywhere.
SSDGL = WholeImageFitOptions(
    epochs=600,
    optimizer="sgd",
    schedule="poly",
    learning_rate=5e-3,
    sampling="balanced",
    per_class=10,
    class_weights=True,
    choose="last",
)

RECIPES = (
    Recipe(
        "freenet",
        WholeImageOptions("freenet", fit=FREENET),
        "FreeNet: an encoder and decoder over the whole image, 1,000 steps, as its authors' code for Salinas",
        "13 min for Indian Pines",
    ),
    Recipe(
        "cegcn",
        WholeImageOptions("cegcn", fit=CEGCN),
        "CEGCN: a graph of superpixels beside convolutions, 600 steps, as its authors' code for Indian Pines",
        "4 min for Indian Pines",
    ),
    Recipe(
        "ssdgl",
        WholeImageOptions("ssdgl", fit=SSDGL),
        "SSDGL with its loss on training pixels alone: a convolutional LSTM over the whole image, 600 steps",
        "15 min for Indian Pines",
    ),
)
