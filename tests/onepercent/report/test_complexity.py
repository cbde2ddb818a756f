"""Counts against closed forms written out by hand from the description's encoders, attention, fusion and heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.registry import NETWORKS, create_model
from onepercent.report.complexity import (
    STATED_PARAMETERS,
    TILE,
    attention_reduction,
    audit,
    component_of,
    conv1d_kernel,
    conv2d_kernel,
    flops,
    ssl_head_parameters,
)
from tests.helpers import PATCH_NETWORKS, SMALL
from tests.test_house import ROOT, extension

SCENES = [(103, 9), (204, 16), (200, 16)]
PATCH = 15


class OneConvolution(Network):
    """A 3 × 3 convolution and a head: the smallest network whose arithmetic fits on one line."""

    def __init__(self, n_bands: int, n_classes: int) -> None:
        super().__init__(n_bands, n_classes, patch_size=3)
        self.n_features = 7
        self.convolution = nn.Sequential(nn.Conv2d(n_bands, 7, 3), nn.BatchNorm2d(7), nn.SiLU())
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(self.standardize(x))


def multiply_adds(n_bands: int, n_classes: int, side: int) -> int:
    """Of a dense dual-branch pass over side × side outputs: weights of each convolution times its outputs."""
    window, once, twice, out = ((side + PATCH - 1 - lost) ** 2 for lost in (0, 2, 4, PATCH - 1))
    spectral = window * (n_bands * 160 + 160 * 160)
    spatial = once * 9 * n_bands * 48 + twice * 9 * 48 * 96
    attention = 2 * 160 * 20 + 2 * 96 * 12
    fusion = 160 * 128 + 96 * 128 + 2 * 128 * 128 + 3 * 128 * 128
    classifier = 128 * 256 + 256 * 256 + 256 * n_classes
    return spectral + spatial + out * (attention + fusion + classifier)


@pytest.mark.parametrize("side", [1, 4])
def test_one_convolution_is_two_flops_a_weight_and_output(side: int) -> None:
    model = OneConvolution(5, 3).eval()
    assert flops(model, side) == 2 * side**2 * (5 * 7 * 9 + 7 * 3)


@pytest.mark.parametrize(("n_bands", "n_classes"), SCENES)
def test_dual_branch_arithmetic_in_closed_form(n_bands: int, n_classes: int) -> None:
    counted = audit(n_bands, n_classes)
    assert counted.flops_per_patch == 2 * multiply_adds(n_bands, n_classes, 1)
    assert counted.flops_per_pixel_dense == 2 * multiply_adds(n_bands, n_classes, TILE) / TILE**2
    side = 10**6
    limit = 2 * multiply_adds(n_bands, n_classes, side) / side**2
    assert counted.flops_per_pixel_limit == pytest.approx(limit, rel=1e-4)
    assert counted.flops_per_pixel_limit < counted.flops_per_pixel_dense < counted.flops_per_patch / 40


@pytest.mark.parametrize(("n_bands", "n_classes"), SCENES)
def test_dual_branch_parameters_in_closed_form(n_bands: int, n_classes: int) -> None:
    batch_norms = 2 * (160 + 160 + 48 + 96)
    expected = {
        "spectral encoder": n_bands * 160 + 160 * 160 + 2 * (160 + 160),
        "spatial encoder": 9 * n_bands * 48 + 9 * 48 * 96 + 2 * (48 + 96),
        "attention": (2 * 160 * 20 + 20 + 160) + (2 * 96 * 12 + 12 + 96),
        "fusion": (160 + 1) * 128 + (96 + 1) * 128 + 1 + (2 * 128 + 1) * 128 + (3 * 128 + 1) * 128,
        "classifier": (128 + 1) * 256 + (256 + 1) * 256 + (256 + 1) * n_classes,
    }
    counted = audit(n_bands, n_classes)
    assert counted.parameters == expected
    assert counted.n_parameters == sum(expected.values())
    # Buffers: running mean and variance, one 8-byte counter for each of the four BatchNorms, mean and scale of bands.
    buffers = 4 * batch_norms + 4 * 8 + 2 * 4 * n_bands
    assert counted.size_mb == pytest.approx((4 * counted.n_parameters + buffers) / 1e6, abs=1e-12)


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_every_network_can_be_audited(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onepercent.report.complexity.TILE", 1)  # a network that knows patches only counts each of them
    counted = audit(16, 3, name)
    model = create_model(name, 16, 3)
    assert counted.n_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert all(n > 0 for n in counted.parameters.values())
    assert counted.flops_per_patch > 0


def test_without_a_table_the_top_level_parts_are_the_components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "one-convolution", OneConvolution)
    assert audit(5, 3, "one-convolution").parameters == {"convolution": 5 * 7 * 9 + 7 + 2 * 7, "head": 7 * 3 + 3}
    assert component_of("token", {}) == "token"


def test_options_reach_the_network() -> None:
    assert audit(6, 3, **SMALL).n_parameters < audit(6, 3).n_parameters
    assert "attention" not in audit(6, 3, attention="none").parameters
    learned, fixed = audit(6, 3), audit(6, 3, fusion="fixed-temperature")
    assert learned.parameters["fusion"] - fixed.parameters["fusion"] == 1
    with pytest.raises(InputError, match="unknown network"):
        audit(6, 3, "dual-brunch")


def test_counting_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    audit(6, 3, **SMALL)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("n_bands", [103, 204])
def test_ssl_heads_are_those_of_the_layers_described(n_bands: int) -> None:
    """RM-SSL: Linear(96 → 4). MR-SSL: a 1 × 1 Conv2d(160 → bands). Both with biases."""
    assert ssl_head_parameters(n_bands) == (96 + 1) * 4 + (160 + 1) * n_bands


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_the_kernel_is_found_from_the_parameters_of_real_layers(kernel: int) -> None:
    spectral = nn.Sequential(
        nn.Conv1d(103, 160, kernel, bias=False),
        nn.BatchNorm1d(160),
        nn.Conv1d(160, 160, kernel, bias=False),
        nn.BatchNorm1d(160),
    )
    spatial = nn.Sequential(
        nn.Conv2d(103, 48, kernel, bias=False),
        nn.BatchNorm2d(48),
        nn.Conv2d(48, 96, kernel, bias=False),
        nn.BatchNorm2d(96),
    )
    assert conv1d_kernel(sum(p.numel() for p in spectral.parameters()), 103) == pytest.approx(kernel, rel=1e-12)
    assert conv2d_kernel(sum(p.numel() for p in spatial.parameters()), 103) == pytest.approx(kernel, rel=1e-12)


def test_the_reduction_is_found_from_the_parameters_of_real_attention() -> None:
    assert attention_reduction(audit(103, 9).parameters["attention"]) == pytest.approx(8, rel=1e-12)


def test_the_stated_parts_are_those_of_the_description() -> None:
    """They sum to 790 K, which is not the "about 1.2 M" stated for the whole."""
    assert sum(STATED_PARAMETERS.values()) == 790_000
    assert {*audit(103, 9).parameters, "SSL heads"} == STATED_PARAMETERS.keys()


def test_the_page_shows_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    page = extension("complexity")
    text = {name: [node.astext() for node in build()] for name, build in page.PARTS.items()}
    counted = audit(103, 9)
    for shown in (f"{counted.n_parameters:,}", f"{counted.parameters['fusion']:,}", f"{counted.size_mb:.2f} MB"):
        assert shown in text["parameters"][0]
    assert f"{counted.flops_per_patch / 1e6:.1f} M" in text["arithmetic"][0]
    assert "sum to 790,000" in text["sums"][0]
    assert "410,000 parameters, 34 % of it" in text["sums"][0]
    assert "factor r/2 = 4" in text["sums"][0]
    # 260,000 = k · 160 · (103 + 160) + 640 and 180,000 = k² · 48 · (103 + 96) + 288
    assert "k = 6.16" in text["kernels"][0]
    assert "k = 4.34" in text["kernels"][0]
