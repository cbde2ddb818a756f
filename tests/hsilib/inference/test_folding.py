"""The folded dual-branch model gives the logits of the plain one, whatever it is made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hsilib.data.orientation import turned, turned_back
from hsilib.inference.dense import folded, folded_views
from hsilib.inference.folding import STRIP_ROWS
from hsilib.model.attention import ATTENTIONS
from hsilib.model.dual_branch import FUSIONS, DualBranch, TemperatureFusion
from hsilib.model.network import Network
from tests.helpers import SMALL, make_nontrivial

N_BANDS, N_CLASSES = 5, 3


def a_model(gain: float = 3, **options: Any) -> DualBranch:
    """Every weight, bias, phase and temperature away from where it starts, and logits that differ between pixels."""
    torch.manual_seed(0)
    model = DualBranch(N_BANDS, N_CLASSES, **{**SMALL, "patch_size": 7, **options}).eval()
    make_nontrivial(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(gain)
            if name.endswith("phase"):
                parameter.copy_(torch.linspace(-3, 3, parameter.numel()).view_as(parameter))
            if name.endswith("temperature"):
                parameter.fill_(0.7)
        if model.projection is not None:
            model.projection.copy_(torch.randn(model.projection.shape) / 2)
    return model


def a_map(model: Network, rows: int, cols: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    margin = model.patch_size - 1
    return 100 + 15 * torch.randn(1, model.n_bands, rows + margin, cols + margin, generator=generator)


@torch.inference_mode()
def assert_folds(model: DualBranch, rows: int = 6, cols: int = 5) -> None:
    x = a_map(model, rows, cols)
    expected = model.forward_map(x)
    assert expected.std(dim=(2, 3)).min() > 1e-3
    torch.testing.assert_close(folded(model)(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_variant(attention: str, fusion: str) -> None:
    assert_folds(a_model(attention=attention, fusion=fusion))


@pytest.mark.parametrize("patch_size", [5, 7, 9, 11, 15, 19, 21])
def test_every_window(patch_size: int) -> None:
    assert_folds(a_model(patch_size=patch_size), 40, 3)


@pytest.mark.parametrize("rows", [1, 2, STRIP_ROWS - 1, STRIP_ROWS, STRIP_ROWS + 1, 3 * STRIP_ROWS + 5])
def test_strips_of_any_number(rows: int) -> None:
    assert_folds(a_model(), rows, 7 if rows > 1 else 60)


def test_the_default_widths_and_patch() -> None:
    torch.manual_seed(0)
    widths = {"patch_size": 15, "spectral_width": 160, "spatial_width": 96, "fusion_width": 128, "hidden_width": 256}
    assert_folds(a_model(gain=2, **widths), 20, 40)


def test_principal_components() -> None:
    assert_folds(a_model(components=3))


def test_a_temperature_below_its_smallest_value_is_clamped() -> None:
    model = a_model()
    assert isinstance(model.fusion, TemperatureFusion)
    with torch.no_grad():
        model.fusion.temperature.fill_(-0.3)
    assert_folds(model)


def test_bands_far_above_their_spread_cost_no_digits() -> None:
    """Values near 10 000 that vary by 1: folding the means into a bias would be off by more than 1e-3."""
    model = a_model()
    with torch.no_grad():
        model.band_mean.fill_(10_000)
        model.band_scale.fill_(1)
        x = 10_000 + (a_map(model, 6, 5) - 100) / 15
        exact = model.double().forward_map(x.double())
        torch.testing.assert_close(folded(model.float())(x), exact.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["quantum", "constant-phase"])
def test_views_are_those_of_turned_scenes_laid_back(attention: str) -> None:
    model = a_model(attention=attention)
    x = a_map(model, 20, 6)
    with torch.inference_mode():
        expected = torch.cat([turned_back(model.forward_map(turned(x, k)), k) for k in range(8)])
        assert (expected[0] - expected[5]).abs().max() > 0.01
        torch.testing.assert_close(folded_views(model, range(8))(x), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(folded_views(model, [6, 1])(x), expected[[6, 1]], atol=1e-5, rtol=1e-5)
        model.__class__ = type("Other", (DualBranch,), {})  # nobody knows how to fold a subclass
        plain = folded_views(model, [3, 7])(x)
        torch.testing.assert_close(plain, expected[[3, 7]], atol=1e-5, rtol=1e-5)


def test_folding_reads_the_weights_of_its_moment_and_changes_nothing() -> None:
    model = a_model()
    x = a_map(model, 4, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run = folded(model)
    first = run(x).clone()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.mul_(1.1)
    assert torch.equal(run(x), first)
    assert not torch.equal(folded(model)(x), first)
    assert_folds(model)


def test_the_same_call_gives_the_same_bits_whatever_was_computed_before() -> None:
    model = a_model()
    run, x = folded(model), a_map(model, 37, 9)
    first = run(x).clone()
    run(10 * a_map(model, 50, 30))
    assert torch.equal(run(x), first)


def test_no_gradient_and_no_change_of_mode() -> None:
    model = a_model().train()
    logits = folded(model)(a_map(model, 3, 3))
    assert not logits.requires_grad
    assert model.training
