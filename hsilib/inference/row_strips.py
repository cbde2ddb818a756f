"""Maps that are made a strip of rows at a time, in memory that is used again strip after strip.

A strip's maps stay in the processor's cache, every row is computed once, and no memory is fresh, which costs page
faults. Maps are (H, W, C) here, channels last.
"""

from __future__ import annotations

import math

import torch


class Memory:
    """Named buffers that keep their memory from one use to the next, of the type and on the device of ``like``."""

    def __init__(self, like: torch.Tensor) -> None:
        self._like = like
        self._buffers: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor of this shape; what it holds is whatever the last use of ``name`` left there."""
        size = math.prod(shape)
        if name not in self._buffers or self._buffers[name].numel() < size:
            self._buffers[name] = self._like.new_empty(size)
        return self._buffers[name][:size].view(shape)


class RollingMap:
    """The newest rows of a map: the last strip, and above it as many as a window of the next layer needs.

    Parameters
    ----------
    keep : rows that are kept when the map goes on; each strip but the last has as many at least, and the first
        has ``keep`` more than the others.

    Attributes
    ----------
    rows : (kept + new, W, C).
    """

    rows: torch.Tensor

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._buffer: torch.Tensor | None = None

    def extend(self, rows: int, cols: int, channels: int, like: torch.Tensor) -> torch.Tensor:
        """Room for new rows (rows, cols, channels), which the caller fills."""
        kept = 0
        if self._buffer is None:
            self._buffer = like.new_empty(rows, cols, channels)
        else:
            kept = self._keep
            self._buffer[:kept] = self.rows[len(self.rows) - kept :]
        self.rows = self._buffer[: kept + rows]
        return self.rows[kept:]


def box_sums(x: torch.Tensor, size: int, memory: Memory) -> torch.Tensor:
    """Sums over ``size`` × ``size`` windows: (H, W, C) → (H − size + 1, W − size + 1, C), or ``x`` where size is 1."""
    return _sums_along_rows(_sums_over_rows(x, size, memory), size, memory)


def _sums_over_rows(x: torch.Tensor, size: int, memory: Memory) -> torch.Tensor:
    """Running sums down the rows: two additions a value. They start anew in each strip and so lose no digits."""
    if size == 1:
        return x
    rows, cols, channels = len(x) - size + 1, *x.shape[1:]
    sums = memory("sums over rows", rows, cols, channels)
    torch.sum(x[:size], dim=0, out=sums[0])
    for row in range(1, rows):
        torch.add(sums[row - 1], x[row + size - 1], out=sums[row]).sub_(x[row - 1])
    return sums


def _sums_along_rows(x: torch.Tensor, size: int, memory: Memory) -> torch.Tensor:
    """Sums over columns from sums over fewer columns: 15 = 3 · (2 · 2 + 1) takes five additions a value."""
    if size == 1:
        return x
    cols = x.shape[1] - size + 1
    sums = memory(f"sums over {size} columns", len(x), cols, x.shape[2])
    parts = next((p for p in (3, 2) if size % p == 0), None)
    if parts is None:
        return torch.add(_sums_along_rows(x, size - 1, memory)[:, :cols], x[:, size - 1 :], out=sums)
    step = size // parts
    part = _sums_along_rows(x, step, memory)
    torch.add(part[:, :cols], part[:, step : step + cols], out=sums)
    return sums if parts == 2 else sums.add_(part[:, 2 * step : 2 * step + cols])
