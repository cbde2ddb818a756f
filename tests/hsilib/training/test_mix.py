"""MixUp and CutMix: shares against Beta's formulas, labels against what was really kept, areas by brute force."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from hsilib.errors import InputError
from hsilib.training.mix import VARIANTS, Mix, MixOptions, draw_mix, mix_features, mix_patches, mix_targets, outside_box

N, S, P, K = 300, 20, 9, 4
KINDS = (*VARIANTS, "cutmix")
KEEP_SHAPES = {
    "plain": (N, 1, 1, 1),
    "manifold": (N, 1, 1, 1),
    "spectral": (N, S, 1, 1),
    "cutmix": (N, 1, P, P),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def always(kind: str, **options: Any) -> MixOptions:
    """Options under which every batch is mixed this way."""
    return MixOptions(cutmix=1.0, **options) if kind == "cutmix" else MixOptions(1.0, variants=(kind,), **options)


def drawn(kind: str, n: int = N, n_bands: int = S, seed: int = 0, **options: Any) -> Mix:
    mix = draw_mix(n, n_bands, P, always(kind, **options), seeded(seed))
    assert mix is not None
    return mix


def a_batch(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Patches, features and labels as probabilities."""
    patches = torch.rand((N, P, P, S), generator=seeded(1)).permute(0, 3, 1, 2) * 5000
    features = torch.randn((N, 6, 1, 1), generator=seeded(2))
    labels = torch.randint(K, (N,), generator=seeded(3))
    return patches.to(dtype), features.to(dtype), torch.nn.functional.one_hot(labels, K).to(dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn(kind: str) -> None:
    mix = drawn(kind)
    assert mix.kind == kind
    assert mix.partner.sort().values.tolist() == list(range(N))
    assert mix.weight.shape == (N,)
    assert ((mix.weight >= 0) & (mix.weight <= 1)).all()
    assert mix.keep.shape == KEEP_SHAPES[kind]
    if kind in ("spectral", "cutmix"):
        assert set(mix.keep.unique().tolist()) == {0, 1}
    again, other = drawn(kind), drawn(kind, seed=1)
    for name in ("partner", "weight", "keep"):
        assert torch.equal(vars(mix)[name], vars(again)[name])
        assert not torch.equal(vars(mix)[name], vars(other)[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_mixed_values_in_closed_form(kind: str, dtype: torch.dtype) -> None:
    """keep · own + (1 − keep) · partner's, on the one thing that this kind mixes; the input stays."""
    patches, features, _ = a_batch(dtype)
    mix = drawn(kind)
    for values, mixed, touched in (
        (patches, mix_patches(patches, mix), kind != "manifold"),
        (features, mix_features(features, mix), kind == "manifold"),
    ):
        before = values.clone()
        assert mixed.shape == values.shape
        assert mixed.dtype == dtype
        assert mixed.stride() == values.stride()
        if not touched:
            assert torch.equal(mixed, values)
            continue
        keep = mix.keep.double()
        for i in range(N):
            expected = keep[i] * values[i].double() + (1 - keep[i]) * values[mix.partner[i]].double()
            assert torch.allclose(mixed[i].double(), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(values, before)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_mixed_by_the_share_that_was_kept(kind: str) -> None:
    _, _, targets = a_batch()
    mix = drawn(kind)
    mixed = mix_targets(targets, mix)
    assert mixed.sum(dim=1).numpy() == pytest.approx(1, abs=1e-6)
    assert (mixed >= 0).all()
    own, partners = targets.argmax(dim=1), targets.argmax(dim=1)[mix.partner]
    kept = [float(keep.sum()) / keep.numel() for keep in mix.keep]
    for i in range(N):
        expected = torch.zeros(K)
        expected[own[i]] += kept[i]
        expected[partners[i]] += 1 - kept[i]
        assert mixed[i].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_keeping_all_or_nothing_is_exact_to_the_bit(kind: str) -> None:
    patches, features, targets = a_batch()
    mix = drawn(kind)
    for share in (0.0, 1.0):
        whole = Mix(kind, mix.partner, torch.full((N,), share), torch.full_like(mix.keep, share))
        source = torch.arange(N) if share else mix.partner
        assert torch.equal(mix_targets(targets, whole), targets[source])
        mixed, values = (mix_features, features) if kind == "manifold" else (mix_patches, patches)
        assert torch.equal(mixed(values, whole), values[source])


@pytest.mark.parametrize("kind", ["spectral", "cutmix"])
def test_each_value_comes_from_one_of_the_two(kind: str) -> None:
    patches, _, _ = a_batch()
    mix = drawn(kind)
    mixed, keep = mix_patches(patches, mix), mix.keep.expand_as(patches).bool()
    assert torch.equal(mixed[keep], patches[keep])
    assert torch.equal(mixed[~keep], patches[mix.partner][~keep])


@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("kind", VARIANTS)
def test_shares_follow_beta(kind: str, alpha: float) -> None:
    """Mean 1/2 and variance 1 / (4 · (2α + 1)); S bands drawn with probability λ add E[λ (1 − λ)] / S."""
    n = 20000
    weight = drawn(kind, n, mixup_alpha=alpha).weight
    variance = 1 / (4 * (2 * alpha + 1))
    if kind == "spectral":
        variance += (1 / 4 - variance) / S
    assert weight.mean() == pytest.approx(0.5, abs=0.015)
    assert weight.var() == pytest.approx(variance, rel=0.03)


def test_each_way_of_mixing_has_its_own_alpha() -> None:
    """A large α makes every share one half; CutMix's largest square is then round(9 · sqrt(1/2)) = 6 wide."""
    assert drawn("plain", mixup_alpha=1e6).weight.numpy() == pytest.approx(0.5, abs=0.01)
    assert (1 - drawn("cutmix", cutmix_alpha=1e6).keep).sum(dim=(1, 2, 3)).max() == 36


def test_cutmix_keeps_what_lies_outside_a_square() -> None:
    """Each square is looked for by brute force: one box, its side, and its centre inside the patch."""
    mix = drawn("cutmix")
    for keep, weight in zip(mix.keep[:, 0], mix.weight, strict=True):
        cut = [(row, col) for row in range(P) for col in range(P) if keep[row, col] == 0]
        assert float(weight) == pytest.approx(1 - len(cut) / P**2, abs=1e-6)
        if not cut:
            continue
        rows, cols = ([at[axis] for at in cut] for axis in (0, 1))
        height, width = max(rows) - min(rows) + 1, max(cols) - min(cols) + 1
        assert height * width == len(cut)
        shorter, longer = sorted((height, width))
        at_border = min(rows) == 0 or min(cols) == 0 or max(rows) == P - 1 or max(cols) == P - 1
        assert shorter == longer or at_border
        assert shorter >= longer // 2


@pytest.mark.parametrize(("share", "side"), [(1.0, 0), (0.99, 1), (0.75, 4), (0.5, 6), (0.0, 9)])
def test_the_side_of_the_square_follows_from_the_share(share: float, side: int) -> None:
    """round(9 · sqrt(1 − λ)); squares that are not clipped are the largest."""
    cut = 1 - outside_box(torch.full((2000,), share), P, seeded())[:, 0]
    assert cut.amax(dim=2).sum(dim=1).max() == side
    assert cut.sum(dim=(1, 2)).max() == side**2


def test_the_square_lies_around_every_pixel_as_often() -> None:
    n = 200 * P**2
    cut = 1 - outside_box(torch.full((n,), 0.99), P, seeded())[:, 0]
    assert (cut.sum(dim=(1, 2)) == 1).all()
    assert cut.sum(dim=0).numpy() == pytest.approx(200, abs=5 * 200**0.5)


def test_how_often_each_kind_is_drawn() -> None:
    generator, options, n = seeded(), MixOptions(mixup=0.3, cutmix=0.2), 4000
    mixes = [draw_mix(2, 3, 5, options, generator) for _ in range(n)]
    counts = Counter(None if mix is None else mix.kind for mix in mixes)
    for kind, share in {None: 0.5, "cutmix": 0.2, "plain": 0.1, "spectral": 0.1, "manifold": 0.1}.items():
        assert counts[kind] / n == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_what_has_no_probability_is_never_drawn(mixup: float, cutmix: float) -> None:
    generator = seeded()
    options = MixOptions(mixup=mixup, cutmix=cutmix, variants=("plain", "manifold"))
    mixes = [draw_mix(2, 3, 5, options, generator) for _ in range(200)]
    expected: set[str | None] = {"plain", "manifold"} if mixup else {"cutmix"} if cutmix else {None}
    assert {None if mix is None else mix.kind for mix in mixes} == expected


def test_a_single_sample_is_its_own_partner() -> None:
    patches, _, targets = (values[:1] for values in a_batch())
    for kind in ("plain", "spectral", "cutmix"):
        mix = drawn(kind, 1)
        assert torch.allclose(mix_patches(patches, mix), patches)
        assert torch.allclose(mix_targets(targets, mix), targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": -0.1}, r"fit\.mix\.mixup is -0\.1; expected a number, at least 0 and at most 1"),
        ({"cutmix": 1.5}, r"fit\.mix\.cutmix is 1\.5; expected a number, at least 0 and at most 1"),
        ({"mixup": 0.6, "cutmix": 0.6}, r"1 together at most"),
        ({"mixup_alpha": 0.0}, r"fit\.mix\.mixup_alpha is 0\.0; expected a number, above 0"),
        ({"cutmix_alpha": float("nan")}, r"fit\.mix\.cutmix_alpha is nan; expected a number, above 0"),
        ({"variants": ()}, r"fit\.mix\.variants is empty"),
        ({"variants": ("spectra",)}, r"unknown fit\.mix\.variants 'spectra': did you mean spectral"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MixOptions(**options)


def test_nothing_is_mixed_by_default() -> None:
    assert draw_mix(N, S, P, MixOptions(), seeded()) is None
