"""Every network as it is in a stage of SpectralTrain: parts of the full one, which learn as a network of their own."""

from __future__ import annotations

import pytest
import torch

from hsilib.errors import InputError
from hsilib.model.network import Network, smallest_patch
from hsilib.registry import create_model
from hsilib.training.spectral_train import SCALING, StageNetwork
from tests.helpers import PATCH_NETWORKS, SMALL, make_nontrivial

FULL, FEW = 20, 14  # components; every network takes so few
SMALLEST = {
    "dual-branch": 5,
    "cnn-1d": 1,
    "cnn-2d": None,  # None: its weights depend on the patch size
    "cnn-3d": None,
    "hybridsn": None,
    "ssrn": 3,
    "dbda": 1,
    "a2s2k-resnet": 3,
    "cnn-bilstm": 11,
    "mhssmamba": None,
    "pyformer": None,
    "spectralformer": None,
    "ssftt": 5,
    "wavemamba": None,
}


def a_model(name: str) -> Network:
    """For small patches, with statistics of their own in every batch norm and scales that are not 0."""
    size = {"hybridsn": 9, "cnn-bilstm": 13, "cnn-2d": 7, "cnn-3d": 7, "ssftt": 9, "spectralformer": 5}.get(name, 7)
    torch.manual_seed(0)
    model = create_model(name, FULL, 3, patch_size=size, **(_NARROW if name == "dual-branch" else {}))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.fill_(0.1)
    return make_nontrivial(model)


_NARROW = {name: width for name, width in SMALL.items() if name != "patch_size"}


def a_stage(model: Network) -> tuple[StageNetwork, Network, torch.Tensor]:
    """A stage of few components on smaller patches, a network of that size with copies of its weights, patches."""
    size = max(smallest_patch(model), model.patch_size - 2)
    stage = StageNetwork(model, FEW, size)
    own = create_model(model.name, FEW, 3, **{**model.options, "patch_size": size})
    prefixes = {name: value for name, value in model.state_dict().items() if name not in SCALING}
    for name, value in own.state_dict().items():
        if name not in SCALING:
            value.copy_(prefixes[name][tuple(slice(n) for n in value.shape)])
    patches = torch.randn(4, FEW, size, size, generator=torch.Generator().manual_seed(1))
    return stage, own, patches


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_weights_of_a_stage_are_views_of_the_full_ones(name: str) -> None:
    model = a_model(name)
    stage, _, _ = a_stage(model)
    full = dict(model.named_parameters()) | dict(model.named_buffers())
    weights = {key.removeprefix("network."): value for key, value in stage.weights().items()}
    assert weights.keys() == full.keys() - SCALING
    for key, value in weights.items():
        assert value.data_ptr() == full[key].data_ptr(), key
        assert value.stride() == full[key].stride(), key
    assert any(value.shape != full[key].shape for key, value in weights.items())


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_a_stage_is_a_small_network_with_these_weights(name: str) -> None:
    stage, own, patches = a_stage(a_model(name))
    stage.eval()
    own.eval()
    with torch.inference_mode():
        assert torch.equal(stage(patches), own(patches))


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_a_stage_learns_as_that_network_and_the_rest_does_not(name: str) -> None:
    """Its gradients are those of the small network, and 0 beyond; running statistics likewise stay beyond it."""
    model = a_model(name)
    stage, own, patches = a_stage(model)
    before = {key: value.clone() for key, value in model.named_buffers()}
    for network in (stage, own):
        torch.manual_seed(2)  # the same dropout
        network.train()
        network(patches).square().sum().backward()
    small = dict(own.named_parameters())
    learning = 0
    for key, parameter in model.named_parameters():
        gradient, expected = parameter.grad, small[key].grad
        assert gradient is not None, key
        assert expected is not None, key
        prefix = tuple(slice(n) for n in expected.shape)
        torch.testing.assert_close(gradient[prefix], expected, msg=key)
        beyond = gradient.clone()
        beyond[prefix] = 0
        assert not beyond.any(), key
        learning += bool(expected.any())
    assert learning > len(small) / 2
    for key, value in own.named_buffers():
        if key not in SCALING:
            prefix = tuple(slice(n) for n in value.shape)
            assert torch.equal(dict(model.named_buffers())[key][prefix], value), key
            rest = dict(model.named_buffers())[key].clone()
            rest[prefix] = before[key][prefix]
            assert torch.equal(rest, before[key]), key


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_the_smallest_patch_that_the_weights_serve(name: str) -> None:
    model = a_model(name)
    least = SMALLEST[name] or model.patch_size
    assert smallest_patch(model) == least
    if SMALLEST[name] and least > 1:
        with pytest.raises(InputError, match=f"patch_size is {least - 2}"):
            StageNetwork(model, FEW, least - 2)


def test_looking_for_the_smallest_patch_draws_nothing() -> None:
    model = a_model("ssrn")
    before = torch.get_rng_state()
    smallest_patch(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stage_that_is_no_part_of_the_network() -> None:
    """The pooling of `cnn-1d` grows in steps, so that 40 inputs leave more features than 200."""
    full = create_model("cnn-1d", 200, 16, components=200)
    StageNetwork(full, 8, 1)
    with pytest.raises(InputError, match=r"cnn-1d has a larger hidden\.weight for 40 inputs than for 200"):
        StageNetwork(full, 40, 1)
