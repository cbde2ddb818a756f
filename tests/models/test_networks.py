"""What every registered network must do, whatever is inside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.models.network import Network
from hsilib.models.registry import NETWORKS, create_model
from tests.helpers import SMALL, make_nontrivial

N_CLASSES = 9


def patches_for(model: Network, n: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 100 + 20 * torch.randn(n, model.n_bands, model.patch_size, model.patch_size, generator=generator)


@pytest.mark.parametrize("n_bands", [103, 200, 204])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_the_contract(name: str, n_bands: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = make_nontrivial(create_model(name, n_bands, N_CLASSES))
    patches = patches_for(model)

    model.train()
    logits = model(patches)
    assert logits.shape == (3, N_CLASSES)
    assert torch.isfinite(logits).all()
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 4, 8])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{parameter_name} has a gradient that is not finite"
        assert parameter.grad.abs().sum() > 0, f"{parameter_name} has a gradient of zero"

    model.eval()
    with torch.inference_mode():
        logits = model(patches)
        assert torch.equal(logits, model(patches))
        assert torch.allclose(logits[1:2], model(patches[1:2]), atol=1e-5)
        features = model.forward_features(patches)
        assert features.shape == (3, model.n_features, 1, 1)
        assert torch.equal(model.forward_head(features).flatten(1), logits)

    other = create_model(name, n_bands, N_CLASSES).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        assert torch.equal(other(patches), logits)
    assert torch.equal(other.band_mean, model.band_mean)
    assert torch.equal(other.band_scale, model.band_scale)
    assert not torch.equal(model.band_scale, torch.ones(n_bands))

    model.reset_head(4)
    assert model.n_classes == 4
    with torch.inference_mode():
        assert model(patches).shape == (3, 4)
        assert torch.equal(model.forward_features(patches), features)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(2, 11, 15, 15), (2, 12, 13, 15), (2, 12, 15, 17), (12, 15, 15), (2, 15, 15, 12)])
def test_patches_of_another_shape_are_refused(name: str, shape: tuple[int, ...]) -> None:
    model = create_model(name, 12, 3)
    with pytest.raises(ValueError, match=r"expected \(N, 12, 15, 15\)"):
        model(torch.zeros(shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_standardizer_is_applied_inside_the_network(name: str) -> None:
    """Raw values in, the same logits as for scaled values into a network without scaling."""
    torch.manual_seed(0)
    model = create_model(name, 12, 3).eval()
    raw = patches_for(model).double()
    model.double()
    generator = np.random.default_rng(0)
    mean, scale = generator.uniform(50, 150, 12), generator.uniform(5, 20, 12)
    by_hand = (raw - torch.from_numpy(mean)[:, None, None]) / torch.from_numpy(scale)[:, None, None]
    with torch.inference_mode():
        expected = model(by_hand)
    model.set_standardizer(Standardizer(mean, scale, "nothing"))
    with torch.inference_mode():
        assert torch.allclose(model(raw), expected, atol=1e-6)
        assert not torch.allclose(model(by_hand), expected, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_on_principal_components(name: str) -> None:
    """Raw values in, the same logits as for components computed outside into a network for that many bands."""
    torch.manual_seed(0)
    model = create_model(name, 30, 3, components=20).eval().double()
    model.set_standardizer(Standardizer.fit(np.random.default_rng(0).normal(100, 20, (9, 9, 30)), components=20))
    raw = patches_for(model, 2).double()
    plain = create_model(name, 20, 3).eval().double()
    weights = {k: v for k, v in model.state_dict().items() if k not in {"band_mean", "band_scale", "projection"}}
    plain.load_state_dict(plain.state_dict() | weights)
    with torch.inference_mode():
        assert model.prepare(raw).shape[1] == model.n_inputs == 20
        assert torch.allclose(model(raw), plain(model.prepare(raw)), atol=1e-6)


@pytest.mark.parametrize("components", [-1, 13])
@pytest.mark.parametrize("name", NETWORKS)
def test_more_components_than_bands(name: str, components: int) -> None:
    with pytest.raises(InputError, match=f"components is {components}; expected 0 .* to 12"):
        create_model(name, 12, 3, components=components)


def test_an_unknown_network_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown network 'dualbranch': did you mean dual-branch"):
        create_model("dualbranch", 10, 2)


@pytest.mark.parametrize("patch_size", [3, 4, 14, 0, -5])
def test_a_patch_size_that_leaves_no_centre_or_nothing_to_pool(patch_size: int) -> None:
    with pytest.raises(InputError, match="odd number of at least 5"):
        create_model("dual-branch", 10, 2, patch_size=patch_size)


def test_the_parts_of_the_dual_branch_model_have_the_described_widths() -> None:
    model = create_model("dual-branch", 103, 9)
    with torch.inference_mode():
        window = torch.zeros(1, 103, 15, 15)
        assert model.eval().spectral(window).shape[1] == 160
        assert model.spatial(window).shape[1] == 96
    assert model.patch_size == 15


def test_golden_logits_of_a_tiny_model() -> None:
    """Weights are a fixed wave, so that no random generator decides; a refactor must not move these numbers."""
    model = create_model("dual-branch", 4, 3, **SMALL).double().eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            if parameter.ndim:  # the temperature stays at 1
                wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 0.7 + number)
                parameter.copy_(0.5 * wave.reshape(parameter.shape))
    patches = torch.cos(torch.arange(2 * 4 * 25, dtype=torch.float64) * 0.3).reshape(2, 4, 5, 5)
    with torch.inference_mode():
        logits = model(patches)
    torch.testing.assert_close(logits, torch.tensor(GOLDEN, dtype=torch.float64), atol=1e-9, rtol=0)


GOLDEN = [[0.874577410678, 0.754035434262, 0.296553653124], [0.798857227934, 0.736303738153, 0.344769638928]]
