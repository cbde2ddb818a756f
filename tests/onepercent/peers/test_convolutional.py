"""The convolutional peers: the papers' sizes, their special layers against closed forms, and what must not be seen."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.registry import create_model
from onepercent.peers.networks.a2s2k_resnet import ECA, A2S2KResNet, ImprovedBlock, SelectiveKernel
from onepercent.peers.networks.cnn_1d import Cnn1d
from onepercent.peers.networks.cnn_3d import Cnn3d
from onepercent.peers.networks.dbda import DBDA, ChannelAttention, DenseBlock, SpatialAttention
from onepercent.peers.networks.hybridsn import HybridSN
from onepercent.peers.networks.ssrn import SSRN, ResidualBlock
from onepercent.recipes import recipe


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def shapes_inside(model: Network, patches: torch.Tensor) -> list[tuple[int, ...]]:
    """What every convolution gives for one patch, without the batch, in the order of the pass."""
    seen: list[tuple[int, ...]] = []

    def note(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        seen.append(tuple(output.shape[1:]))

    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    with torch.inference_mode():
        model.eval()(patches)
    for hook in hooks:
        hook.remove()
    return seen


# --- sizes


@pytest.mark.parametrize(
    ("name", "n_bands", "n_classes", "options", "parameters"),
    [
        ("cnn-1d", 220, 8, {}, 81_408 - 20 * 100),  # the paper's, less one pooled value of 20 kernels into 100 units
        ("cnn-1d", 103, 9, {}, 61_249 + 20 * 100),  # the paper's, and one more
        ("cnn-2d", 200, 16, {"components": 30}, 295_036),
        ("cnn-3d", 200, 16, {}, 45_196),
        ("hybridsn", 200, 16, {"components": 30}, 5_122_176),  # the paper's
        ("ssrn", 200, 16, {}, 364_168),
        ("dbda", 200, 16, {}, 382_326 + 2),  # the two scales
        ("a2s2k-resnet", 200, 16, {}, 373_160),
    ],
)
def test_numbers_of_parameters(
    name: str, n_bands: int, n_classes: int, options: dict[str, Any], parameters: int
) -> None:
    model = create_model(name, n_bands, n_classes, **options)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model.patch_size == {"cnn-1d": 1, "cnn-2d": 5, "cnn-3d": 5, "hybridsn": 25, "ssrn": 7}.get(name, 9)


@pytest.mark.parametrize("name", ["cnn-1d", "cnn-2d", "cnn-3d", "hybridsn", "ssrn", "dbda", "a2s2k-resnet"])
def test_recipes_set_everything_themselves(name: str) -> None:
    """The defaults of the loop are the dual-branch model's: none of its warm-up or clipping may slip in."""
    method: Any = recipe(name).method
    assert method.network == name
    assert (method.fit.warmup_epochs, method.fit.clip_norm, method.tta) == (0, 0, 0)
    assert method.fit.optimizer in {"adam", "sgd", "plain-sgd", "rmsprop"}
    assert not method.fit.random_orientation
    create_model(name, 200, 16, **method.model)


def test_ssrn_has_the_papers_maps() -> None:
    shapes = shapes_inside(SSRN(200, 16), torch.zeros(1, 200, 7, 7))
    assert shapes[:5] == [(24, 7, 7, 97)] * 5
    assert shapes[5] == (128, 7, 7, 1)
    assert shapes[6:11] == [(24, 5, 5, 1)] * 5


def test_dbda_has_the_papers_maps() -> None:
    shapes = shapes_inside(DBDA(200, 16), torch.zeros(1, 200, 9, 9))
    assert shapes[:4] == [(24, 9, 9, 97), *[(12, 9, 9, 97)] * 3]
    assert shapes[4:6] == [(60, 9, 9, 1), (24, 9, 9)]
    assert shapes[6:9] == [(12, 9, 9, 1)] * 3


def test_hybridsn_has_the_papers_maps() -> None:
    shapes = shapes_inside(HybridSN(200, 16, components=30), torch.zeros(1, 200, 25, 25))
    assert shapes[:3] == [(8, 24, 23, 23), (16, 20, 21, 21), (32, 18, 19, 19)]
    assert shapes[3:] == [(64, 17, 17), (256, 1, 1), (128, 1, 1), (16, 1, 1)]


def test_a2s2k_has_the_papers_maps() -> None:
    shapes = shapes_inside(A2S2KResNet(200, 16), torch.zeros(1, 200, 9, 9))
    assert shapes[:6] == [(24, 9, 9, 97)] * 6
    assert shapes[6] == (128, 9, 9, 1)
    assert shapes[7:12] == [(24, 7, 7, 1)] * 5


@pytest.mark.parametrize(
    ("name", "least_inputs", "least_patch"),
    [
        ("cnn-1d", 1, 1),
        ("cnn-2d", 1, 5),
        ("cnn-3d", 3, 5),
        ("hybridsn", 13, 9),
        ("ssrn", 7, 3),
        ("dbda", 7, 1),
        ("a2s2k-resnet", 7, 3),
    ],
)
def test_the_least_that_a_network_takes(name: str, least_inputs: int, least_patch: int) -> None:
    for n_bands in (least_inputs, least_inputs + 1):
        model = create_model(name, n_bands, 3, patch_size=least_patch).eval()
        assert torch.isfinite(model(random(2, n_bands, least_patch, least_patch))).all()
    with pytest.raises(InputError, match=f"patch_size is {least_patch + 1}; expected an odd number"):
        create_model(name, 20, 3, patch_size=least_patch + 1)
    if least_patch > 1:
        with pytest.raises(InputError, match=f"at least {least_patch}"):
            create_model(name, 20, 3, patch_size=least_patch - 2)
    if least_inputs > 1:
        with pytest.raises(InputError, match=f"it needs at least {least_inputs}"):
            create_model(name, least_inputs - 1, 3)


# --- cnn-1d


def test_cnn_1d_written_out() -> None:
    model = Cnn1d(20, 3, kernels=2, hidden_width=4).eval()  # kernels of two bands, no pooling
    spectrum = random(20)
    weight, bias = model.convolution.weight[:, 0], model.convolution.bias
    assert bias is not None
    places = torch.stack([weight @ spectrum[i : i + 2] + bias for i in range(19)])  # (place, kernel)
    hidden = torch.tanh(model.hidden.weight @ torch.tanh(places).flatten() + model.hidden.bias)
    torch.testing.assert_close(model.forward_features(spectrum[None, :, None, None]).flatten(), hidden)


def test_cnn_1d_pools_the_largest_of_neighbours() -> None:
    model = Cnn1d(60, 3)  # kernels of six bands, the largest of two neighbours
    assert model.convolution.kernel_size == (6,)
    assert model.pool.kernel_size == 2
    assert model.hidden.in_features == 20 * (55 // 2)


def test_cnn_1d_sees_the_centre_only() -> None:
    model = Cnn1d(12, 3, patch_size=5)
    patches = random(2, 12, 5, 5).requires_grad_()
    model(patches).square().sum().backward()
    assert patches.grad is not None
    seen = patches.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.nonzero().tolist() == [[2, 2]]


def test_cnn_1d_starts_within_the_papers_bounds() -> None:
    model = Cnn1d(200, 16)
    model.reset_head(5)
    for parameter in model.parameters():
        assert parameter.abs().max() <= 0.05
        assert parameter.ndim == 1 or parameter.abs().max() > 0.04


# --- the first weights belong to the first bands


def test_cnn_3d_puts_the_first_bands_first() -> None:
    model = Cnn3d(30, 3, patch_size=7).eval()
    patches = random(1, 30, 7, 7)
    changed = patches.clone()
    changed[:, 15:] += 5
    differs = (model.forward_features(patches) != model.forward_features(changed)).flatten()
    first_place = 35 * 9
    assert not differs[:first_place].any()
    assert differs[-first_place:].any()


@pytest.mark.parametrize("n_bands", [*range(3, 20), 103, 200, 204])
def test_cnn_3d_knows_how_much_is_left(n_bands: int) -> None:
    model = Cnn3d(n_bands, 3, width=1, wide=2)
    assert model.forward_features(torch.zeros(1, n_bands, 5, 5)).shape[1] == model.n_features


def test_hybridsn_puts_the_first_components_first() -> None:
    model = HybridSN(16, 3, patch_size=9).eval()
    seen: list[torch.Tensor] = []
    model.planes[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    patches = random(1, 16, 9, 9)
    changed = patches.clone()
    changed[:, 14:] += 5
    model(patches), model(changed)
    differs = (seen[0] != seen[1]).flatten(2).any(dim=2).flatten()
    assert not differs[:64].any()  # two of four places, which see components 0…13
    assert differs[64:].any()


# --- residual and dense blocks


@pytest.mark.parametrize("block", [ResidualBlock(4, (1, 1, 7)), ImprovedBlock(4, (3, 3, 1))])
def test_a_block_adds_to_what_comes_in(block: nn.Module) -> None:
    last = [module for module in block.modules() if isinstance(module, nn.Conv3d)][-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    x = random(2, 4, 3, 3, 9)
    assert torch.equal(block.eval()(x), x)


def test_a_dense_block_keeps_what_came_before() -> None:
    block = DenseBlock((3, 3, 1)).eval()
    x = random(2, 24, 4, 4, 1)
    y = block(x)
    assert y.shape == (2, 60, 4, 4, 1)
    assert torch.equal(y[:, :24], x)
    assert torch.equal(y[:, 24:36], block.layers[0](x))
    assert torch.equal(y[:, 36:48], block.layers[1](y[:, :36]))


# --- dbda: attention


@pytest.mark.parametrize("attention", [ChannelAttention(), SpatialAttention(8)])
def test_attention_starts_as_identity(attention: nn.Module) -> None:
    x = random(2, 8, 3, 3)
    assert torch.equal(attention(x), x)


def test_channel_attention_written_out() -> None:
    attention = ChannelAttention()
    nn.init.constant_(attention.scale, 0.7)
    x = random(1, 3, 2, 2)
    channels = x[0].flatten(1)
    expected = torch.empty(3, 4)
    for j in range(3):
        weights = torch.stack([math.e ** (channels[j] @ channels[i]) for i in range(3)])
        mixed = sum(weights[i] / weights.sum() * channels[i] for i in range(3))
        expected[j] = channels[j] + 0.7 * mixed
    torch.testing.assert_close(attention(x)[0].flatten(1), expected)


def test_spatial_attention_against_pytorch() -> None:
    attention = SpatialAttention(16)
    nn.init.constant_(attention.scale, 0.7)
    x = random(2, 16, 3, 4)
    query, key, value = (f(x).flatten(2).mT for f in (attention.query, attention.key, attention.value))
    mixed = scaled_dot_product_attention(query, key, value, scale=1.0).mT.reshape(x.shape)
    torch.testing.assert_close(attention(x), x + 0.7 * mixed)


# --- a2s2k-resnet


def test_eca_weighs_channels_by_their_neighbours_means() -> None:
    eca = ECA()
    x = random(2, 5, 3, 3, 2)
    means = x.mean(dim=(2, 3, 4), keepdim=True)
    for weight, source in (
        ([0.0, 0.0, 0.0], torch.zeros(2, 5, 1, 1, 1)),
        ([0.0, 1.0, 0.0], means),
        ([1.0, 0.0, 0.0], torch.cat([torch.zeros(2, 1, 1, 1, 1), means[:, :-1]], dim=1)),
    ):
        with torch.no_grad():
            eca.convolution.weight.copy_(torch.tensor([[weight]]))
        torch.testing.assert_close(eca(x), x * torch.sigmoid(source))


def test_the_kernels_weights_sum_to_one_and_follow_the_input() -> None:
    """One layer for both, as in the authors' code, would give ½ and ½ whatever is seen."""
    torch.manual_seed(0)
    selective = SelectiveKernel(4, 6).eval()
    x = 3 * random(2, 1, 5, 5, 20)
    weights = selective.weights([kernel(x) for kernel in selective.kernels])
    assert weights.shape == (2, 2, 4)
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(2, 4))
    assert (weights - 0.5).abs().max() > 0.01
    assert (weights[:, 0] - weights[:, 1]).abs().max() > 1e-4


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_kernel_that_is_chosen_alone(chosen: int) -> None:
    selective = SelectiveKernel(4, 6).eval()
    nn.init.constant_(selective.excite[chosen].bias, 100.0)  # type: ignore[arg-type]
    x = random(2, 1, 5, 5, 20)
    torch.testing.assert_close(selective(x), selective.kernels[chosen](x))


def test_the_kernels_see_spectrum_alone_and_space_too() -> None:
    selective = SelectiveKernel(4, 6).eval()
    for kernel, side in zip(selective.kernels, (3, 1), strict=True):
        x = random(1, 1, 5, 5, 9).requires_grad_()
        kernel(x)[0, :, 2, 2, 0].sum().backward()
        assert x.grad is not None
        seen = (x.grad != 0).any(dim=0)[0].nonzero()
        assert seen.amin(dim=0).tolist() == [2 - side // 2, 2 - side // 2, 0]
        assert seen.amax(dim=0).tolist() == [2 + side // 2, 2 + side // 2, 6]


def test_a2s2k_averages_all_places_that_are_left() -> None:
    """The authors' code leaves out what lies below and to the right of 5 × 5 of them."""
    model = A2S2KResNet(9, 3).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv3d):
                rows, cols = module.kernel_size[0] // 2, module.kernel_size[1] // 2
                kept = module.weight[:, :, rows, cols].clone()
                module.weight.zero_()[:, :, rows, cols] = kept  # every kernel looks at its own place only
    patch = random(1, 9, 9, 9).requires_grad_()
    model(patch).square().sum().backward()
    assert patch.grad is not None
    reached = patch.grad[0].abs().sum(dim=0) > 1e-3 * patch.grad.abs().max()
    assert reached[1:8, 1:8].all()
