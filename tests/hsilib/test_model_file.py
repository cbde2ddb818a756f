"""Checkpoints: everything a network needs in one file, and no pickle is ever loaded."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from hsilib.errors import InputError
from hsilib.model_file import load_model, read_class_names, save_model
from hsilib.registry import create_model
from tests.helpers import SMALL, make_nontrivial


def test_a_loaded_network_gives_the_same_logits_from_raw_values(tmp_path: Path) -> None:
    model = make_nontrivial(create_model("dual-branch", 6, 3, **SMALL)).eval()
    patches = 100 + 20 * torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    again = load_model(save_model(model, tmp_path / "models" / "a.safetensors"))
    with torch.inference_mode():
        assert torch.equal(again(patches), model(patches))
    assert torch.equal(again.band_scale, model.band_scale)
    assert not again.training
    assert (again.n_bands, again.n_classes, again.patch_size) == (6, 3, 5)


def test_a_network_with_another_head(tmp_path: Path) -> None:
    model = create_model("dual-branch", 6, 3, **SMALL)
    model.reset_head(5)
    again = load_model(save_model(model, tmp_path / "a.safetensors"))
    assert again.n_classes == 5
    assert torch.equal(again.head.weight, model.head.weight)


def test_a_network_built_with_the_integers_of_numpy(tmp_path: Path) -> None:
    """As where sizes come from an array's shape or a grid: JSON knows Python's numbers only."""
    model = create_model("dual-branch", np.int64(6), np.int32(3), **{**SMALL, "patch_size": np.int64(7)})
    again = load_model(save_model(model, tmp_path / "a.safetensors"))
    assert (again.n_bands, again.n_classes, again.patch_size) == (6, 3, 7)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())


class Explosive:
    unpickled = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Explosive, "unpickled", True))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(InputError, match="not a checkpoint"):
        load_model(path)
    assert not Explosive.unpickled


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a checkpoint"):
        load_model(tmp_path / "none.safetensors")
    path = save_model(create_model("dual-branch", 6, 3, **SMALL), tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a checkpoint"):
        load_model(path)
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="not a checkpoint"):
        load_model(path)


@pytest.mark.parametrize("metadata", ["[]", "{}", "not json", '{"name": "dual-branch"}'])
def test_metadata_that_say_nothing_useful(metadata: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path, {"hsilib": metadata})
    for read in (load_model, read_class_names):
        with pytest.raises(InputError, match="not a checkpoint"):
            read(path)


def test_weights_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    build = {"name": "dual-branch", "n_bands": 6, "n_classes": 3, "options": {}}
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path, {"hsilib": json.dumps(build)})
    with pytest.raises(InputError):
        load_model(path)
