"""Which numbers the forward pass runs in."""

from __future__ import annotations

import pytest
import torch

from hsilib.training.device import autocast, exact_convolutions, gradient_scaler, mixed_precision_dtype


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((7, 0), torch.float16),  # V100
        ((7, 5), torch.float16),  # T4: is_bf16_supported() says yes, but it only emulates it
        ((8, 0), torch.bfloat16),
        ((8, 9), torch.bfloat16),
        ((9, 0), torch.bfloat16),
        ((10, 0), torch.bfloat16),
    ],
)
def test_bf16_is_chosen_by_compute_capability(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert mixed_precision_dtype(torch.device("cuda")) is dtype


def test_the_cpu_computes_in_float32() -> None:
    cpu = torch.device("cpu")
    assert mixed_precision_dtype(cpu) is None
    with autocast(cpu):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.float32
    scaler = gradient_scaler(cpu)
    assert not scaler.is_enabled()
    assert scaler.scale(torch.tensor(3.0)).item() == 3.0


def test_exact_convolutions_put_the_flags_back_even_after_an_error() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32

    @exact_convolutions()
    def fails() -> None:
        assert (cudnn.deterministic, cudnn.allow_tf32) == (True, False)
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (cudnn.deterministic, cudnn.allow_tf32) == before
