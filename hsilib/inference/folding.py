"""The dual-branch model for dense prediction, with all that is constant folded into its weights.

The function is the model's, to float precision; the arithmetic is less:

- standardisation and batch norm become part of the convolutions. Only the bands' means are subtracted
  first: folded into a bias, they would cost digits where a band's mean is far above its spread;
- D = Conv(branch) is linear and never computed: P and F of the fusion read the branches themselves;
- box means are sums, their divisors part of the next weights; so is the gate of a constant phase;
- cos θ + sin θ = √2 · sin(θ + π/4) and tanh(x) = 2σ(2x) − 1, which takes two of the gate's functions instead of three.

Maps are (pixels, channels) matrices. They are made a strip of rows at a time, so that a strip's maps stay in
the processor's cache, and each row once: what a window needs of the rows above is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

import torch
from torch import nn
from torch.nn.functional import conv2d, pad, silu

from hsilib.data.orientation import turned_back
from hsilib.inference.row_strips import Memory, RollingMap, box_sums
from hsilib.model.attention import ConstantPhase, QuantumInspiredAttention, SqueezeExcitation
from hsilib.model.dual_branch import ConcatenationFusion, DualBranch, TemperatureFusion

STRIP_ROWS = 16
PIXELS_A_THREAD = 512  # whose widest layers fit the cache of one core
LANES = 16  # matrix products whose results have fewer columns than the processor's registers hold are slow


class Affine(NamedTuple):
    """x · weight + bias for (pixels, inputs), or weight (outputs, inputs, 3, 3) and bias of a convolution."""

    weight: torch.Tensor
    bias: torch.Tensor

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return len(self.bias)

    def __call__(self, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x, self.weight, out=out)


def can_be_folded(model: nn.Module) -> TypeGuard[DualBranch]:
    """Whether it is a dual-branch model of parts that are known here; a subclass of a part may do anything."""
    known = {QuantumInspiredAttention, SqueezeExcitation, ConstantPhase, nn.Identity}
    return type(model) is DualBranch and {type(model.spectral.attention), type(model.spatial.attention)} <= known


class FoldedDualBranch:
    """`DualBranch.forward_map` in evaluation mode, with the weights that the model has now.

    Parameters
    ----------
    model : is not changed. Later changes of its weights have no influence.
    orientations : as in `hsilib.data.orientation.turned`. The spectral branch is computed once for all of them.
    """

    @torch.inference_mode()
    def __init__(self, model: DualBranch, orientations: Sequence[int] = (0,)) -> None:
        self.memory = Memory(model.band_mean)
        self.margin, self.n_classes = model.patch_size - 1, model.n_classes
        self.sizes = model.spectral.patch_size, model.spatial.pooled_size
        self.mean, scale = model.band_mean.clone(), model.band_scale.double()
        self.projection: torch.Tensor | None = None
        if model.projection is not None:
            self.projection = (model.projection.double() / scale).T.float().contiguous()
            scale = torch.ones_like(scale[: model.n_inputs])

        layers = model.spectral.pixelwise
        pixelwise = _folded(layers[0], layers[1], scale), _folded(layers[3], layers[4])
        self.pixelwise = _matrix(*pixelwise[0]), _matrix(*pixelwise[1])
        layers = model.spatial.windows
        windows = _folded(layers[0], layers[1], scale), _folded(layers[3], layers[4])
        self.windows = [[_turned_window(*window, k) for window in windows] for k in orientations]
        attentions = model.spectral.attention, model.spatial.attention
        self.spectral_gate, self.spatial_gate = map(_Gate, attentions, self.sizes)
        self._fold_fusion(model.fusion, *map(_constant_gain, attentions, (pixelwise[1][1], windows[1][1]), self.sizes))
        self.hidden = [_matrix(*_double(layer)) for layer in model.hidden if isinstance(layer, nn.Conv2d)]
        weight, bias = _double(model.head)
        padding = -len(bias) % LANES
        self.head = _matrix(pad(weight.flatten(1), (0, 0, 0, padding)), pad(bias, (0, padding)))

    def _fold_fusion(self, fusion: nn.Module, spectral_gain: torch.Tensor, spatial_gain: torch.Tensor) -> None:
        """P before σ and F without its part of P, side by side: one linear map of both branches' box sums."""
        assert isinstance(fusion, TemperatureFusion | ConcatenationFusion)
        (w1, b1), (w2, b2), (combine, bias) = (_double(c) for c in (fusion.spectral, fusion.spatial, fusion.combine))
        # D = project · sums + shift
        project = torch.block_diag(w1.flatten(1) * spectral_gain, w2.flatten(1) * spatial_gain)
        shift = torch.cat([b1, b2])
        combine, self.from_gate = combine.flatten(1).split([len(shift), combine.shape[1] - len(shift)], dim=1)
        self.gate_width = self.from_gate.shape[1]
        if isinstance(fusion, TemperatureFusion):
            weight, constant = _double(fusion.probability)
            temperature = fusion.temperature.double().clamp(min=fusion.SMALLEST_TEMPERATURE)
            combine = torch.cat([weight.flatten(1) / temperature, combine])
            bias = torch.cat([constant, bias])
        joint = combine @ project
        self.from_spectral = _matrix(joint[:, : len(spectral_gain)], combine @ shift + bias)
        self.from_spatial = joint[:, len(spectral_gain) :].T.float().contiguous()
        self.from_gate = self.from_gate.T.float().contiguous()

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(1, S, H + P − 1, W + P − 1) raw values → (V, K, H, W) logits, one map an orientation, laid back."""
        values = x[0].permute(1, 2, 0)
        rows, cols = values.shape[0] - self.margin, values.shape[1] - self.margin
        logits = values.new_empty(len(self.windows), rows, cols, self.n_classes)
        on_cpu = values.device.type == "cpu"  # a GPU wants much work at a time
        strip_rows = max(STRIP_ROWS, self.margin) if on_cpu else rows
        self.pixels = PIXELS_A_THREAD * torch.get_num_threads() if on_cpu else rows * cols
        spectral_map = RollingMap(self.sizes[0] - 1)
        texture_maps = [(RollingMap(2), RollingMap(self.sizes[1] - 1)) for _ in self.windows]
        seen = 0
        for top in range(0, rows, strip_rows):
            height = min(strip_rows, rows - top)
            needed, start = top + height + self.margin, max(seen - 2, 0)
            strip = self._prepared(values[start:needed])
            self._extend_spectral(spectral_map, strip[seen - start :])
            shared = self._shared(self._pooled(spectral_map, self.sizes[0]))
            for (first, second), (inner, outer), out in zip(self.windows, texture_maps, logits, strict=True):
                _extend_texture(inner, strip, first)
                _extend_texture(outer, inner.rows, second)
                pooled = self._pooled(outer, self.sizes[1])
                part = out[top : top + height].view(-1, self.n_classes)
                for group in zip(*(m.split(self.pixels) for m in (shared, pooled, part)), strict=True):
                    self._classify(*group)
            seen = needed
        return logits.permute(0, 3, 1, 2)

    def _prepared(self, values: torch.Tensor) -> torch.Tensor:
        """`Network.prepare` but for the scale, which is part of the weights. (H, W, S) → (H, W, inputs)."""
        centred = torch.sub(values, self.mean, out=self.memory("centred", *values.shape))
        if self.projection is None:
            return centred
        prepared = self.memory("prepared", *values.shape[:2], self.projection.shape[1])
        torch.mm(centred.flatten(0, 1), self.projection, out=prepared.flatten(0, 1))
        return prepared

    def _extend_spectral(self, spectral_map: RollingMap, strip: torch.Tensor) -> None:
        first, second = self.pixelwise
        room = spectral_map.extend(strip.shape[0], strip.shape[1], second.outputs, like=strip)
        spectra, features = (m.flatten(0, 1).split(self.pixels) for m in (strip, room))
        for x, out in zip(spectra, features, strict=True):
            hidden = silu(first(x, self._matrix("pixelwise", x, first)), inplace=True)
            silu(second(hidden, out), inplace=True)

    def _pooled(self, features: RollingMap, size: int) -> torch.Tensor:
        return box_sums(features.rows, size, self.memory).flatten(0, 1)

    def _shared(self, sums: torch.Tensor) -> torch.Tensor:
        """What the spectral branch, given by its box sums, adds to the fusion. (pixels, channels of P and F)."""
        shared = self.memory("shared", len(sums), self.from_spectral.outputs)
        for x, out in zip(sums.split(self.pixels), shared.split(self.pixels), strict=True):
            self.from_spectral(self.spectral_gate(x, self.memory), out)
        return shared

    def _classify(self, shared: torch.Tensor, sums: torch.Tensor, logits: torch.Tensor) -> None:
        """Fusion and classifier of some pixels; ``logits`` (pixels, K) takes the result."""
        joint = shared if len(self.windows) == 1 else self.memory("joint", *shared.shape)
        torch.addmm(shared, self.spatial_gate(sums, self.memory), self.from_spatial, out=joint)
        fused = joint[:, self.gate_width :]
        if self.gate_width:
            fused.addmm_(joint[:, : self.gate_width].sigmoid_(), self.from_gate)
        x = silu(fused, inplace=True)
        for i, layer in enumerate(self.hidden):
            x = silu(layer(x, self._matrix(f"hidden {i}", x, layer)), inplace=True)
        logits.copy_(self.head(x, self._matrix("head", x, self.head))[:, : self.n_classes])

    def _matrix(self, name: str, x: torch.Tensor, layer: Affine) -> torch.Tensor:
        return self.memory(name, len(x), layer.outputs)


class _Gate:
    """An attention over box sums (pixels, channels), which it changes in place."""

    def __init__(self, attention: nn.Module, size: int) -> None:
        self.quantum = isinstance(attention, QuantumInspiredAttention)
        self.acts = False
        if isinstance(attention, QuantumInspiredAttention | SqueezeExcitation):
            self.acts = True
            factor = 2 if self.quantum else 1  # of tanh(x) = 2σ(2x) − 1
            (squeeze, inner), (excite, outer) = _double(attention.squeeze), _double(attention.excite)
            self.squeeze, self.excite = _matrix(squeeze / size**2, inner), _matrix(factor * excite, factor * outer)
            self.shift = self.squeeze.bias.new_tensor(-0.75 * math.pi)

    def __call__(self, sums: torch.Tensor, memory: Memory) -> torch.Tensor:
        if not self.acts:
            return sums
        hidden = self.squeeze(sums, memory("squeezed", len(sums), self.squeeze.outputs))
        hidden = silu(hidden, inplace=True) if self.quantum else hidden.relu_()
        gate = self.excite(hidden, memory("gate", *sums.shape)).sigmoid_()
        if self.quantum:
            # θ + π/4 = π · (2σ − 1) + π/4
            torch.add(self.shift, gate, alpha=2 * math.pi, out=gate).sin_().mul_(math.sqrt(2)).sigmoid_()
        return sums.mul_(gate)


def _extend_texture(texture: RollingMap, x: torch.Tensor, layer: Affine) -> None:
    """A 3 × 3 convolution of (H, W, C) and SiLU."""
    new = conv2d(x.permute(2, 0, 1)[None], *layer)[0].permute(1, 2, 0)
    texture.extend(new.shape[0], new.shape[1], layer.outputs, like=x).copy_(silu(new, inplace=True))


def _double(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution in float64."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return layer.weight.double(), layer.bias.double()


def _folded(
    convolution: nn.Module, norm: nn.Module, input_scale: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias, in float64, of a convolution without bias with the batch norm after it."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = convolution.weight.double() * gain[:, None, None, None]
    if input_scale is not None:
        weight = weight / input_scale[:, None, None]
    return weight, norm.bias.double() - norm.running_mean.double() * gain


def _matrix(weight: torch.Tensor, bias: torch.Tensor) -> Affine:
    """A 1 × 1 convolution for `torch.addmm`."""
    return Affine(weight.flatten(1).T.float().contiguous(), bias.float())


def _turned_window(weight: torch.Tensor, bias: torch.Tensor, orientation: int) -> Affine:
    """The convolution that does to a scene what the given one does to the turned scene, laid back."""
    weight = turned_back(weight, orientation)
    return Affine(weight.float().contiguous(memory_format=torch.channels_last), bias.float())


def _constant_gain(attention: nn.Module, like: torch.Tensor, size: int) -> torch.Tensor:
    """(C,) what turns box sums into means, times the gate where that is constant. ``like`` is (C,) float64."""
    gain = torch.full_like(like, 1 / size**2)
    if isinstance(attention, ConstantPhase):
        gain *= QuantumInspiredAttention.gate(attention.phase.double()).flatten()
    return gain
