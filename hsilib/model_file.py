"""Save and load networks: weights as safetensors, what builds the network as JSON inside it. No pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from hsilib.errors import InputError
from hsilib.files import write_atomically
from hsilib.model.network import Network
from hsilib.registry import NETWORKS, create_model


def save_model(model: Network, path: str | Path, class_names: Sequence[str] = ()) -> Path:
    """Write ``model``, the scaling of its bands included, to one ``.safetensors`` file.

    Parameters
    ----------
    class_names : names of the labels 1…K, for the legend of a map.

    Raises
    ------
    InputError : the folder cannot be written, or the network is not registered and could not be read again.
    """
    path = Path(path)
    if NETWORKS.get(getattr(model, "name", "")) is not type(model):
        raise InputError(
            f"{type(model).__name__} is not registered, so no file of it could be read; register_network it."
        )
    build = {"name": model.name, "n_bands": model.n_bands, "n_classes": model.n_classes, "options": model.options}
    if class_names:
        build["class_names"] = list(class_names)
    described = json.dumps(build, default=lambda number: number.item())  # NumPy's own, such as a patch_size
    weights = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    with write_atomically(path) as stream:
        stream.write(safetensors.torch.save(weights, metadata={"hsilib": described}))
    return path


def load_model(path: str | Path, device: str | torch.device = "cpu") -> Network:
    """The network of a file that `save_model` wrote, in evaluation mode.

    Raises
    ------
    InputError : no such file, or a file that `save_model` did not write.
    """
    with _reading(path):
        build = _metadata(path)
        model = create_model(build["name"], build["n_bands"], build["n_classes"], **build["options"])
        model.load_state_dict(safetensors.torch.load_file(path))
    return model.to(device).eval()


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Names of the labels 1…K as the file has them; ``class 1``, … where it was saved without.

    Raises
    ------
    InputError : no such file, or a file that `save_model` did not write.
    """
    with _reading(path):
        build = _metadata(path)
        return tuple(build.get("class_names") or (f"class {k}" for k in range(1, build["n_classes"] + 1)))


def _metadata(path: str | Path) -> Any:
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {})["hsilib"])


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Say of whatever goes wrong inside that the file is no checkpoint."""
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{path}: not a checkpoint of hsilib ({error}).") from error
