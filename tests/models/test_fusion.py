"""Temperature-guided fusion against its formula (METHOD A5)."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from hsilib.models.fusion import TemperatureFusion


def a_fusion() -> tuple[TemperatureFusion, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    fusion = TemperatureFusion(5, 3, 4).double()
    return fusion, torch.randn(2, 5, 3, 2, dtype=torch.float64), torch.randn(2, 3, 3, 2, dtype=torch.float64)


def by_the_formula(
    fusion: TemperatureFusion, spectral: torch.Tensor, spatial: torch.Tensor, temperature: float
) -> torch.Tensor:
    """D = Conv(branch); P = σ(Conv([D_spec / T, D_spat / T])); F = Conv([D_spec, D_spat, P]), in this order."""
    d_spec = conv2d(spectral, fusion.spectral.weight, fusion.spectral.bias)
    d_spat = conv2d(spatial, fusion.spatial.weight, fusion.spatial.bias)
    cooled = torch.cat([d_spec / temperature, d_spat / temperature], dim=1)
    p = 1 / (1 + torch.exp(-conv2d(cooled, fusion.probability.weight, fusion.probability.bias)))
    return conv2d(torch.cat([d_spec, d_spat, p], dim=1), fusion.combine.weight, fusion.combine.bias)


@pytest.mark.parametrize(
    ("learned", "used"), [(1.0, 1.0), (2.5, 2.5), (0.3, 0.3), (0.1, 0.1), (0.02, 0.1), (0.0, 0.1), (-4.0, 0.1)]
)
def test_closed_form_with_the_temperature_no_lower_than_a_tenth(learned: float, used: float) -> None:
    fusion, spectral, spatial = a_fusion()
    with torch.no_grad():
        fusion.temperature.fill_(learned)
    assert torch.allclose(fusion(spectral, spatial), by_the_formula(fusion, spectral, spatial, used))


def test_the_temperature_starts_at_one_and_matters() -> None:
    fusion, spectral, spatial = a_fusion()
    assert fusion.temperature.item() == 1.0
    before = fusion(spectral, spatial)
    with torch.no_grad():
        fusion.temperature.fill_(0.5)
    assert (fusion(spectral, spatial) - before).abs().max() > 1e-3


def test_the_temperature_learns() -> None:
    fusion, spectral, spatial = a_fusion()
    fusion(spectral, spatial).square().sum().backward()
    assert fusion.temperature.grad is not None
    assert fusion.temperature.grad.abs() > 1e-6


def test_the_order_of_concatenation() -> None:
    """The first third of F's input is the spectral branch, the second the spatial one, the last P."""
    fusion, spectral, spatial = a_fusion()
    expected = {
        "spectral": fusion.spectral(spectral),
        "spatial": fusion.spatial(spatial),
    }
    for third, (name, branch) in enumerate(expected.items()):
        with torch.no_grad():
            fusion.combine.weight.zero_()
            fusion.combine.bias.zero_()
            for channel in range(4):
                fusion.combine.weight[channel, 4 * third + channel] = 1
        assert torch.allclose(fusion(spectral, spatial), branch), name
    with torch.no_grad():
        fusion.combine.weight.zero_()
        for channel in range(4):
            fusion.combine.weight[channel, 8 + channel] = 1
    probability = fusion(spectral, spatial)
    assert ((probability > 0) & (probability < 1)).all()
