"""Which device computes, how its memory grows, which numbers the forward pass runs in."""

from __future__ import annotations

import os

import pytest
import torch

from hsilib.training.device import autocast, exact_convolutions, find_device, gradient_scaler, mixed_precision_dtype

SETTING = "PYTORCH_CUDA_ALLOC_CONF"


@pytest.mark.parametrize(
    ("name", "there", "chosen"),
    [
        ("cuda", True, "cuda"),
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
    ],
)
def test_memory_grows_in_place_where_cuda_is_chosen(
    name: str, there: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setenv(SETTING, "")  # so that it is put back as it was
    monkeypatch.delenv(SETTING)
    assert find_device(name).type == chosen
    assert os.environ.get(SETTING) == ("expandable_segments:True" if chosen == "cuda" else None)


def test_what_the_environment_says_of_memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv(SETTING, "max_split_size_mb:64")
    find_device("auto")
    assert os.environ[SETTING] == "max_split_size_mb:64"


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
