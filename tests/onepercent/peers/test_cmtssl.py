"""The two jigsaws, the masks and the curriculum of CMTSSL."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.pretraining.encoder_cache import StageReport
from hsilib.pretraining.pretrain import PretrainOptions, pretrain, train_stage
from hsilib.registry import create_model
from onepercent.peers.cmtssl import SPATIAL_ORDERS, SPECTRAL_ORDERS, JigsawPretext, texture
from tests.helpers import SMALL

CPU = torch.device("cpu")


def a_pretext(n_bands: int = 10, patch_size: int = 9, **options: Any) -> JigsawPretext:
    torch.manual_seed(0)
    cube = np.random.default_rng(0).normal(100, 20, (12, 11, n_bands)).cumsum(axis=0)
    model = create_model("dual-branch", n_bands, 3, **{**SMALL, "patch_size": patch_size, **options})
    model.set_standardizer(Standardizer.fit(cube, model.n_components))
    return JigsawPretext(model, PatchSampler(cube, patch_size, CPU))


@pytest.mark.parametrize(("orders", "n"), [(SPATIAL_ORDERS, 9), (SPECTRAL_ORDERS, 4)])
def test_orders_are_24_different_permutations(orders: torch.Tensor, n: int) -> None:
    assert orders.shape == (24, n)
    assert orders.sort(dim=1).values.equal(torch.arange(n).expand(24, n))
    assert len({tuple(order) for order in orders.tolist()}) == 24
    assert orders[0].tolist() == list(range(n))


def test_spatial_orders_are_far_from_each_other() -> None:
    different = (SPATIAL_ORDERS[:, None] != SPATIAL_ORDERS[None]).sum(dim=2)
    assert different[~torch.eye(24, dtype=torch.bool)].min() >= 6


def test_pieces_lie_where_the_order_says() -> None:
    pretext = a_pretext()
    patch = torch.arange(81.0).reshape(1, 1, 9, 9).expand(24, 10, 9, 9)
    order = torch.arange(24)
    shuffled = pretext.shuffled_pieces(patch, order)
    assert torch.equal(shuffled[0], patch[0])
    for k in range(24):
        for place in range(9):
            row, col = 3 * (place // 3), 3 * (place % 3)
            source = int(SPATIAL_ORDERS[k, place])
            from_row, from_col = 3 * (source // 3), 3 * (source % 3)
            piece = patch[k, 0, from_row : from_row + 3, from_col : from_col + 3]
            assert torch.equal(shuffled[k, 4, row : row + 3, col : col + 3], piece)


def test_rows_beyond_the_last_whole_piece_are_left_out() -> None:
    pretext = a_pretext(patch_size=11)
    patch = torch.randn(2, 10, 11, 11)
    assert torch.equal(pretext.shuffled_pieces(patch, torch.tensor([0, 0])), patch[:, :, :9, :9])


def test_runs_of_bands_are_where_the_order_says() -> None:
    pretext = a_pretext()
    bands = torch.arange(10.0).reshape(1, 10, 1, 1).expand(24, 10, 2, 2)
    shuffled = pretext.shuffled_runs(bands, torch.arange(24))[:, :, 1, 0]
    for k in range(24):
        expected = [2 * run + i for run in SPECTRAL_ORDERS[k].tolist() for i in (0, 1)] + [8, 9]
        assert shuffled[k].tolist() == expected


def test_masks_cover_one_run_and_one_piece() -> None:
    pretext = a_pretext()
    runs = pretext.run_mask(torch.tensor([0, 3]))[:, :, 0, 0]
    assert runs[0].nonzero().flatten().tolist() == [0, 1]
    assert runs[1].nonzero().flatten().tolist() == [6, 7]
    pieces = pretext.piece_mask(torch.tensor([0, 5]), 9)
    assert pieces.sum(dim=(1, 2, 3)).tolist() == [9, 9]
    assert pieces[1, 0, 3:6, 6:9].all()


def test_what_is_masked_is_not_seen() -> None:
    pretext = a_pretext().eval()
    patches, _, _, run, piece = pretext.draw_batch(torch.arange(6), torch.Generator().manual_seed(0))
    mask = pretext.run_mask(run) | pretext.piece_mask(piece, 9)
    other = patches + torch.randn_like(patches) * mask
    with torch.inference_mode():
        filled, refilled = (pretext.fill(values.masked_fill(mask, 0.0)) for values in (patches, other))
    assert torch.equal(filled, refilled)


def test_the_loss_by_hand() -> None:
    """Both jigsaws over log 24, and the mean square error of what is masked, within what the convolutions leave."""
    pretext = a_pretext().eval()
    patches, spatial, spectral, run, piece = pretext.draw_batch(torch.arange(6), torch.Generator().manual_seed(0))
    with torch.inference_mode():
        loss = pretext.batch_loss(patches, spatial, spectral, run, piece)
        jigsaws = [
            *pretext.spatial_logits(pretext.shuffled_pieces(patches, spatial)).log_softmax(1)[range(6), spatial],
            *pretext.spectral_logits(pretext.shuffled_runs(patches, spectral)).log_softmax(1)[range(6), spectral],
        ]
        seen, hidden = patches.clone(), []
        for sample in range(6):
            first, (top, left) = 2 * int(run[sample]), (3 * int(n) for n in divmod(int(piece[sample]), 3))
            seen[sample, first : first + 2] = 0
            seen[sample, :, top : top + 3, left : left + 3] = 0
            for band, row, col in np.ndindex(10, 5, 5):
                in_piece = top <= row + 2 < top + 3 and left <= col + 2 < left + 3
                if first <= band < first + 2 or in_piece:
                    hidden.append((sample, band, row, col))
        filled = pretext.fill(seen)
        errors = [float(filled[at] - patches[:, :, 2:-2, 2:-2][at]) ** 2 for at in hidden]
    expected = np.mean(errors) - sum(float(value) for value in jigsaws) / 6 / math.log(24)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    everything = float((filled - patches[:, :, 2:-2, 2:-2]).square().mean())
    assert abs(np.mean(errors) - everything) > 1e-3, "the example must tell the masked mean from that over all"


@pytest.mark.parametrize("attention", ["none", "quantum", "squeeze-excitation", "constant-phase"])
def test_what_learns(attention: str) -> None:
    """All but the spatial encoder's attention, which comes after the pooling."""
    pretext = a_pretext(attention=attention)
    pretext.loss(torch.arange(16), torch.Generator().manual_seed(0)).backward()
    untouched = {name for name, parameter in pretext.named_parameters() if parameter.grad is None}
    assert untouched == {name for name, _ in pretext.named_parameters() if name.startswith("encoder.spatial.attention")}
    assert bool(untouched) == (attention != "none")
    for name, parameter in pretext.named_parameters():
        if name not in untouched:
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0, name


def test_it_learns_a_few_samples_by_heart() -> None:
    pretext = a_pretext(dropout=0.0)
    batch = pretext.draw_batch(torch.arange(0, 130, 11), torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(pretext.parameters(), lr=1e-2)
    first = float(pretext.batch_loss(*batch).detach())
    for _ in range(60):
        optimizer.zero_grad()
        loss = pretext.batch_loss(*batch)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3 * first
    assert first > 2  # two guesses are worth 1 each


def test_texture_in_closed_form() -> None:
    ramp = torch.arange(5.0).expand(1, 2, 5, 5)  # steps of 1 along a row, 0 along a column
    assert texture(torch.cat([ramp, 0 * ramp, 2 * ramp])).tolist() == [0.5, 0.0, 1.0]


def test_samples_are_ordered_by_texture() -> None:
    pretext = a_pretext()
    samples = torch.arange(0, 130, 3)
    ordered = pretext.order_samples(samples)
    assert ordered.sort().values.equal(samples)
    assert texture(pretext.standardize(pretext.sampler(ordered))).diff().min() >= 0


def test_the_share_grows_from_a_third_to_all() -> None:
    pretext = a_pretext()
    counts = [pretext.samples_in(epoch, 10, 900) for epoch in range(10)]
    assert counts[:6] == [300, 420, 540, 660, 780, 900]
    assert counts[5:] == [900] * 5
    assert pretext.samples_in(0, 10, 1) == 1


def test_the_share_of_right_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Always the same answer is right as often as its order is drawn, once in 24; the true order always."""
    pretext, pixels = a_pretext(), torch.arange(2400) % 132
    _, spatial, spectral, _, _ = pretext.draw_batch(pixels, torch.Generator().manual_seed(0))
    for answer in (0, 17):
        always = torch.eye(24)[[answer]].expand(len(pixels), 24)
        monkeypatch.setattr(pretext, "spatial_logits", lambda patches, always=always: always)
        monkeypatch.setattr(pretext, "spectral_logits", lambda patches, always=always: always)
        measured = pretext.measure(pixels, torch.Generator().manual_seed(0))
        counts = [int((order == answer).sum()) for order in (spatial, spectral)]
        assert measured == {
            "spatial_jigsaw_accuracy": pytest.approx(counts[0] / 2400),
            "spectral_jigsaw_accuracy": pytest.approx(counts[1] / 2400),
        }
        assert all(abs(count - 100) < 40 for count in counts)  # of a binomial, ± 4 standard deviations
    monkeypatch.setattr(pretext, "spatial_logits", lambda patches: torch.eye(24)[spatial])
    monkeypatch.setattr(pretext, "spectral_logits", lambda patches: torch.eye(24)[spectral])
    right = pretext.measure(pixels, torch.Generator().manual_seed(0))
    assert right == {"spatial_jigsaw_accuracy": 1.0, "spectral_jigsaw_accuracy": 1.0}


@pytest.mark.parametrize("options", [{"components": 8}, {"patch_size": 7}, {"n_bands": 3}], ids=str)
def test_networks_that_it_cannot_train(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"set pretrain\.cmtssl=False"):
        a_pretext(**options)


def test_early_epochs_visit_the_easiest_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    pretext = a_pretext()
    visited: list[torch.Tensor] = []
    loss = pretext.loss

    def watched(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        visited.append(pixels)
        return loss(pixels, generator)

    monkeypatch.setattr(pretext, "loss", watched)
    samples = torch.arange(0, 120, 2)
    options = PretrainOptions(cmtssl=True, epochs=4, batch_size=60)
    train_stage(pretext, samples, 1e-3, options, torch.Generator().manual_seed(0))
    ordered = pretext.order_samples(samples)
    assert [len(pixels) for pixels in visited] == [20, 40, 60, 60]
    for pixels, n in zip(visited, (20, 40, 60, 60), strict=True):
        assert set(pixels.tolist()) == set(ordered[:n].tolist())


def test_the_stage_trains_both_encoders_and_is_found_again(tiny: Scene, tmp_path: Path) -> None:
    def pretrained() -> tuple[Network, StageReport]:
        torch.manual_seed(0)
        model = create_model("dual-branch", tiny.n_bands, tiny.n_classes, **{**SMALL, "patch_size": 9})
        model.set_standardizer(Standardizer.fit(tiny.cube))
        before = {name: value.clone() for name, value in model.state_dict().items()}
        sampler = PatchSampler(tiny.cube, 9, CPU)
        options = PretrainOptions(cmtssl=True, epochs=2)
        (report,) = pretrain(model, sampler, make_split(tiny, "count:5", 0), options, 0, tmp_path)
        changed = {
            name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
        }
        assert changed == {"spectral", "spatial"}
        return model, report

    (first, computed), (second, found) = pretrained(), pretrained()
    assert (computed.stage, computed.from_cache, found.from_cache) == ("cmtssl", False, True)
    assert computed == found
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
