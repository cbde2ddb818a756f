"""The device that computes: which one, in what precision, with whose random numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hsilib.checks import check_name
from hsilib.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
FIRST_CAPABILITY_WITH_BF16 = (8, 0)


def find_device(name: str) -> torch.device:
    """``auto`` takes CUDA when it is there.

    CUDA's memory is asked to grow in place, unless the environment says otherwise.

    Raises
    ------
    InputError : an unknown name; or CUDA was asked for and is not there.
    """
    check_name("device", name, DEVICES)
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("device 'cuda': no CUDA device was found; use --device auto or --device cpu.")
    # Less fragmentation on small GPUs; read at the first allocation. torch 2.9 ignores the newer PYTORCH_ALLOC_CONF.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    return torch.device("cuda")


def mixed_precision_dtype(device: torch.device) -> torch.dtype | None:
    """bf16 from compute capability 8.0, fp16 before it, None (float32) on the CPU.

    ``torch.cuda.is_bf16_supported()`` is no guide: it says yes on a T4, which only emulates bf16.
    """
    if device.type != "cuda":
        return None
    capable = torch.cuda.get_device_capability(device) >= FIRST_CAPABILITY_WITH_BF16
    return torch.bfloat16 if capable else torch.float16


def autocast(device: torch.device) -> torch.autocast:
    """A context in which the forward pass runs in the device's mixed precision."""
    dtype = mixed_precision_dtype(device)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def gradient_scaler(device: torch.device) -> torch.amp.GradScaler:
    """A scaler that keeps fp16 gradients from vanishing; does nothing in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=mixed_precision_dtype(device) is torch.float16)


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """A context in which cuDNN takes repeatable algorithms and computes float32 in float32; no change on the CPU.

    By default it may round the inputs of float32 convolutions to TF32, of 10 bits, so that a dense pass would differ
    from patches one by one. What has no repeatable kernel on CUDA, such as the backward pass of adaptive pooling and
    `torch.Tensor.index_add`, stays as it is: there the same seed gives the same record on the CPU only.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    cudnn.deterministic, cudnn.allow_tf32 = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32 = before


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """A context in which the global streams of the CPU and of ``device`` begin at ``seed``; restored after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
