"""Small things that several tests build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsilib.config import Config, with_overrides
from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.inference.dense import predict_logits
from hsilib.model.network import Network
from hsilib.network_method import NetworkOptions
from hsilib.registry import NETWORKS, create_model
from hsilib.training.fit_options import FitOptions
from onepercent.recipes import recipe

ROOT = Path(__file__).resolve().parents[1]
PATCH_NETWORKS = [name for name, network in NETWORKS.items() if network.takes_patches]
WHOLE_IMAGE_NETWORKS = [name for name, network in NETWORKS.items() if not network.takes_patches]
SMALL: dict[str, Any] = {
    "patch_size": 5,
    "spectral_width": 8,
    "spatial_width": 8,
    "fusion_width": 8,
    "hidden_width": 8,
}
SMALL_SETTINGS = [f"model.{name}={value}" for name, value in SMALL.items()]


def small_network(**fit: Any) -> NetworkOptions:
    """The dual-branch model, narrow, with the given `FitOptions`."""
    return NetworkOptions(model=dict(SMALL), fit=FitOptions(**{"epochs": 2, "warmup_epochs": 1, **fit}))


def scene_of(ground_truth: NDArray[Any], n_bands: int = 3, seed: int = 0, cube: NDArray[Any] | None = None) -> Scene:
    """A scene with this ground truth and, unless a cube is given, random spectra."""
    labels = np.asarray(ground_truth)
    if cube is None:
        cube = np.random.default_rng(seed).normal(100, 10, (*labels.shape, n_bands)).astype(np.float32)
    names = tuple(f"class {k}" for k in range(1, int(labels.max()) + 1))
    return Scene("made up", cube, labels, names)


def separable_scene(rows: int = 16, cols: int = 12, n_bands: int = 6, n_classes: int = 3, noise: float = 1.0) -> Scene:
    """Vertical stripes of classes whose spectra lie far apart."""
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(cols) * n_classes // cols + 1, rows).reshape(cols, rows).T.astype(np.uint8)
    spectra = generator.uniform(500, 3000, (n_classes, n_bands))
    cube = spectra[labels - 1] + noise * generator.standard_normal((rows, cols, n_bands))
    return scene_of(labels, cube=cube.astype(np.float32))


def split_of(scene: Scene, train: Any, val: Any, test: Any) -> Split:
    """A split of exactly these flat indices, labelled by the scene's ground truth."""
    parts = [np.asarray(part, dtype=np.int64) for part in (train, val, test)]
    labels = [scene.ground_truth.ravel()[part].astype(np.int64) for part in parts]
    return Split("made up", scene.shape, *parts, *labels)


def make_nontrivial(model: Network, seed: int = 0) -> Network:
    """Give the standardizer and every BatchNorm the statistics of a trained model, so that none is an identity."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(size: int, low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator)

    mean, scale = uniform(model.n_bands, 50, 150).double(), uniform(model.n_bands, 5, 20).double()
    projection = None if model.projection is None else model.projection.double().numpy()
    model.set_standardizer(Standardizer(mean.numpy(), scale.numpy(), "nothing", projection))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                size = module.num_features
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.copy_(uniform(size, -0.5, 0.5))
                module.running_var.copy_(uniform(size, 0.3, 2.0))
                module.weight.copy_(uniform(size, 0.5, 2.0))
                module.bias.copy_(uniform(size, -0.5, 0.5))
    return model


def undecided_model(cube: NDArray[Any], n_classes: int) -> Network:
    """A small dual-branch model that finds every class somewhere in ``cube``."""
    torch.manual_seed(0)
    model = make_nontrivial(create_model("dual-branch", cube.shape[2], n_classes, **SMALL))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
        model.head.bias.sub_(predict_logits(model, cube).mean(dim=(0, 1)))
    return model


def small(name: str, **changes: Any) -> Config:
    """A recipe on the tiny scene, small enough for seconds."""
    settings = {
        "paper": [*SMALL_SETTINGS, "fit.epochs=3", "pretrain.epochs=2"],
        "quick": [*SMALL_SETTINGS, "fit.epochs=3"],
        "random-forest": ["trees=5"],
        "svm": ["costs=(1.0, 100.0)", "gammas=1.0"],
        "svm-emp": ["costs=(1.0, 100.0)", "gammas=1.0"],
        "svm-multiscale": ["costs=(1.0, 100.0)", "gammas=1.0"],
        "cegcn": ["model.width=16", "fit.epochs=3"],
        "ssdgl": ["model.widths=(32, 32, 32, 32)", "model.inner_width=16", "fit.epochs=3"],
    }.get(name, [])
    where: dict[str, Any] = {"scene": "synthetic-tiny", "split": "percent:0.1", "device": "cpu"}
    config = replace(recipe(name), **(where | changes))
    return with_overrides(config, settings)
