"""What a patch network makes of a window is what it makes of its patches, one by one."""

from __future__ import annotations

import torch

from hsilib.inference.dense import predict_logits, predict_logits_patchwise
from onepercent.peers.networks.patch_network import PatchNetwork


class FirstAndLast(PatchNetwork):
    """Two features: the patch's first and last value, which tells positions and turns apart."""

    def __init__(self, n_bands: int, n_classes: int, patch_size: int = 5) -> None:
        super().__init__(n_bands, n_classes, patch_size)
        self.n_features = 2
        self.reset_head(n_classes)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0, 0, 0], x[:, -1, -1, -1]], dim=1)


def test_a_window_holds_its_patches() -> None:
    torch.manual_seed(0)
    model = FirstAndLast(3, 4).eval()
    window = torch.randn(2, 3, 9, 11)
    features = model.forward_features(window)
    assert features.shape == (2, 2, 5, 7)
    assert torch.equal(features[:, 0], window[:, 0, :5, :7])
    assert torch.equal(features[:, 1], window[:, -1, 4:, 4:])
    patch = window[:, :, 3:8, 2:7]
    assert torch.allclose(model(patch), model.forward_map(window)[:, :, 3, 2])


def test_a_scene() -> None:
    torch.manual_seed(0)
    model = FirstAndLast(3, 4)
    cube = torch.randn(12, 9, 3).numpy()
    assert torch.allclose(predict_logits(model, cube), predict_logits_patchwise(model, cube), atol=1e-6)
