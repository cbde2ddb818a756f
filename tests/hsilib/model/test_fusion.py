"""Temperature-guided fusion against its formula (METHOD A5), and what it is compared with."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from hsilib.errors import InputError
from hsilib.model.dual_branch import FUSIONS, ConcatenationFusion, DualBranch, TemperatureFusion


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


def n_parameters(fusion: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in fusion.parameters())


def test_concatenation_in_closed_form() -> None:
    _, spectral, spatial = a_fusion()
    fusion = ConcatenationFusion(5, 3, 4).double()
    d_spec = conv2d(spectral, fusion.spectral.weight, fusion.spectral.bias)
    d_spat = conv2d(spatial, fusion.spatial.weight, fusion.spatial.bias)
    expected = conv2d(torch.cat([d_spec, d_spat], dim=1), fusion.combine.weight, fusion.combine.bias)
    assert torch.allclose(fusion(spectral, spatial), expected)


def test_concatenation_is_temperature_fusion_that_ignores_its_gate() -> None:
    """The gate is what the two differ by: with no weight on P, the same projections give the same F."""
    fusion, spectral, spatial = a_fusion()
    concatenation = ConcatenationFusion(5, 3, 4).double()
    with torch.no_grad():
        fusion.combine.weight[:, 8:] = 0
        concatenation.combine.weight.copy_(fusion.combine.weight[:, :8])
        concatenation.combine.bias.copy_(fusion.combine.bias)
    concatenation.spectral.load_state_dict(fusion.spectral.state_dict())
    concatenation.spatial.load_state_dict(fusion.spatial.state_dict())
    assert torch.allclose(concatenation(spectral, spatial), fusion(spectral, spatial))
    gate = (2 * 4 + 1) * 4 + 4 * 4 + 1  # the convolution that gives P, its columns in F's, and T
    assert n_parameters(fusion) - n_parameters(concatenation) == gate


def test_a_fixed_temperature_is_saved_but_not_learned() -> None:
    learned = FUSIONS["temperature"](5, 3, 4).double()
    fixed = FUSIONS["fixed-temperature"](5, 3, 4).double()
    _, spectral, spatial = a_fusion()
    assert learned.state_dict().keys() == fixed.state_dict().keys()
    assert "temperature" not in dict(fixed.named_parameters())
    assert n_parameters(learned) - n_parameters(fixed) == 1
    fixed.load_state_dict(learned.state_dict())
    assert torch.equal(fixed(spectral, spatial), learned(spectral, spatial))

    optimizer = torch.optim.AdamW(fixed.parameters(), lr=0.1)
    fixed(spectral, spatial).square().sum().backward()
    optimizer.step()
    assert fixed.temperature.item() == 1
    assert not torch.equal(fixed.probability.weight, learned.probability.weight)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 7.0])
def test_the_temperature_can_be_absorbed_by_the_weights(temperature: float) -> None:
    """T with weights T · W is 1 with W: the scalar adds no function that the network could not represent without."""
    fusion, spectral, spatial = a_fusion()
    expected = fusion(spectral, spatial)
    with torch.no_grad():
        fusion.temperature.fill_(temperature)
        assert not torch.allclose(fusion(spectral, spatial), expected)
        fusion.probability.weight *= temperature
        assert torch.allclose(fusion(spectral, spatial), expected)


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_keeps_pixels_apart(name: str) -> None:
    torch.manual_seed(0)
    fusion = FUSIONS[name](5, 3, 4)
    spectral, spatial = torch.randn(2, 5, 3, 2), torch.randn(2, 3, 3, 2)
    fused = fusion(spectral, spatial)
    assert fused.shape == (2, 4, 3, 2)
    alone = fusion(spectral[:, :, 1:2, 1:2], spatial[:, :, 1:2, 1:2])
    assert torch.allclose(fused[:, :, 1:2, 1:2], alone, atol=1e-6)


def test_an_unknown_fusion_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown fusion 'concat': did you mean concatenation"):
        DualBranch(6, 3, fusion="concat")
