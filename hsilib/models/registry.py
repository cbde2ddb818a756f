"""Every network by its name.

Contents: `NETWORKS`, `create_model`, `smallest_patch`; `WHOLE_IMAGE_NETWORKS`, `create_whole_image_model`.
"""

from __future__ import annotations

from typing import Any

import torch

from hsilib.errors import InputError, unknown_name
from hsilib.models.dual_branch import DualBranch
from hsilib.models.network import Network
from hsilib.models.peers.a2s2k_resnet import A2S2KResNet
from hsilib.models.peers.cegcn import CEGCN
from hsilib.models.peers.cnn_1d import Cnn1d
from hsilib.models.peers.cnn_2d import Cnn2d
from hsilib.models.peers.cnn_3d import Cnn3d
from hsilib.models.peers.cnn_bilstm import CNNBiLSTM
from hsilib.models.peers.dbda import DBDA
from hsilib.models.peers.freenet import FreeNet
from hsilib.models.peers.hybridsn import HybridSN
from hsilib.models.peers.mhssmamba import MHSSMamba
from hsilib.models.peers.pyformer import PyFormer
from hsilib.models.peers.spectralformer import SpectralFormer
from hsilib.models.peers.ssdgl import SSDGL
from hsilib.models.peers.ssftt import SSFTT
from hsilib.models.peers.ssrn import SSRN
from hsilib.models.peers.wavemamba import WaveMamba
from hsilib.models.whole_image_network import WholeImageNetwork

NETWORKS: dict[str, type[Network]] = {
    "dual-branch": DualBranch,
    "cnn-1d": Cnn1d,
    "cnn-2d": Cnn2d,
    "cnn-3d": Cnn3d,
    "hybridsn": HybridSN,
    "ssrn": SSRN,
    "dbda": DBDA,
    "a2s2k-resnet": A2S2KResNet,
    "cnn-bilstm": CNNBiLSTM,
    "mhssmamba": MHSSMamba,
    "pyformer": PyFormer,
    "spectralformer": SpectralFormer,
    "ssftt": SSFTT,
    "wavemamba": WaveMamba,
}

# These take a whole image and are trained by `fit_whole_image`.
WHOLE_IMAGE_NETWORKS: dict[str, type[WholeImageNetwork]] = {"freenet": FreeNet, "cegcn": CEGCN, "ssdgl": SSDGL}


def create_model(name: str, n_bands: int, n_classes: int, **options: Any) -> Network:
    """Build a network with fresh weights.

    Parameters
    ----------
    name : a key of ``NETWORKS``.
    n_bands, n_classes : S and K.
    options : the network's own arguments, such as ``patch_size``.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    model = NETWORKS[name](n_bands, n_classes, **options)
    model.name, model.options = name, options
    return model


def smallest_patch(model: Network) -> int:
    """The smallest patch that the same weights serve; the network's own, where they serve no smaller one."""

    def shapes(patch_size: int) -> dict[str, torch.Size]:
        options = {**model.options, "patch_size": patch_size}
        with torch.random.fork_rng(devices=[]):
            other = create_model(model.name, model.n_bands, model.n_classes, **options)
        return {name: value.shape for name, value in other.state_dict().items()}

    own, smallest = shapes(model.patch_size), model.patch_size
    for patch_size in range(model.patch_size - 2, 0, -2):
        try:
            if shapes(patch_size) != own:
                break
        except InputError:
            break
        smallest = patch_size
    return smallest


def create_whole_image_model(name: str, n_bands: int, n_classes: int, **options: Any) -> WholeImageNetwork:
    """Build a whole-image network with fresh weights.

    Parameters
    ----------
    name : a key of ``WHOLE_IMAGE_NETWORKS``.
    n_bands, n_classes : S and K.
    options : the network's own arguments, such as ``widths``.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in WHOLE_IMAGE_NETWORKS:
        raise unknown_name("whole-image network", name, WHOLE_IMAGE_NETWORKS)
    model = WHOLE_IMAGE_NETWORKS[name](n_bands, n_classes, **options)
    model.name, model.options = name, options
    return model
