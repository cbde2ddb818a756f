"""What every registered whole-image network must do, whatever is inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.ndimage import zoom
from torch.nn.functional import cross_entropy

from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.registry import create_model
from onepercent.peers.whole_image.cegcn import CEGCN
from onepercent.peers.whole_image.network import WholeImageNetwork
from tests.helpers import WHOLE_IMAGE_NETWORKS, make_nontrivial, separable_scene

N_CLASSES = 5
NARROW: dict[str, dict[str, Any]] = {
    "freenet": {"widths": (16, 16, 16, 16), "inner_width": 16},
    "cegcn": {"width": 16, "similarity_width": 16},
    "ssdgl": {"widths": (32, 32, 32, 32), "inner_width": 16},
}


def image_of(n_bands: int, height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth areas with some noise, so that superpixels are found, (1, S, H, W)."""
    generator = np.random.default_rng(seed)
    coarse = generator.normal(100, 20, (4, 4, n_bands))
    smooth = zoom(coarse, (height / 4, width / 4, 1), order=1)
    return torch.from_numpy(smooth + generator.normal(0, 2, smooth.shape)).float().permute(2, 0, 1)[None].contiguous()


def looking(name: str, image: torch.Tensor) -> WholeImageNetwork:
    torch.manual_seed(0)
    model = create_model(name, image.shape[1], N_CLASSES)
    model.look_at(image)
    return model


@pytest.mark.parametrize("n_bands", [103, 200, 204])
@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_a_network_keeps_the_contract(name: str, n_bands: int, tmp_path: Path) -> None:
    image = image_of(n_bands)
    model = looking(name, image)
    make_nontrivial(model)
    if isinstance(model, CEGCN):  # edges below 0.1 have no gradient; small weights keep all near a half
        with torch.no_grad():
            for layer in model.graph:
                layer.similarity.weight.mul_(0.1)

    model.train()
    logits = model(image)
    assert logits.shape == (1, N_CLASSES, 24, 32)
    assert torch.isfinite(logits).all()
    cross_entropy(logits, torch.arange(24 * 32).reshape(1, 24, 32) % N_CLASSES).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{parameter_name} has a gradient that is not finite"
        assert parameter.grad.abs().sum() > 0, f"{parameter_name} has a gradient of zero"

    model.eval()
    with torch.inference_mode():
        logits = model(image)
        assert torch.equal(logits, model(image))
        features = model.forward_features(image)
        assert features.shape == (1, model.n_features, 24, 32)
        assert torch.equal(model.forward_head(features), logits)

    other = create_model(name, n_bands, N_CLASSES).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    other.look_at(image)
    with torch.inference_mode():
        assert torch.equal(other(image), logits)

    model.reset_head(3)
    assert model.n_classes == 3
    with torch.inference_mode():
        assert model(image).shape == (1, 3, 24, 32)
        assert torch.equal(model.forward_features(image), features)


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_few_bands(name: str) -> None:
    image = image_of(8)
    with torch.inference_mode():
        assert torch.isfinite(looking(name, image).eval()(image)).all()


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_another_image_size(name: str) -> None:
    model = looking(name, image_of(8))
    other = image_of(8, 40, 16)
    model.look_at(other)
    with torch.inference_mode():
        assert model.eval()(other).shape == (1, N_CLASSES, 40, 16)


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
@pytest.mark.parametrize("shape", [(2, 8, 24, 32), (1, 7, 24, 32), (8, 24, 32), (1, 24, 32, 8)])
def test_images_of_another_shape_are_refused(name: str, shape: tuple[int, ...]) -> None:
    model = looking(name, image_of(8))
    with pytest.raises(ValueError, match=r"expected \(1, 8, H, W\)"):
        model(torch.zeros(shape))


@pytest.mark.parametrize("name", ["freenet", "ssdgl"])
def test_sizes_that_are_no_multiple_of_the_stride_are_refused(name: str) -> None:
    model = looking(name, image_of(8))
    with pytest.raises(ValueError, match="multiples of 8"):
        model(torch.zeros(1, 8, 24, 33))


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_the_standardizer_is_applied_inside_the_network(name: str) -> None:
    image = image_of(8).double()
    model = looking(name, image).eval().double()
    mean, scale = np.linspace(50, 150, 8), np.linspace(5, 20, 8)
    by_hand = (image - torch.from_numpy(mean)[:, None, None]) / torch.from_numpy(scale)[:, None, None]
    with torch.inference_mode():
        expected = model(by_hand)
    model.set_standardizer(Standardizer(mean, scale, "nothing"))
    with torch.inference_mode():
        assert torch.allclose(model(image), expected, atol=1e-6)
        assert not torch.allclose(model(by_hand), expected, atol=1e-3)


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_a_network_on_principal_components(name: str) -> None:
    image = image_of(30).double()
    standardizer = Standardizer.fit(image[0].permute(1, 2, 0).numpy(), components=10)
    torch.manual_seed(0)
    model = create_model(name, 30, 3, components=10).eval().double()
    plain = create_model(name, 10, 3).eval().double()
    weights = {k: v for k, v in model.state_dict().items() if k not in {"band_mean", "band_scale", "projection"}}
    plain.load_state_dict(plain.state_dict() | weights)
    model.set_standardizer(standardizer)
    with torch.inference_mode():
        prepared = model.prepare(image)
        model.look_at(image)
        plain.look_at(image)
        assert torch.allclose(model(image), plain(prepared), atol=1e-6)


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_a_network_learns_a_few_pixels_by_heart(name: str) -> None:
    scene = separable_scene(16, 24, noise=100.0)
    image = torch.from_numpy(scene.cube).permute(2, 0, 1)[None]
    torch.manual_seed(0)
    model = create_model(name, scene.n_bands, scene.n_classes, **NARROW[name])
    model.set_standardizer(Standardizer.fit(scene.cube))
    model.look_at(image)
    labels = torch.from_numpy(scene.ground_truth.astype(np.int64))[None] - 1
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        loss = cross_entropy(model(image), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float((model(image).argmax(dim=1) == labels).float().mean()) > 0.98


def test_an_unknown_network_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown network 'frenet': did you mean freenet"):
        create_model("frenet", 10, 2)
