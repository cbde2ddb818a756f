"""Box sums against pooling, maps that grow by strips against maps made at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from hsilib.inference.row_strips import Memory, RollingMap, box_sums


@pytest.mark.parametrize("size", range(1, 22))
def test_box_sums_are_means_times_the_area(size: int) -> None:
    x = torch.randn(size + 6, size + 4, 3, generator=torch.Generator().manual_seed(size))
    means = avg_pool2d(x.double().permute(2, 0, 1)[None], size, stride=1)[0].permute(1, 2, 0)
    sums = box_sums(x, size, Memory(x))
    assert sums.shape == (7, 5, 3)
    torch.testing.assert_close(sums.double(), size**2 * means, atol=1e-6 * size**2, rtol=0)


def test_memory_is_used_again_and_grows() -> None:
    memory = Memory(torch.zeros(1, dtype=torch.float64))
    first = memory("a", 2, 6)
    assert first.dtype == torch.float64
    assert memory("a", 3, 4).data_ptr() == first.data_ptr()
    assert memory("b", 3, 4).data_ptr() != first.data_ptr()
    assert memory("a", 5, 5).shape == (5, 5)


@pytest.mark.parametrize("keep", [0, 1, 4])
def test_a_rolling_map_shows_what_it_keeps_above_what_is_new(keep: int) -> None:
    rows = torch.arange(float(keep + 11)).view(-1, 1, 1).expand(-1, 2, 3)
    growing, seen = RollingMap(keep), 0
    for new in (keep + 4, 4, 3):
        growing.extend(new, 2, 3, like=rows).copy_(rows[seen : seen + new])
        start = max(seen - keep, 0)
        assert torch.equal(growing.rows, rows[start : seen + new])
        seen += new
