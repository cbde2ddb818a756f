"""Pre-trained encoders on disk, found again by what they were made from.

A stage is a function of the encoder it starts from, the scene, the samples, its settings and a seed. The file's
name is a hash of all of these, so a run that starts from the same finds the result of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from hsilib.data.patches import PatchSampler
from hsilib.files import write_atomically

VERSION = 1  # raise it when a stage computes something else, so that older files are not found


@dataclass(frozen=True)
class StageReport:
    """What a stage came to.

    Attributes
    ----------
    stage : its name, ``rm-ssl`` for one.
    seconds : what it cost when it was computed.
    from_cache : it was not computed now.
    loss : mean loss of each epoch.
    held_out : what it reaches on pixels that it was not trained on. RM-SSL: ``rotation_accuracy``; MR-SSL:
        ``masked_rmse`` and ``band_mean_rmse``.
    """

    stage: str
    seconds: float = field(compare=False)
    from_cache: bool = field(compare=False)
    loss: list[float]
    held_out: dict[str, float]


def encoder_key(
    plain: tuple[object, ...], encoder: nn.Module, sampler: PatchSampler, tensors: Sequence[torch.Tensor]
) -> str:
    """Hash of everything that the result of a stage depends on.

    The structure of the encoder counts beside its weights: two attentions can have the same weights. So do
    torch's version and the kind of device, as float arithmetic differs between them.

    Parameters
    ----------
    plain : the stage's name, its settings, its seed. encoder : as the stage starts from it. sampler : of the scene.
    tensors : what else it depends on: how values are standardised, and which pixels are sampled and held out.
    """
    kind = (VERSION, *plain, repr(encoder), torch.__version__, sampler.device.type, sampler.sha256())
    digest = hashlib.sha256(repr(kind).encode())
    weights = sorted(encoder.state_dict().items())
    for name, _ in weights:
        digest.update(name.encode())
    for tensor in (*tensors, *(weight for _, weight in weights)):
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_encoder(path: Path, encoder: nn.Module, report: StageReport) -> None:
    """Write the weights of ``encoder``, and ``report`` as JSON inside, to one ``.safetensors`` file.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    weights = {key: value.contiguous().cpu() for key, value in encoder.state_dict().items()}
    with write_atomically(path) as stream:
        stream.write(safetensors.torch.save(weights, metadata={"hsilib": json.dumps(asdict(report))}))


def load_encoder(path: Path, encoder: nn.Module) -> StageReport | None:
    """Give ``encoder`` the weights of a file that `save_encoder` wrote.

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
