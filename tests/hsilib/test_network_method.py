"""A network behind the `Method` contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.inference.dense import predict_logits_patchwise
from hsilib.network_method import NetworkMethod, NetworkOptions
from tests.helpers import small_network

CPU = torch.device("cpu")


def fitted(scene: Scene, seed: int = 0, **fit: int) -> NetworkMethod:
    method = small_network(**fit).build(CPU)
    split = make_split(scene, "count:5", 0).hide_test_labels()
    method.fit(scene.without_ground_truth(), split, torch.Generator().manual_seed(seed))
    return method


def test_probabilities_are_the_softmax_of_the_patchwise_logits(tiny: Scene) -> None:
    method = fitted(tiny)
    expected = predict_logits_patchwise(method.model, tiny.cube).softmax(dim=-1).numpy()
    np.testing.assert_allclose(method.predict_proba(tiny), expected, atol=1e-5)


def test_the_standardizer_is_fitted_on_all_pixels_and_part_of_the_weights(tiny: Scene) -> None:
    weights = fitted(tiny).model.state_dict()
    expected = Standardizer.fit(tiny.cube)
    np.testing.assert_allclose(weights["band_mean"].numpy(), expected.mean, rtol=1e-6)
    np.testing.assert_allclose(weights["band_scale"].numpy(), expected.scale, rtol=1e-6)


def test_the_generator_decides_everything(tiny: Scene) -> None:
    torch.manual_seed(1)
    first = fitted(tiny)
    torch.manual_seed(2)
    second, other = fitted(tiny), fitted(tiny, seed=1)
    assert first.history == second.history
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name
    assert first.history != other.history
    assert not torch.equal(first.model.head.weight, other.model.head.weight)


def test_the_global_random_state_is_left_alone(tiny: Scene) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fitted(tiny)
    assert torch.equal(torch.get_rng_state(), before)


def test_details(tiny: Scene) -> None:
    method = fitted(tiny, epochs=3)
    details = method.details()
    assert details["parameters"] == sum(p.numel() for p in method.model.parameters())
    assert details["history"]["best_epoch"] == method.history.best_epoch
    for curve in ("train_loss", "val_loss", "val_accuracy"):
        assert details["history"][curve] == pytest.approx(getattr(method.history, curve), abs=1e-5)
        assert len(details["history"][curve]) == 3


def test_an_unknown_network() -> None:
    with pytest.raises(InputError, match="did you mean dual-branch"):
        NetworkOptions(network="dual-brunch")


def test_a_network_of_whole_images_is_refused() -> None:
    with pytest.raises(InputError, match="freenet takes whole images, not patches"):
        NetworkOptions(network="freenet")
