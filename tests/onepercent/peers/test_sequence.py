"""The peers that read a patch as a sequence: shapes and counts of their papers, and each one's special layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hsilib.errors import InputError
from hsilib.inference.dense import predict_logits, predict_logits_patchwise
from hsilib.network_method import NetworkOptions
from hsilib.registry import create_model
from onepercent.peers.networks.cnn_bilstm import CNNBiLSTM
from onepercent.peers.networks.haar import haar, haar_2d
from onepercent.peers.networks.mhssmamba import MHSSMamba
from onepercent.peers.networks.pyformer import PyFormer
from onepercent.peers.networks.shared_convolutions import SharedConvolutionNetwork
from onepercent.peers.networks.spectral_spatial_tokens import SpectralSpatialTokens
from onepercent.peers.networks.spectralformer import SpectralFormer
from onepercent.peers.networks.ssftt import SSFTT
from onepercent.peers.networks.wavemamba import WaveMamba
from onepercent.recipes import recipe

# Our own counts, pinned so that no layer changes unseen; those of the papers are not known to us.
OUR_COUNTS: list[tuple[str, dict[str, Any], int]] = [
    ("spectralformer", {}, 355_577),
    ("ssftt", {"components": 30}, 153_152),
    ("cnn-bilstm", {"components": 30}, 626_560),
    ("pyformer", {"components": 15}, 387_760),
    ("mhssmamba", {"components": 15}, 65_168),
    ("wavemamba", {"components": 15}, 69_648),
]
NAMES = [name for name, _, _ in OUR_COUNTS]


@pytest.mark.parametrize(("name", "options", "count"), OUR_COUNTS, ids=NAMES)
def test_parameter_counts_stay_what_they_are(name: str, options: dict[str, Any], count: int) -> None:
    model = create_model(name, 200, 16, **options)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(("name", "options", "count"), OUR_COUNTS, ids=NAMES)
def test_the_recipe_takes_the_published_input(name: str, options: dict[str, Any], count: int) -> None:
    config = recipe(name)
    assert config.recipe == name
    assert isinstance(config.method, NetworkOptions)
    assert (config.method.network, config.method.model) == (name, options)
    fit = config.method.fit
    assert (fit.optimizer, fit.warmup_epochs, fit.clip_norm, fit.random_orientation) == ("adam", 0, 0, False)


LEAST_INPUTS = [
    ("spectralformer", 3),
    ("ssftt", 3),
    ("cnn-bilstm", 13),
    ("pyformer", 2),
    ("mhssmamba", 2),
    ("wavemamba", 2),
]


@pytest.mark.parametrize(("name", "least"), LEAST_INPUTS)
def test_too_few_inputs(name: str, least: int) -> None:
    with pytest.raises(InputError, match=f"{name} gets {least - 1} bands or components; it needs at least {least}"):
        create_model(name, least - 1, 2)
    create_model(name, least, 2)


@pytest.mark.parametrize("name", NAMES)
def test_weights_only_get_longer_with_more_inputs(name: str) -> None:
    """A network that grows from few inputs to more copies what it has into the front of each weight."""
    few, more = (create_model(name, n, 3).state_dict() for n in (16, 24))
    assert few.keys() == more.keys()
    for key, tensor in few.items():
        assert all(small <= large for small, large in zip(tensor.shape, more[key].shape, strict=True)), key


@pytest.mark.parametrize(("network", "patch_size"), [("ssftt", 7), ("cnn-bilstm", 13)])
def test_the_first_weights_are_the_first_inputs(network: str, patch_size: int) -> None:
    """Weights copied to the front and zeros behind: what lies in further inputs is not seen."""
    torch.manual_seed(0)
    few, more = (create_model(network, n, 3, patch_size=patch_size).eval() for n in (16, 20))
    assert isinstance(few, SharedConvolutionNetwork)
    assert isinstance(more, SharedConvolutionNetwork)
    small = few.state_dict()
    for key, tensor in more.state_dict().items():
        tensor.zero_()[tuple(slice(n) for n in small[key].shape)] = small[key]
    x = torch.randn(2, 20, patch_size, patch_size)
    torch.testing.assert_close(more.trunk(x), few.trunk(x[:, :16]))


def test_in_pyformers_tokens_the_band_is_the_slower_index() -> None:
    model = PyFormer(15, 3)
    seen: list[torch.Tensor] = []
    model.levels[0].embedding.register_forward_hook(lambda module, arguments, output: seen.append(arguments[0]))
    volume, _ = model.levels[0](torch.randn(2, 1, 15, 9, 9))
    torch.testing.assert_close(seen[0][:, 9 * 4 + 2].unflatten(1, (15, 64)), volume[:, :, :, 4, 2].transpose(1, 2))


@pytest.mark.parametrize(("name", "least"), list(zip(NAMES, [1, 5, 11, 3, 3, 3], strict=True)))
def test_patch_sizes(name: str, least: int) -> None:
    for wrong in (least - 2, least + 1):
        with pytest.raises(InputError, match=f"odd number of at least {least}"):
            create_model(name, 16, 2, patch_size=wrong)
    model = create_model(name, 16, 2, patch_size=least + 2).eval()
    with torch.inference_mode():
        assert model(torch.randn(2, 16, least + 2, least + 2)).shape == (2, 2)


@pytest.mark.parametrize(("network", "patch_size"), [("ssftt", 7), ("cnn-bilstm", 13)])
def test_shared_convolutions_change_nothing(network: str, patch_size: int) -> None:
    """The whole scene at once and patch by patch."""
    torch.manual_seed(0)
    model = create_model(network, 14, 3, patch_size=patch_size)
    cube = np.random.default_rng(0).normal(0, 1, (9, 7, 14)).astype(np.float32)
    torch.testing.assert_close(predict_logits(model, cube), predict_logits_patchwise(model, cube), atol=1e-5, rtol=0)


def test_spectralformers_groups() -> None:
    """Token i holds bands i − 1, i, i + 1, in a circle."""
    model = SpectralFormer(5, 2, patch_size=1)
    bands = torch.arange(5.0).reshape(1, 5, 1, 1)
    groups = model.group_bands(bands)[0].tolist()
    assert groups == [[4, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    assert SpectralFormer(5, 2).group_bands(torch.zeros(2, 5, 7, 7)).shape == (2, 5, 3 * 49)


@pytest.mark.parametrize(("which", "blocks"), [(0, [0, 1, 2, 3, 4]), (1, [0, 1, 4])])
def test_spectralformers_fusion_reads_two_blocks_before(which: int, blocks: list[int]) -> None:
    """Fusions that pick the previous block leave a plain stack; fusions that pick the earlier one jump to block 4."""
    torch.manual_seed(0)
    model = SpectralFormer(6, 2, patch_size=1, dropout=0).eval()
    for fusion in model.fusions:
        with torch.no_grad():
            fusion.weight.zero_()[torch.arange(7), 2 * torch.arange(7) + which] = 1
            fusion.bias.zero_()
    x = torch.randn(2, 6, 1, 1)
    tokens = model.embedding(model.group_bands(x))
    z = torch.cat([model.class_token.expand(2, -1, -1), tokens], dim=1) + model.positions
    for number in blocks:
        z = model.blocks[number](z)
    torch.testing.assert_close(model.encode(x), model.norm(z[:, 0]))


def test_ssftts_tokens_are_weighted_means() -> None:
    """Maps that are the same everywhere give that value whatever the weights; a strong weight picks one position."""
    torch.manual_seed(0)
    model = SSFTT(12, 2)
    value = torch.randn(64)
    tokens = model.tokenize(value[None, :, None, None].expand(1, 64, 9, 9))
    torch.testing.assert_close(tokens, (value @ model.value).expand(1, 4, 64))
    maps = torch.zeros(1, 64, 9, 9)
    maps[0, 3, 2, 5], maps[0, 7, 2, 5] = 1, 2
    with torch.no_grad():
        model.weigh[3] = 1000.0
    picked = maps[0, :, 2, 5] @ model.value
    torch.testing.assert_close(model.tokenize(maps), picked.expand(1, 4, 64))


def test_ssftts_shapes() -> None:
    model = SSFTT(200, 16, components=30)
    x = torch.zeros(2, 30, 13, 13)
    assert model.volumes(x[:, None]).shape == (2, 8, 28, 11, 11)
    assert model.trunk(x).shape == (2, 64, 9, 9)


def test_cnn_bilstms_shapes() -> None:
    """225 steps, row by row, whose mean is the feature."""
    torch.manual_seed(0)
    model = CNNBiLSTM(30, 16)
    assert model.trunk(torch.zeros(1, 30, 25, 25)).shape == (1, 128, 15, 15)
    maps = torch.randn(2, 128, 15, 15)
    steps = torch.stack([maps[:, :, row, col] for row in range(15) for col in range(15)], dim=1)
    outputs, _ = model.lstm(steps)
    assert outputs.shape == (2, 225, 128)
    torch.testing.assert_close(model.encode_maps(maps), outputs.mean(dim=1))


def test_cnn_bilstms_signal_survives_its_convolutions() -> None:
    """Values of unit variance come out as different from patch to patch as they went in, not a hundredth of it."""
    torch.manual_seed(0)
    maps = CNNBiLSTM(16, 2, patch_size=13).trunk(torch.randn(16, 16, 13, 13))
    assert 0.2 < float(maps.detach().std(dim=0).mean()) < 3


def test_pyformers_second_level_sees_half_the_resolution() -> None:
    model = PyFormer(15, 16)
    sizes = [level.positions.shape[1] for level in model.levels]
    assert sizes == [81, 25]
    volume, mean = model.levels[0](torch.zeros(2, 1, 15, 9, 9))
    assert volume.shape == (2, 64, 15, 9, 9)
    assert mean.shape == (2, 64)
    assert [level.embedding.in_features for level in model.levels] == [64 * 15, 64 * 8]


def test_tokens_of_pixels_and_bands_and_their_gates() -> None:
    torch.manual_seed(0)
    tokens = SpectralSpatialTokens(4, 3, 8)
    x = torch.randn(2, 4, 3, 3)
    spatial, spectral = tokens(x)
    assert spatial.shape == (2, 9, 8)
    assert spectral.shape == (2, 4, 8)
    centre = tokens.spatial(x[:, :, 1, 1])
    gate = tokens.spatial_gate(centre).sigmoid()
    torch.testing.assert_close(spatial[:, 5], tokens.spatial(x[:, :, 1, 2]) * gate)
    gate = tokens.spectral_gate(centre).sigmoid()
    torch.testing.assert_close(spectral[:, 3], tokens.spectral(x[:, 3].flatten(1)) * gate)


def test_mhssmamba_attends_from_pixels_to_bands() -> None:
    """Weights of the attention sum to 1 over the bands; the scan gets a token a pixel."""
    torch.manual_seed(0)
    model = MHSSMamba(12, 3).eval()
    seen: list[torch.Size] = []
    model.scan.register_forward_hook(lambda module, arguments, output: seen.append(arguments[0].shape))
    x = torch.randn(2, 12, 9, 9)
    model.encode(x)
    assert seen == [torch.Size([2, 81, 64])]
    spatial, spectral = model.tokens(x)
    _, weights = model.attention(spatial, spectral, spectral)
    assert weights.shape == (2, 81, 12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 81))


def test_wavemamba_transforms_patch_and_spectrum() -> None:
    """The sequence of the scan: 3 × 3 places of four sub-bands, then 6 pairs of bands with mean and difference."""
    torch.manual_seed(0)
    model = WaveMamba(12, 3).eval()
    seen: list[torch.Tensor] = []
    model.scan_norm.register_forward_hook(lambda module, arguments, output: seen.append(arguments[0]))
    x = torch.randn(2, 12, 5, 5)
    model.encode(x)
    (z,) = seen
    assert z.shape == (2, 9 + 6, 64)
    spatial, spectral = model.tokens(x)
    grid = haar_2d(spatial.reshape(2, 5, 5, 64).permute(0, 3, 1, 2))
    torch.testing.assert_close(z[:, 4], model.join_spatial(grid[:, :, :, 1, 1].flatten(1)))
    low, high = haar(spectral, 1)
    torch.testing.assert_close(z[:, 9 + 2], model.join_spectral(torch.cat([low[:, 2], high[:, 2]], dim=1)))
