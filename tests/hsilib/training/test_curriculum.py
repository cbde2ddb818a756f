"""The confidence loss of the warm-up."""

from __future__ import annotations

import pytest
import torch

from hsilib.training.losses import confidence_weighted_mean

LOSSES = torch.tensor([1.0, 2.0, 4.0])
# Sure and right, unsure, sure and wrong.
LOGITS = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.05, 0.95]]).log()
TARGETS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])


def test_only_samples_that_the_model_is_sure_of_and_right_about_count_more() -> None:
    assert confidence_weighted_mean(LOSSES, LOGITS, TARGETS).item() == pytest.approx((1.1 * 1 + 2 + 4) / 3)


def test_confidence_in_a_mixed_label_is_the_mean_over_its_parts() -> None:
    """0.5 · 0.9 + 0.5 · 0.1 is far below 0.7."""
    mixed = torch.full((3, 2), 0.5)
    assert confidence_weighted_mean(LOSSES, LOGITS, mixed).item() == pytest.approx(7 / 3)
    mostly = torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.5, 0.5]])  # 0.8 · 0.9 + 0.2 · 0.1 = 0.74
    assert confidence_weighted_mean(LOSSES, LOGITS, mostly).item() == pytest.approx((1.1 * 1 + 2 + 4) / 3)


def test_the_confidence_itself_gets_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    losses = -(logits.log_softmax(dim=1) * TARGETS).sum(dim=1)
    confidence_weighted_mean(losses, logits, TARGETS).backward()
    expected = (LOGITS.softmax(dim=1) - TARGETS) * torch.tensor([1.1, 1.0, 1.0])[:, None] / 3
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize(("confidence", "weight"), [(0.69, 1.0), (0.71, 1.1)])
def test_the_threshold(confidence: float, weight: float) -> None:
    logits = torch.tensor([[confidence, (1 - confidence) / 2, (1 - confidence) / 2]]).log()
    loss = confidence_weighted_mean(torch.tensor([2.0]), logits, torch.tensor([[1.0, 0.0, 0.0]]))
    assert loss.item() == pytest.approx(2 * weight)


def test_confidence_is_computed_in_full_precision() -> None:
    """σ(0.84765625) = 0.70007, which bf16 would round to 0.6992."""
    logits = torch.tensor([[0.84765625, 0.0]], dtype=torch.bfloat16)
    assert float(logits.softmax(dim=1)[0, 0]) < 0.7
    assert confidence_weighted_mean(torch.ones(1), logits, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(1.1)


def test_the_confident_are_divided_by_the_whole_batch() -> None:
    """Doubling the others halves what one confident sample adds."""
    losses, logits, targets = torch.ones(8), torch.zeros(8, 2), torch.tensor([[1.0, 0.0]]).repeat(8, 1)
    logits[0, 0] = 5.0
    added = [confidence_weighted_mean(losses[:n], logits[:n], targets[:n]).item() - 1 for n in (4, 8)]
    assert added == pytest.approx([0.1 / 4, 0.1 / 8], rel=1e-4)
