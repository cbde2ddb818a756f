"""A network that was built by calling its class is as good as one from `create_model`: it can be saved and loaded."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from hsilib.errors import InputError
from hsilib.model.dual_branch import DualBranch
from hsilib.model.network import Network
from hsilib.model_file import load_model, save_model
from hsilib.registry import create_model
from tests.helpers import make_nontrivial


def logits(model: Network) -> torch.Tensor:
    patches = 100 + 20 * torch.randn(4, 10, 7, 7, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.eval()(patches)


BUILT: dict[str, tuple[DualBranch, dict[str, Any]]] = {
    "by name": (DualBranch(10, 3, patch_size=7), {"patch_size": 7}),
    "all by name": (DualBranch(n_bands=10, n_classes=3, patch_size=7), {"patch_size": 7}),
    "by position": (DualBranch(10, 3, 7, 24, 16), {"patch_size": 7, "spectral_width": 24, "spatial_width": 16}),
    "mixed": (
        DualBranch(10, 3, 7, fusion="concatenation", components=4),
        {"patch_size": 7, "fusion": "concatenation", "components": 4},
    ),
}


@pytest.mark.parametrize("copied", [False, True], ids=["itself", "copy"])
@pytest.mark.parametrize("how", BUILT)
def test_a_network_built_directly_is_saved_and_loaded(how: str, copied: bool, tmp_path: Path) -> None:
    built, options = BUILT[how]
    model = copy.deepcopy(make_nontrivial(built)) if copied else make_nontrivial(built)
    assert model.options == options
    again = load_model(save_model(model, tmp_path / "a.safetensors"))
    assert type(again) is DualBranch
    assert (again.n_bands, again.n_classes, again.options) == (10, 3, options)
    assert torch.equal(logits(again), logits(model))


def test_it_keeps_what_create_model_keeps() -> None:
    options = {"patch_size": 7, "dropout": 0.0}
    assert DualBranch(10, 3, **options).options == create_model("dual-branch", 10, 3, **options).options  # type: ignore[arg-type]


def test_a_copy_is_apart_from_its_original() -> None:
    model = DualBranch(10, 3, patch_size=7)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.head.weight.zero_()
    copied.options["patch_size"] = 9
    assert model.head.weight.any()
    assert model.options == {"patch_size": 7}


def test_wrong_arguments_are_what_the_class_says() -> None:
    with pytest.raises(TypeError, match="colour"):
        DualBranch(10, 3, colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="n_classes"):
        DualBranch(10)  # type: ignore[call-arg]
    assert "n_bands" in inspect.signature(DualBranch).parameters


class Unregistered(DualBranch):
    """Inherits the name of its parent, but is another network."""


class Nameless(Network):
    """Has no name at all."""


@pytest.mark.parametrize(
    ("model", "name"),
    [(Unregistered(10, 3, patch_size=7), "Unregistered"), (Nameless(10, 3, patch_size=7), "Nameless")],
    ids=["inherited name", "no name"],
)
def test_a_network_that_is_not_registered_is_not_saved(model: Network, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name} is not registered, so no file of it could be read; register_network"):
        save_model(model, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
