"""The encoder block against torch's own."""

from __future__ import annotations

import torch
from torch import nn

from onepercent.peers.networks.transformer import EncoderBlock


def test_the_block_is_torchs_own() -> None:
    torch.manual_seed(0)
    block = EncoderBlock(16, heads=4, hidden=6).double().eval()
    reference = (
        nn.TransformerEncoderLayer(16, 4, 6, activation="gelu", batch_first=True, norm_first=True).double().eval()
    )
    _, first, _, _, second, _ = block.perceptron.children()
    with torch.no_grad():
        reference.self_attn.in_proj_weight.copy_(block.queries_keys_values.weight)
        reference.self_attn.in_proj_bias.copy_(block.queries_keys_values.bias)
    for ours, theirs in (
        (block.joined[0], reference.self_attn.out_proj),
        (first, reference.linear1),
        (second, reference.linear2),
    ):
        theirs.load_state_dict(ours.state_dict())
    z = torch.randn(2, 7, 16, dtype=torch.float64)
    torch.testing.assert_close(block(z), reference(z))


def test_without_bias() -> None:
    """SpectralFormer's queries, keys and values: 3 · 16² weights and nothing else."""
    block = EncoderBlock(16, heads=4, hidden=6, bias=False)
    assert sum(p.numel() for p in block.queries_keys_values.parameters()) == 3 * 16**2
