"""Recipes of the convolutional peers.

Each has its paper's optimiser, epochs, batch size, patch size and components as far as these are known to us; what is
not is called ours. None of them warms up, clips gradients or augments. The papers train on far more pixels than 1 %:
with few labels an epoch is a few steps. So all train in batches of 16, for 1,200 steps at least, and keep the last
weights: no method sees more labels than the training pixels.
"""

from __future__ import annotations

from typing import Any

from hsilib.network_method import NetworkOptions
from hsilib.recipes import Recipe
from hsilib.training.fit_options import FitOptions


def plain(network: str, model: dict[str, Any] | None = None, **schedule: Any) -> NetworkOptions:
    """Adam at a constant 1e-3 on batches of 16, unless told otherwise; no warm-up, no weight decay, no clipping.

    At least 1,200 steps, the last weights.
    """
    common: dict[str, Any] = {
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_epochs": 0,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "choose": "last",
        "least_steps": 1200,
    }
    return NetworkOptions(network=network, model=model or {}, fit=FitOptions(**(common | schedule)))


RECIPES = (
    Recipe(
        "cnn-1d",
        plain("cnn-1d", epochs=500, optimizer="sgd", learning_rate=0.01),
        "1-D CNN on single spectra, gradient descent at 0.01; batches of 16, momentum and 500 epochs are ours",
        "1 min for 1 % of Indian Pines",
    ),
    Recipe(
        "cnn-2d",
        plain("cnn-2d", {"components": 30}, epochs=300, optimizer="sgd", learning_rate=0.01),
        "2-D CNN on patches of 5 × 5; 30 components (the paper's are those with 99.9 % of the variance) and the rest "
        "ours",
        "1 min for 1 % of Indian Pines",
    ),
    # DeepHyperX also lowers the rate where the loss stalls, over many more steps than few labels give. Momentum, which
    # it does not have, lets the training diverge on Salinas-A.
    Recipe(
        "cnn-3d",
        plain("cnn-3d", epochs=200, optimizer="plain-sgd", learning_rate=0.01, weight_decay=5e-4),
        "3-D CNN on patches of 5 × 5; gradient descent as in DeepHyperX; batches of 16, 200 epochs are ours",
        "2 min for 1 % of Indian Pines",
    ),
    # Their batches are of 256, on 30 % of the pixels: about a dozen steps an epoch. Such a batch would make 1 % of the
    # labels one step; batches of 16 make them eight.
    Recipe(
        "hybridsn",
        plain("hybridsn", {"components": 30}, epochs=100),
        "HybridSN on patches of 25 × 25 and 30 components, Adam, 100 epochs, as published; batches of 16 are ours",
        "4 min for 1 % of Indian Pines",
    ),
    # Theirs pads the scene with zeros and keeps the epoch of the lowest validation loss; ours mirrors it and keeps the
    # last, as for every network here.
    # Their 1e-4 · w² in the loss has the gradient 2e-4 · w.
    Recipe(
        "ssrn",
        plain("ssrn", epochs=200, optimizer="rmsprop", learning_rate=3e-4, weight_decay=2e-4),
        "SSRN on patches of 7 × 7, RMSprop, 200 epochs, as its authors' public code",
        "5 min for 1 % of Indian Pines",
    ),
    Recipe(
        "dbda",
        plain("dbda", epochs=200, learning_rate=5e-4, schedule="cosine", final_learning_rate=0.0),
        "DBDA on patches of 9 × 9, Adam along one cosine, 200 epochs, as published",
        "15 min for 1 % of Indian Pines",
    ),
    Recipe(
        "a2s2k-resnet",
        plain("a2s2k-resnet", epochs=200, schedule="cosine", final_learning_rate=0.0),
        "A2S2K-ResNet on patches of 9 × 9, Adam, 200 epochs, as its authors' public code; one cosine is ours",
        "12 min for 1 % of Indian Pines",
    ),
)
