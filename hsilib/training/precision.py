"""Mixed precision where it helps: fp16 or bf16 on CUDA, float32 everywhere else."""

from __future__ import annotations

import torch

FIRST_CAPABILITY_WITH_BF16 = (8, 0)


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
