"""Test-time augmentation: views that are laid back exactly, weights in closed form, the average by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hsilib.data.orientation import turned, turned_back
from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.errors import InputError
from hsilib.inference import tta
from hsilib.inference.dense import predict_logits
from hsilib.inference.tta import VIEWS, View, predict_proba, predict_view, scene_views
from hsilib.model.network import Network
from hsilib.registry import create_model
from hsilib.training.augment import orient
from tests.helpers import SMALL, make_nontrivial


class BoxMean(Network):
    """Looks at the mean over its 3 × 3 window only: blind to the orientation."""

    def __init__(self, n_bands: int) -> None:
        super().__init__(n_bands, n_bands, 3)

    def forward_map(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(x, 3, stride=1)


class LeftNeighbour(Network):
    """Logits are the values of the pixel to the left: no other model depends more on the orientation."""

    def __init__(self, n_bands: int) -> None:
        super().__init__(n_bands, n_bands, 3)

    def forward_map(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 1:-1, :-2]


def random_cube(rows: int = 7, cols: int = 5, bands: int = 3, scale: float = 1.0) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(0).standard_normal((rows, cols, bands))).astype(np.float32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(n_bands: int, n_classes: int) -> Network:
    torch.manual_seed(0)
    model = make_nontrivial(create_model("dual-branch", n_bands, n_classes, **SMALL))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)  # so that the views differ
    return model


def weighted_mean(stacked: torch.Tensor) -> torch.Tensor:
    """The definition: (V, H, W, K) → Σ softmax over views of (2 · max probability) · p."""
    weights = (2 * stacked.amax(dim=3, keepdim=True)).softmax(dim=0)
    return (weights * stacked).sum(dim=0)


def test_the_sixteen_combinations_of_the_description_are_eight() -> None:
    """4 rotations × 4 flips (none, left–right, up–down, both), each counted once by what it does to a patch."""
    patch = np.arange(9).reshape(3, 3)
    flips = (lambda p: p, np.fliplr, np.flipud, lambda p: np.fliplr(np.flipud(p)))
    results = [flip(np.rot90(patch, turns)) for turns in range(4) for flip in flips]
    counts = {r.tobytes(): sum(np.array_equal(r, other) for other in results) for r in results}
    assert len(results) == 16
    assert sorted(counts.values()) == [2] * 8
    ours = {turned(patch, k).tobytes() for k in range(8)}
    assert ours == counts.keys()


def test_the_views_behind_each_number() -> None:
    assert scene_views(0) == [View(0, 0.0)]
    assert scene_views(8) == [View(k, 0.0) for k in range(8)]
    assert scene_views(16) == [View(k, level) for level in (0.01, 0.02) for k in range(8)]


@pytest.mark.parametrize("views", [1, 4, 32, -8])
def test_another_number_of_views(views: int) -> None:
    with pytest.raises(InputError, match=f"tta is {views}; expected 0 .* 8 .* or 16"):
        predict_proba(BoxMean(3), random_cube(), views, seeded())


@pytest.mark.parametrize("orientation", range(8))
def test_a_cube_is_turned_like_a_patch_in_training_and_turned_back_exactly(orientation: int) -> None:
    square = random_cube(5, 5)
    as_patch = torch.from_numpy(square).permute(2, 0, 1)[None]
    expected = orient(as_patch, torch.tensor([orientation]))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(turned(square, orientation, axes=(0, 1)), expected)
    cube = random_cube(6, 4)
    seen = turned(cube, orientation, axes=(0, 1))
    back = turned_back(torch.from_numpy(seen.copy()), orientation, axes=(0, 1))
    assert np.array_equal(back.numpy(), cube)


@pytest.mark.parametrize("orientation", range(8))
def test_each_view_sees_the_neighbour_that_its_orientation_brings_to_the_left(orientation: int) -> None:
    """In closed form: where the left neighbour lies in the scene as it is, for each of the eight."""
    row, col = [(0, -1), (-1, 0), (0, 1), (1, 0), (0, 1), (1, 0), (0, -1), (-1, 0)][orientation]
    cube = random_cube(6, 9)
    padded = np.pad(cube, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    neighbour = padded[1 + row : 7 + row, 1 + col : 10 + col]
    proba = predict_view(LeftNeighbour(3), cube, View(orientation, 0.0), seeded())
    torch.testing.assert_close(proba, torch.from_numpy(neighbour).softmax(dim=-1))


def test_no_augmentation_is_the_plain_pass_to_the_bit(tiny: Scene) -> None:
    model, generator = small_model(tiny.n_bands, 4), seeded()
    before = generator.get_state()
    proba = predict_proba(model, tiny.cube, 0, generator)
    assert torch.equal(proba, predict_logits(model, tiny.cube).softmax(dim=-1))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("shape", [(7, 5), (5, 5), (1, 6)])
def test_eight_views_change_nothing_for_a_model_that_is_blind_to_orientation(shape: tuple[int, int]) -> None:
    cube = random_cube(*shape)
    plain, averaged = (predict_proba(BoxMean(3), cube, views, seeded()) for views in (0, 8))
    assert plain.std() > 0.05
    torch.testing.assert_close(averaged, plain, atol=1e-5, rtol=0)


def test_the_weights_by_hand() -> None:
    """One row of two pixels: four views see, left of a pixel, the other pixel, and four the pixel itself."""
    a, b = 2.0, 0.5
    cube = np.array([[[a, 0.0], [0.0, b]]], dtype=np.float32)
    p_own, p_other = 1 / (1 + math.exp(-a)), 1 / (1 + math.exp(b))  # class 1 at the left pixel
    # A row has no second row to mirror, so what lies above and below a pixel is the pixel.
    w_own, w_other = math.exp(2 * p_own), math.exp(2 * (1 - p_other))
    expected = (w_own * p_own + w_other * p_other) / (w_own + w_other)
    proba = predict_proba(LeftNeighbour(2), cube, 8, seeded())
    assert proba[0, 0, 0].item() == pytest.approx(expected, abs=1e-6)
    assert expected != pytest.approx((p_own + p_other) / 2, abs=0.01)


@pytest.mark.parametrize("views", [8, 16])
def test_the_stream_equals_the_softmax_over_all_views_at_once(views: int) -> None:
    model, cube = LeftNeighbour(3), random_cube(scale=3.0)
    generator = seeded(5)
    stacked = torch.stack([predict_view(model, cube, view, generator) for view in scene_views(views)])
    averaged = predict_proba(model, cube, views, seeded(5))
    torch.testing.assert_close(averaged, weighted_mean(stacked), atol=1e-6, rtol=0)
    assert (averaged - stacked.mean(dim=0)).abs().max() > 0.01


def test_dense_views_equal_patches_that_are_turned_one_by_one(tiny: Scene) -> None:
    model = small_model(tiny.n_bands, tiny.n_classes).eval()
    sampler = PatchSampler(tiny.cube, model.patch_size, torch.device("cpu"))
    patches = sampler(torch.arange(tiny.cube.shape[0] * tiny.cube.shape[1]))
    with torch.inference_mode():
        by_patch = [model(orient(patches, torch.full((len(patches),), k))).softmax(dim=1) for k in range(8)]
    stacked = torch.stack(by_patch).reshape(8, *tiny.shape, -1)
    assert (stacked[0] - stacked[3]).abs().max() > 0.05
    dense = predict_proba(model, tiny.cube, 8, seeded())
    torch.testing.assert_close(dense, weighted_mean(stacked), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float64])
def test_noise_is_measured_in_each_bands_range_and_added_to_raw_values(dtype: type) -> None:
    generator = np.random.default_rng(1)
    low, width = np.array([-32_000, 100, 7]), np.array([60_000, 1_000, 0])  # int16 cannot hold the first range
    if dtype is np.uint16:
        low = low + 32_000
    cube = (low + width * generator.random((200, 100, 3))).round()
    cube[0, 0], cube[0, 1] = low, low + width
    cube = cube.astype(dtype)
    before = cube.copy()
    deviation = 0.02 * tta._band_range(cube)
    added = (tta._noisy(cube, deviation, seeded()) - cube.astype(np.float64)).reshape(-1, 3)
    assert added.std(axis=0) == pytest.approx(0.02 * width, rel=0.02)
    assert abs(added.mean(axis=0) / (1 + width)).max() < 5 * 0.02 / math.sqrt(20_000)
    assert abs(np.corrcoef(added[:, 0], added[:, 1])[0, 1]) < 0.03
    assert np.array_equal(cube, before)


def test_only_sixteen_views_draw_noise_and_the_generator_decides_it(tiny: Scene) -> None:
    model = small_model(tiny.n_bands, 4)
    first, again, other = (predict_proba(model, tiny.cube, 16, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(predict_proba(model, tiny.cube, 8, seeded(1)), predict_proba(model, tiny.cube, 8, seeded(2)))


@pytest.mark.parametrize("views", VIEWS)
def test_probabilities(views: int) -> None:
    proba = predict_proba(LeftNeighbour(4), random_cube(3, 11, 4, scale=50.0), views, seeded())
    assert proba.shape == (3, 11, 4)
    assert proba.dtype == torch.float32
    assert proba.min() >= 0
    torch.testing.assert_close(proba.sum(dim=-1), torch.ones(3, 11), atol=1e-5, rtol=0)
