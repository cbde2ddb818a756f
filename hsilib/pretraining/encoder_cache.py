"""Pre-trained encoders on disk, found again by what they were made from.

A stage is a function of the encoder it starts from, the scene, the positions, its settings and a seed. The
file's name is a hash of all of these, so a run that starts from the same finds the result of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from hsilib.data.patches import PatchSampler
from hsilib.files import write_atomically
from hsilib.model.network import Network

VERSION = 1  # raise it when a stage computes something else, so that older files are not found


@dataclass(frozen=True)
class StageReport:
    """What a stage came to.

    Attributes
    ----------
    stage : ``rm-ssl``, ``mr-ssl`` or ``cmtssl``.
    seconds : what it cost when it was computed.
    from_cache : it was not computed now.
    loss : mean loss of each epoch.
    held_out : what it reaches on positions that it was not trained on. RM-SSL: ``rotation_accuracy``; MR-SSL:
        ``masked_rmse`` and ``band_mean_rmse``; CMTSSL: the share of jigsaws solved.
    """

    stage: str
    seconds: float = field(compare=False)
    from_cache: bool = field(compare=False)
    loss: list[float]
    held_out: dict[str, float]


def pretrained_key(
    stage: str,
    settings: tuple[float, ...],
    model: Network,
    encoder: nn.Module,
    sampler: PatchSampler,
    positions: Iterable[torch.Tensor],
    seed: int,
) -> str:
    """Hash of everything that the result of a stage depends on.

    The structure of the encoder counts beside its weights: two attentions can have the same weights. So do
    torch's version and the kind of device, as float arithmetic differs between them.

    Parameters
    ----------
    settings : numbers of the stage. model : its standardisation and projection. encoder : as the stage starts from it.
    positions : flat indices of the samples and of the held-out pixels.
    """
    plain = (VERSION, stage, settings, seed, repr(encoder), torch.__version__, sampler.device.type, sampler.sha256())
    digest = hashlib.sha256(repr(plain).encode())
    weights = encoder.state_dict()
    for name in sorted(weights):
        digest.update(name.encode())
    scaling = [model.band_mean, model.band_scale] + ([] if model.projection is None else [model.projection])
    for tensor in (*scaling, *positions, *(weights[name] for name in sorted(weights))):
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_pretrained(path: Path, encoder: nn.Module, report: StageReport) -> None:
    """Write the weights of ``encoder``, and ``report`` as JSON inside, to one ``.safetensors`` file.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    weights = {key: value.contiguous().cpu() for key, value in encoder.state_dict().items()}
    with write_atomically(path) as stream:
        stream.write(safetensors.torch.save(weights, metadata={"hsilib": json.dumps(asdict(report))}))


def load_pretrained(path: Path, encoder: nn.Module) -> StageReport | None:
    """Give ``encoder`` the weights of a file that `save_pretrained` wrote.

    Returns
    -------
    Its report, or None where there is no such file or it cannot be read; the encoder is unchanged then.
    """
    wanted = {key: value.shape for key, value in encoder.state_dict().items()}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            content: dict[str, Any] = json.loads((file.metadata() or {})["hsilib"])
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        report = replace(StageReport(**content), from_cache=True)
    except (OSError, KeyError, ValueError, TypeError, safetensors.SafetensorError):
        return None
    if {key: value.shape for key, value in weights.items()} != wanted:
        return None
    encoder.load_state_dict(weights)
    return report
