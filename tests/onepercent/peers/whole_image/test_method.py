"""A whole-image network behind the `Method` contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from onepercent.peers.whole_image.method import WholeImageMethod, WholeImageOptions, padded_image
from onepercent.peers.whole_image.options import WholeImageFitOptions
from tests.helpers import WHOLE_IMAGE_NETWORKS, separable_scene
from tests.onepercent.peers.whole_image.test_networks import NARROW

CPU = torch.device("cpu")


def small(name: str, **fit: Any) -> WholeImageOptions:
    settings = {"epochs": 3, "optimizer": "adam", "learning_rate": 1e-2, **fit}
    return WholeImageOptions(name, dict(NARROW[name]), WholeImageFitOptions(**settings))


def fitted(scene: Scene, options: WholeImageOptions, seed: int = 0) -> WholeImageMethod:
    method = options.build(CPU)
    split = make_split(scene, "count:5", 0).hide_test_labels()
    method.fit(scene.without_ground_truth(), split, torch.Generator().manual_seed(seed))
    return method


def test_the_image_is_mirrored_below_and_to_the_right() -> None:
    cube = np.arange(6 * 5 * 2, dtype=np.uint16).reshape(6, 5, 2)
    image = padded_image(cube, 8, CPU)
    assert image.shape == (1, 2, 8, 8)
    assert image.dtype == torch.float32
    padded = image[0].permute(1, 2, 0).numpy()
    assert np.array_equal(padded[:6, :5], cube)
    assert np.array_equal(padded[6:, :5], cube[4:2:-1])
    assert np.array_equal(padded[:6, 5:], cube[:, 3:0:-1])
    assert padded_image(cube, 1, CPU).shape == (1, 2, 6, 5)
    assert padded_image(cube[:1], 8, CPU).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("name", WHOLE_IMAGE_NETWORKS)
def test_it_learns_stripes(name: str) -> None:
    scene = separable_scene(20, 18)
    method = fitted(scene, small(name, epochs=40, validate_every=5))
    probabilities = method.predict_proba(scene)
    assert probabilities.shape == (20, 18, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=-1) + 1 == scene.ground_truth).mean() > 0.8


def test_the_standardizer_is_fitted_on_all_pixels_and_part_of_the_weights(tiny: Scene) -> None:
    weights = fitted(tiny, small("freenet")).model.state_dict()
    expected = Standardizer.fit(tiny.cube)
    np.testing.assert_allclose(weights["band_mean"].numpy(), expected.mean, rtol=1e-6)
    np.testing.assert_allclose(weights["band_scale"].numpy(), expected.scale, rtol=1e-6)


def test_the_generator_decides_everything_and_the_global_state_is_left_alone(tiny: Scene) -> None:
    options = small("ssdgl", sampling="balanced", per_class=2)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fitted(tiny, options)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = fitted(tiny, options), fitted(tiny, options, seed=1)
    assert first.history == second.history
    assert np.array_equal(first.predict_proba(tiny), second.predict_proba(tiny))
    assert first.history.train_loss != other.history.train_loss


def test_another_scene_is_looked_at_anew(tiny: Scene) -> None:
    """The graph of superpixels is the predicted scene's own."""
    method = fitted(tiny, small("cegcn"))
    expected = method.predict_proba(tiny)
    turned = tiny.with_cube(tiny.cube[::-1].copy())
    assert np.isfinite(method.predict_proba(turned)).all()
    cut = Scene("cut", tiny.cube[:16], np.zeros((16, 20), dtype=np.uint8), ())
    assert method.predict_proba(cut).shape[:2] == (16, 20)
    assert np.array_equal(method.predict_proba(tiny), expected)


def test_details_and_seconds(tiny: Scene) -> None:
    method = fitted(tiny, small("freenet", validate_every=2))
    details = method.details()
    assert details["parameters"] == sum(p.numel() for p in method.model.parameters())
    assert len(details["history"]["train_loss"]) == 3
    assert len(details["history"]["val_accuracy"]) == 2
    assert details["history"]["best_epoch"] == method.history.best_epoch
    assert "seconds" not in details["history"]
    assert method.seconds["fit_s"] > 0


def test_what_there_is_not(tiny: Scene, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean freenet"):
        fitted(tiny, WholeImageOptions("freenets"))
    with pytest.raises(InputError, match="labels a whole scene at once"):
        small("freenet").build(CPU).save(tmp_path / "model", ["a"])
