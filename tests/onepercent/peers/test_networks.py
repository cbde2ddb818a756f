"""What every registered network must do, whatever is inside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.registry import create_model
from tests.helpers import PATCH_NETWORKS, SMALL, make_nontrivial

N_CLASSES = 9
FEW = 16  # bands; every network takes so few


def on_small_patches(name: str, n_bands: int, n_classes: int) -> Network:
    """The network for patches of at most 9 × 9, where it takes such, to save time."""
    model = create_model(name, n_bands, n_classes)
    if model.patch_size <= 9:
        return model
    try:
        return create_model(name, n_bands, n_classes, patch_size=9)
    except InputError:
        return model


def patches_for(model: Network, n: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 100 + 20 * torch.randn(n, model.n_bands, model.patch_size, model.patch_size, generator=generator)


@pytest.mark.parametrize("n_bands", [103, 200, 204])
@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_a_network_keeps_the_contract(name: str, n_bands: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    create = create_model if n_bands == 200 else on_small_patches
    model = make_nontrivial(create(name, n_bands, N_CLASSES))
    patches = patches_for(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.fill_(0.1)  # a scale that starts at 0 gives what it scales no gradient

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

    other = create(name, n_bands, N_CLASSES).eval()
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


@pytest.mark.parametrize("name", PATCH_NETWORKS)
@pytest.mark.parametrize("change", [(-1, 0, 0), (0, -1, 0), (0, 0, 2)])
def test_patches_of_another_shape_are_refused(name: str, change: tuple[int, int, int]) -> None:
    model = create_model(name, FEW, 3)
    size = model.patch_size
    right = (FEW, size, size)
    wrong = [(2, *(n + more for n, more in zip(right, change, strict=True))), right, (2, size, size, FEW)]
    for shape in wrong:
        with pytest.raises(ValueError, match=rf"expected \(N, {FEW}, {size}, {size}\)"):
            model(torch.zeros(shape))


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_a_network_learns_a_dozen_patches_by_heart(name: str) -> None:
    """Three classes whose spectra lie far apart; the labels are right after a few steps, without dropout."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = on_small_patches(name, FEW, 3)
    model.set_standardizer(Standardizer(np.full(FEW, 100.0), np.full(FEW, 20.0), "nothing"))
    labels = torch.arange(12) % 3
    spectra = 100 + 20 * torch.randn(3, FEW, 1, 1, generator=generator)
    noise = torch.randn(12, FEW, model.patch_size, model.patch_size, generator=generator)
    patches = spectra[labels] + 2 * noise
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    right = 0.0
    for step in range(1, 121):
        model.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(patches), labels).backward()
        optimizer.step()
        if step % 5 == 0:
            model.eval()
            with torch.inference_mode():
                right = float((model(patches).argmax(dim=1) == labels).float().mean())
            if right == 1:
                break
    assert right == 1, f"{right:.0%} of a dozen training patches"


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_a_window_holds_its_patches(name: str) -> None:
    """What is shared between the patches of a window changes none of them."""
    torch.manual_seed(0)
    model = make_nontrivial(on_small_patches(name, FEW, 3)).eval()
    size = model.patch_size
    window = 100 + 20 * torch.randn(2, FEW, size + 2, size + 1, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        logits = model.forward_map(window)
        assert logits.shape == (2, 3, 3, 2)
        for row, col in ((0, 0), (1, 1), (2, 0)):
            patch = window[:, :, row : row + size, col : col + size]
            torch.testing.assert_close(logits[:, :, row, col], model(patch), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_the_standardizer_is_applied_inside_the_network(name: str) -> None:
    """Raw values in, the same logits as for scaled values into a network without scaling."""
    torch.manual_seed(0)
    model = create_model(name, FEW, 3).eval()
    raw = patches_for(model).double()
    model.double()
    generator = np.random.default_rng(0)
    mean, scale = generator.uniform(50, 150, FEW), generator.uniform(5, 20, FEW)
    by_hand = (raw - torch.from_numpy(mean)[:, None, None]) / torch.from_numpy(scale)[:, None, None]
    with torch.inference_mode():
        expected = model(by_hand)
    model.set_standardizer(Standardizer(mean, scale, "nothing"))
    with torch.inference_mode():
        assert torch.allclose(model(raw), expected, atol=1e-6)
        assert not torch.allclose(model(by_hand), expected, atol=1e-3)


@pytest.mark.parametrize("name", PATCH_NETWORKS)
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


@pytest.mark.parametrize(("wanted", "found"), [(0, 4), (4, 0), (4, 5)])
def test_a_standardizer_with_another_number_of_components(wanted: int, found: int) -> None:
    """Without the check, the first bands would pass for components."""
    standardizer = Standardizer.fit(np.random.default_rng(0).normal(100, 20, (9, 9, FEW)), components=found)
    with pytest.raises(InputError, match=f"works on {wanted} principal components .* has {found}"):
        create_model("cnn-1d", FEW, 3, components=wanted).set_standardizer(standardizer)


@pytest.mark.parametrize("components", [-1, FEW + 1])
@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_more_components_than_bands(name: str, components: int) -> None:
    with pytest.raises(InputError, match=f"components is {components}; expected 0 .* to {FEW}"):
        create_model(name, FEW, 3, components=components)


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
