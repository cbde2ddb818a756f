"""Recipes of networks that read a patch as a sequence: transformers, LSTMs, state-space models.

Each has its paper's optimiser, epochs, batch size, patch size and components as far as these are known to us; what is
not is called ours. None of them warms up, clips gradients or augments. The papers train on far more pixels than 1 %:
with few labels an epoch is a few steps, and 50 epochs of large batches are soon over: all train in batches of 16, for
1,200 steps at least, and keep the last weights, see `convolutional`. The notebooks' decay of 1e-6 a step changes
nothing here and is left out.
"""

from __future__ import annotations

from typing import Any

from hsilib.network_method import NetworkOptions
from hsilib.recipes import Recipe
from onepercent.recipes.convolutional import plain


def adam(network: str, model: dict[str, Any] | None = None, **schedule: Any) -> NetworkOptions:
    """`plain`, with the zeros as whole numbers: so they stand in the ids of these recipes' records."""
    return plain(network, model, **({"weight_decay": 0, "clip_norm": 0} | schedule))


RECIPES = (
    Recipe(
        "cnn-bilstm",
        adam("cnn-bilstm", {"components": 30}, epochs=50),
        "CNN and Bi-LSTM on patches of 25 × 25 and 30 components; 50 epochs, batch and learning rate are ours",
        "5 min for 1 % of Indian Pines",
    ),
    Recipe(
        "mhssmamba",
        adam("mhssmamba", {"components": 15}, epochs=50),
        "MHSSMamba on patches of 9 × 9 and 15 components, at the learning rate of its authors' public notebook",
        "2 min for 1 % of Indian Pines",
    ),
    Recipe(
        "pyformer",
        adam("pyformer", {"components": 15}, epochs=50, learning_rate=1e-4),
        "PyFormer on patches of 9 × 9 and 15 components, at the learning rate of its authors' public notebook",
        "3 min for 1 % of Indian Pines",
    ),
    Recipe(
        "spectralformer",
        adam("spectralformer", epochs=300, learning_rate=5e-4, schedule="step", weight_decay=5e-3),
        "SpectralFormer on patches of 7 × 7, 300 epochs, rates as in its authors' public code for Indian Pines",
        "12 min for 1 % of Indian Pines",
    ),
    Recipe(
        "ssftt",
        adam("ssftt", {"components": 30}, epochs=100),
        "SSFTT on patches of 13 × 13 and 30 components, at the rate of its authors' public code for Indian Pines",
        "1 min for 1 % of Indian Pines",
    ),
    Recipe(
        "wavemamba",
        adam("wavemamba", {"components": 15}, epochs=50),
        "WaveMamba on patches of 5 × 5 and 15 components, at the learning rate of its authors' public notebook",
        "1 min for 1 % of Indian Pines",
    ),
)
