"""The whole-image peers: counts of their published sizes, and each one's special layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from hsilib.errors import InputError
from hsilib.registry import create_model
from onepercent.peers.classical.superpixels import segment_means
from onepercent.peers.whole_image.cegcn import CEGCN, GraphConvolution, neighbouring_segments
from onepercent.peers.whole_image.freenet import FreeNet, SpectralAttention
from onepercent.peers.whole_image.ssdgl import SSDGL, ConvLSTMCell, GlobalConvLSTM, JointAttention
from tests.onepercent.peers.whole_image.test_networks import image_of


@pytest.mark.parametrize(
    ("name", "n_bands", "count"), [("freenet", 204, 2_800_922), ("cegcn", 200, 166_368), ("ssdgl", 200, 2_267_912)]
)
def test_parameter_counts(name: str, n_bands: int, count: int) -> None:
    model = create_model(name, n_bands, 16)
    assert sum(p.numel() for p in model.parameters()) == count
    assert f"{count:,}" in (type(model).__doc__ or "")


@pytest.mark.parametrize("network", [FreeNet, SSDGL])
def test_levels_have_the_published_widths_and_halve_the_image(network: type[FreeNet | SSDGL]) -> None:
    model, shapes = network(8, 3), []
    for level in model.levels:
        level.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    with torch.inference_mode():
        model(image_of(8, 32, 48))
    assert shapes == [(96, 32, 48), (128, 16, 24), (192, 8, 12), (256, 4, 6)]
    assert model.n_features == {FreeNet: 128, SSDGL: 8}[network]


@pytest.mark.parametrize("network", [FreeNet, SSDGL])
@pytest.mark.parametrize(
    "options", [{"widths": (32, 32, 32)}, {"widths": (32, 32, 32, 40)}, {"widths": (0,) * 4}, {"inner_width": 3}]
)
def test_widths_that_cannot_be_grouped(network: type[FreeNet | SSDGL], options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="multiple"):
        network(8, 3, **options)


def test_spectral_attention_gates_channels_by_their_means() -> None:
    torch.manual_seed(0)
    layer, x = SpectralAttention(32, 16), torch.randn(1, 32, 5, 7)
    gate = layer(x) / x
    assert torch.allclose(gate, gate[:, :, :1, :1].expand_as(gate), atol=1e-5), "one gate a channel"
    assert ((gate > 0) & (gate < 1)).all()
    shuffled = x.flatten(2)[:, :, torch.randperm(35)].reshape(x.shape)
    assert torch.allclose((layer(shuffled) / shuffled)[:, :, 0, 0], gate[:, :, 0, 0], atol=1e-5)


# --- ssdgl


def test_a_conv_lstm_step_is_shis_equation() -> None:
    torch.manual_seed(0)
    cell = ConvLSTMCell(2, 3)
    x, h, c = torch.randn(1, 2, 6, 6), torch.randn(1, 3, 6, 6), torch.randn(1, 3, 6, 6)
    weight, bias = cell.gates.weight, cell.gates.bias
    assert bias is not None

    def gate(k: int) -> torch.Tensor:
        rows = slice(3 * k, 3 * k + 3)
        return conv2d(x, weight[rows, :2], bias[rows], padding=2) + conv2d(h, weight[rows, 2:], padding=2)

    memory = torch.sigmoid(gate(1)) * c + torch.sigmoid(gate(0)) * torch.tanh(gate(3))
    output = torch.sigmoid(gate(2)) * torch.tanh(memory)
    assert torch.allclose(cell(x, torch.stack([h, c])), torch.stack([output, memory]), atol=1e-6)


def test_the_conv_lstm_reads_groups_in_order() -> None:
    """A group's output depends on the groups up to it and on none after it."""
    torch.manual_seed(0)
    layer, x = GlobalConvLSTM(32), torch.randn(1, 32, 6, 6)
    changed = x.clone()
    changed[:, 12:16] += 1  # the fourth group of four channels
    before, after = layer(x), layer(changed)
    assert before.shape == (1, 16, 6, 6)
    difference = (before - after).abs().amax(dim=(0, 2, 3)).reshape(8, 2).amax(dim=1)
    assert torch.equal(difference > 0, torch.arange(8) >= 3)


def test_joint_attention_puts_two_residual_gates_side_by_side() -> None:
    torch.manual_seed(0)
    layer, x = JointAttention(16), torch.randn(1, 16, 5, 7)
    channel, spatial = (layer(x) / torch.cat([x, x], dim=1)).chunk(2, dim=1)
    assert torch.allclose(channel, channel[:, :, :1, :1].expand_as(channel), atol=1e-4)
    assert torch.allclose(spatial, spatial[:, :1].expand_as(spatial), atol=1e-4)
    for gate in (channel, spatial):
        assert ((gate > 1) & (gate < 2)).all()


# --- cegcn


def test_neighbouring_segments() -> None:
    segments = np.array([[0, 0, 1], [0, 2, 1], [3, 3, 1]])
    expected = np.ones((4, 4), dtype=bool)
    expected[[0, 1, 2, 3], [0, 1, 2, 3]] = False
    assert np.array_equal(neighbouring_segments(segments), expected)
    stripes = np.repeat([0, 1, 2], 2)[None].repeat(3, axis=0)
    assert np.array_equal(neighbouring_segments(stripes), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])


def test_a_graphs_adjacency_is_normalised_by_degrees() -> None:
    torch.manual_seed(0)
    neighbours = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    layer, nodes = GraphConvolution(5, 3, 7), torch.randn(4, 5)
    adjacency = layer.adjacency(nodes, neighbours)
    assert torch.allclose(adjacency, adjacency.T)
    assert torch.equal(adjacency != 0, neighbours | torch.eye(4, dtype=torch.bool))
    assert adjacency[3, 3] == 1, "a node without neighbours keeps itself"
    # D^(-1/2) (A + I) D^(-1/2) has the eigenvector D^(1/2) 1 with eigenvalue 1, and none larger.
    assert torch.linalg.eigvalsh(adjacency).max().item() == pytest.approx(1, abs=1e-6)
    theta = layer.similarity(nodes)
    ratio = torch.sigmoid((theta[0] * theta[1]).sum()).clamp(min=0.1)
    assert (adjacency[0, 1] ** 2 / (adjacency[0, 0] * adjacency[1, 1])).item() == pytest.approx(ratio.item() ** 2)


def test_pixels_of_a_segment_share_the_graphs_features() -> None:
    image = image_of(8)
    model = CEGCN(8, 3, width=16).eval()
    model.look_at(image)
    assert model.segments is not None
    assert model.segments.shape == (24, 32)
    with torch.inference_mode():
        of_segments = model.forward_features(image)[0, :8].permute(1, 2, 0)
    segments = model.segments.numpy()
    assert len(np.unique(segments)) > 2
    assert np.allclose(segment_means(of_segments.numpy(), segments)[segments], of_segments.numpy(), atol=1e-5)


def test_the_graph_starts_from_the_segments_means() -> None:
    image = image_of(8)
    model, seen = CEGCN(8, 3, width=16).eval(), []
    model.look_at(image)
    assert model.segments is not None
    model.graph[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        model(image)
        transformed = model.spectra(model.prepare(image))[0].permute(1, 2, 0).numpy()
    assert np.allclose(seen[0].numpy(), segment_means(transformed, model.segments.numpy()), atol=1e-5)


def test_under_autocast_segments_are_averaged_in_full_precision() -> None:
    """Of features that a 1 × 1 layer left in bf16, as on a GPU: in bf16 a sum of a hundred is wrong by 0.3 %."""
    image = image_of(8)
    model, nodes, features = CEGCN(8, 3, width=16).eval(), [], []
    model.look_at(image)
    assert model.segments is not None
    model.graph[0].register_forward_pre_hook(lambda _, inputs: nodes.append(inputs[0]))
    model.spectra.register_forward_hook(lambda _, __, output: features.append(output))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = model(image)
    assert features[0].dtype == torch.bfloat16
    assert nodes[0].dtype == torch.float32
    transformed = features[0][0].permute(1, 2, 0).double().numpy()
    assert np.allclose(nodes[0].numpy(), segment_means(transformed, model.segments.numpy()), rtol=1e-5, atol=1e-6)
    with torch.inference_mode():
        assert torch.allclose(logits.float(), model(image), atol=0.03)


def test_cegcn_has_to_look_first() -> None:
    with pytest.raises(ValueError, match="call look_at"):
        CEGCN(8, 3)(image_of(8))


def test_superpixels_get_smaller_until_there_are_two() -> None:
    image = image_of(8)
    model = CEGCN(8, 3, pixels_per_segment=10_000)
    model.look_at(image)
    assert model.segments is not None
    assert model.segments.max() > 0
    with pytest.raises(InputError, match="at least two"):
        model.look_at(image[:, :, :1, :1])
