"""K modules of the same shape as one: their tensors get a leading axis K, their passes become one pass.

`torch.func` does the work: under ``vmap`` a convolution with K sets of weights is a grouped convolution, and a
matrix product is a batched one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.func import stack_module_state, vmap

from hsilib.model.network import call_with


def has_recurrent_layers(module: nn.Module) -> bool:
    """Whether ``module`` has layers (LSTM, GRU) for which `torch.func.vmap` has no rule: it cannot be stacked."""
    return any(isinstance(layer, nn.RNNBase) for layer in module.modules())


class Stack:
    """K modules that are run and trained together.

    While the stack lives, the modules' own tensors are views of the stacked ones: what an optimiser does to
    `parameters`, each module sees, and a module can be saved, loaded and evaluated by itself.

    Parameters
    ----------
    modules : of one class and shape, on one device, without recurrent layers. Shared is only what is no parameter
        and no buffer; of that, the first module's is used.

    Attributes
    ----------
    parameters, buffers : name → (K, …). The running statistics of a BatchNorm are K sets, each updated from its
        own module's batch.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = list(modules)
        self.parameters, self.buffers = stack_module_state(self.modules)
        for tensors in (self.parameters, self.buffers):
            for name, stacked in tensors.items():
                for module, own in zip(self.modules, stacked.detach(), strict=True):
                    _tensor(module, name).data = own

    def call(self, method: str, *arguments: torch.Tensor) -> torch.Tensor:
        """What each module's ``method`` makes of its own slice (…) of the arguments (K, …), stacked.

        Each module has random numbers of its own, as for dropout. They are not those that it would draw alone.
        """

        def single(tensors: dict[str, torch.Tensor], *arguments: torch.Tensor) -> torch.Tensor:
            return call_with(tensors, self.modules[0], method, *arguments)

        return vmap(single, randomness="different")({**self.parameters, **self.buffers}, *arguments)

    def train(self, mode: bool = True) -> None:
        """Training or evaluation mode, for all."""
        for module in self.modules:
            module.train(mode)

    def release(self) -> None:
        """Give each module tensors of its own again; to be called at the end."""
        for name in (*self.parameters, *self.buffers):
            for module in self.modules:
                tensor = _tensor(module, name)
                tensor.data = tensor.data.clone()


def _tensor(module: nn.Module, name: str) -> torch.Tensor:
    """The parameter or buffer of that dotted name."""
    owner, _, last = name.rpartition(".")
    return getattr(module.get_submodule(owner), last)


def clip_each(parameters: Sequence[torch.Tensor], largest: float) -> torch.Tensor:
    """`torch.nn.utils.clip_grad_norm_` for each of K stacked modules by itself.

    Parameters
    ----------
    parameters : (K, …) with gradients, which are scaled in place. largest : norm of one module's gradients.

    Returns
    -------
    (K,) norms before.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradients], dim=1)
    norm = torch.linalg.vector_norm(norms, dim=1)
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))
    return norm
