"""Recipes of the convolutional peers.

Each has its paper's optimiser, epochs, batch size, patch size and components as far as these are known to us; what is
not is called ours. None of them warms up, clips gradients or augments. The papers train on far more pixels than 1 %:
with few labels an epoch is a few steps. Papers that stop early on validation do so here by the epoch that is kept.
"""

from __future__ import annotations

from typing import Any

from hsilib.config import Config
from hsilib.inference.network_method import NetworkOptions
from hsilib.training.fit_options import FitOptions


def cnn_1d() -> Config:
    """1-D CNN on single spectra, gradient descent at 0.01; batches of 16, momentum and 500 epochs are ours.

    1 min on two CPU cores for 1 % of Indian Pines.
    """
    return _recipe("cnn-1d", epochs=500, optimizer="sgd", learning_rate=0.01)


def cnn_2d() -> Config:
    """2-D CNN on patches of 5 × 5; 30 components (the paper's are those with 99.9 % of the variance) and the rest ours.

    1 min on two CPU cores for 1 % of Indian Pines.
    """
    return _recipe("cnn-2d", {"components": 30}, epochs=300, optimizer="sgd", learning_rate=0.01)


def cnn_3d() -> Config:
    """3-D CNN on patches of 5 × 5; gradient descent as in DeepHyperX; batches of 16, 200 epochs are ours.

    2 min on two CPU cores for 1 % of Indian Pines.
    """
    # DeepHyperX also lowers the rate where the loss stalls, over many more steps than few labels give. Momentum, which
    # it does not have, lets the training diverge on Salinas-A.
    return _recipe("cnn-3d", epochs=200, optimizer="plain-sgd", learning_rate=0.01, weight_decay=5e-4)


def hybridsn() -> Config:
    """HybridSN on patches of 25 × 25 and 30 components, Adam, 100 epochs, as published; batches of 16 are ours.

    4 min on two CPU cores for 1 % of Indian Pines.
    """
    # Theirs are of 256, on 30 % of the pixels: about a dozen steps an epoch. Such a batch would make 1 % of the labels
    # one step; batches of 16 make them eight.
    return _recipe("hybridsn", {"components": 30}, epochs=100)


def ssrn() -> Config:
    """SSRN on patches of 7 × 7, RMSprop, 200 epochs, as its authors' public code.

    5 min on two CPU cores for 1 % of Indian Pines.
    """
    # Theirs pads the scene with zeros and keeps the epoch of the lowest validation loss; ours mirrors it and keeps that
    # of the highest validation accuracy, as for every network here.
    # Their 1e-4 · w² in the loss has the gradient 2e-4 · w.
    return _recipe("ssrn", epochs=200, optimizer="rmsprop", learning_rate=3e-4, weight_decay=2e-4)


def dbda() -> Config:
    """DBDA on patches of 9 × 9, Adam along one cosine, 200 epochs, as published.

    15 min on two CPU cores for 1 % of Indian Pines.
    """
    return _recipe("dbda", epochs=200, learning_rate=5e-4, schedule="cosine", final_learning_rate=0.0)


def a2s2k_resnet() -> Config:
    """A2S2K-ResNet on patches of 9 × 9, Adam, 200 epochs, as its authors' public code; one cosine is ours.

    12 min on two CPU cores for 1 % of Indian Pines.
    """
    return _recipe("a2s2k-resnet", epochs=200, schedule="cosine", final_learning_rate=0.0)


def _recipe(network: str, model: dict[str, Any] | None = None, **schedule: Any) -> Config:
    """Adam at a constant 1e-3 on batches of 16, unless told otherwise."""
    common: dict[str, Any] = {
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_epochs": 0,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
    }
    return Config(network, NetworkOptions(network=network, model=model or {}, fit=FitOptions(**(common | schedule))))
