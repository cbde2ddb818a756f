"""Torch's global stream of random numbers, from which initial weights and dropout draw: `own_randomness`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """A context in which the global streams of the CPU and of ``device`` begin at ``seed``; restored after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
