"""Save and load networks: weights as safetensors, everything needed to build the network as JSON inside it. No pickle.

Contents: `save_model`, `load_model`.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from hsilib.errors import InputError
from hsilib.files import write_atomically
from hsilib.models.network import Network
from hsilib.models.registry import create_model


def save_model(model: Network, path: str | Path) -> Path:
    """Write ``model``, the scaling of its bands included, to one ``.safetensors`` file.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    path = Path(path)
    build = {"name": model.name, "n_bands": model.n_bands, "n_classes": model.n_classes, "options": model.options}
    weights = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    with write_atomically(path) as stream:
        stream.write(safetensors.torch.save(weights, metadata={"hsilib": json.dumps(build)}))
    return path


def load_model(path: str | Path, device: str | torch.device = "cpu") -> Network:
    """The network of a file that `save_model` wrote, in evaluation mode.

    Raises
    ------
    InputError : no such file, or a file that `save_model` did not write.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            build = json.loads((file.metadata() or {})["hsilib"])
        weights = safetensors.torch.load_file(path, device=str(device))
        model = create_model(build["name"], build["n_bands"], build["n_classes"], **build["options"])
        model.load_state_dict(weights)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a checkpoint of hsilib ({error}).") from error
    return model.to(device).eval()
