"""Recipes of networks that read a patch as a sequence: transformers, LSTMs, state-space models.

Each has its paper's optimiser, epochs, batch size, patch size and components as far as these are known to us; what is
not is called ours. None of them warms up, clips gradients or augments. The papers train on far more pixels than 1 %:
with few labels an epoch is a few steps, and a recipe of 50 epochs is soon over.
"""

from __future__ import annotations

from hsilib.config import Config
from hsilib.inference.network_method import NetworkOptions
from hsilib.training.fit_options import FitOptions


def spectralformer() -> Config:
    """SpectralFormer on patches of 7 × 7, 300 epochs, as its authors' public code for Indian Pines.

    12 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = FitOptions(
        epochs=300,
        batch_size=64,
        optimizer="adam",
        learning_rate=5e-4,
        schedule="step",
        warmup_epochs=0,
        weight_decay=5e-3,
        clip_norm=0,
    )
    return Config("spectralformer", NetworkOptions(network="spectralformer", fit=schedule))


def ssftt() -> Config:
    """SSFTT on patches of 13 × 13 and 30 components, 100 epochs, as its authors' public code for Indian Pines.

    1 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = _adam(epochs=100, batch_size=64)
    return Config("ssftt", NetworkOptions(network="ssftt", model={"components": 30}, fit=schedule))


def cnn_bilstm() -> Config:
    """CNN and Bi-LSTM on patches of 25 × 25 and 30 components; 50 epochs, batch and learning rate are ours.

    5 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = _adam(epochs=50, batch_size=16)
    return Config("cnn-bilstm", NetworkOptions(network="cnn-bilstm", model={"components": 30}, fit=schedule))


def pyformer() -> Config:
    """PyFormer on patches of 9 × 9 and 15 components, 50 epochs, as its authors' public notebook trains.

    3 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = _adam(epochs=50, batch_size=56, learning_rate=1e-4)
    return Config("pyformer", NetworkOptions(network="pyformer", model={"components": 15}, fit=schedule))


def mhssmamba() -> Config:
    """MHSSMamba on patches of 9 × 9 and 15 components, 50 epochs, as its authors' public notebook trains.

    2 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = _adam(epochs=50, batch_size=56)
    return Config("mhssmamba", NetworkOptions(network="mhssmamba", model={"components": 15}, fit=schedule))


def wavemamba() -> Config:
    """WaveMamba on patches of 5 × 5 and 15 components, 50 epochs of batches of 256, as its authors' public notebook.

    1 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = _adam(epochs=50, batch_size=256)
    return Config("wavemamba", NetworkOptions(network="wavemamba", model={"components": 15}, fit=schedule))


def _adam(epochs: int, batch_size: int, learning_rate: float = 1e-3) -> FitOptions:
    """Adam at a constant rate and nothing else; the notebooks' decay of 1e-6 a step changes nothing here."""
    return FitOptions(
        epochs=epochs,
        batch_size=batch_size,
        optimizer="adam",
        learning_rate=learning_rate,
        schedule="constant",
        warmup_epochs=0,
        weight_decay=0,
        clip_norm=0,
    )
