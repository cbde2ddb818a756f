"""What changes while `fit` runs, and its checkpoint: a killed run goes on where the file was written.

The file is torch's own format, read with ``weights_only=True``: tensors and plain values, no code.
"""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from hsilib.data.splits import Split
from hsilib.errors import InputError
from hsilib.files import write_atomically
from hsilib.model.network import Network

CHECKPOINT_EPOCHS = 10  # epochs from one checkpoint to the next


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Lists of numbers with the five decimals that a record needs."""
    return {k: [round(x, 5) for x in v] if isinstance(v, list) else v for k, v in values.items()}


@dataclass
class FitHistory:
    """What happened, epoch by epoch.

    Attributes
    ----------
    train_loss : one number an epoch.
    val_loss, val_accuracy : one number each time that the validation pixels were asked; empty if there are none.
    best_epoch : the epoch (counted from 1) whose weights the model keeps.
    seconds : the time it took, what was done before an interruption included.
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = field(default=0.0, compare=False)

    def for_record(self) -> dict[str, Any]:
        """What a record keeps of it: all but the time, which stands elsewhere."""
        return {name: value for name, value in rounded(asdict(self)).items() if name != "seconds"}


@dataclass
class TrainingState:
    """The model with its optimiser, what was seen so far and every source of randomness.

    Attributes
    ----------
    generator : draws what `fit` draws. Dropout draws from torch's global stream, which is saved with it.
    epoch : epochs done. best_score, best_weights : of the best validation epoch so far.
    """

    model: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    generator: torch.Generator
    history: FitHistory = field(default_factory=FitHistory)
    epoch: int = 0
    best_score: tuple[float, float] = (-1.0, 0.0)
    best_weights: dict[str, torch.Tensor] | None = None

    def keep_if_best(self, accuracy: float, loss: float) -> None:
        """Remember the present weights if no earlier epoch was as accurate, or as accurate at a lower loss."""
        score = accuracy, -math.inf if math.isnan(loss) else -loss
        if score > self.best_score:
            self.best_score, self.history.best_epoch = score, self.epoch
            self.best_weights = {k: v.clone() for k, v in self.model.state_dict().items()}

    def diverged(self) -> bool:
        """Whether an epoch left weights that are no numbers, so that the training ends; says so on standard error.

        Raises
        ------
        InputError : there are no weights of an earlier validation to go back to.
        """
        # Half precision may overflow in a batch, whose step is then skipped; weights that are no number stay so.
        loss = self.history.train_loss[-1]
        if not math.isnan(loss) or all(p.isfinite().all() for p in self.model.parameters()):
            return False
        what = f"the training diverged in epoch {self.epoch}: its loss and its weights are no numbers any more"
        remedy = "a lower fit.learning_rate, or fit.clip_norm, helps"
        if self.best_weights is None:
            raise InputError(f"{what}; {remedy}.")
        print(f"{what}. The weights of epoch {self.history.best_epoch} are kept; {remedy}.", file=sys.stderr)
        self.history.train_loss.pop()
        return True

    def take_best(self) -> None:
        """End the training: the best weights where there are any, else those of the last epoch, for evaluation."""
        if self.best_weights is None:
            self.history.best_epoch = self.epoch
        else:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()

    def save(self, path: Path, identity: str) -> None:
        """Write everything, whole or not at all."""
        content = {
            "identity": identity,
            "epoch": self.epoch,
            "history": asdict(self.history),
            "best_score": list(self.best_score),
            "best_weights": self.best_weights,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generator": self.generator.get_state(),
            "global_random": _global_random_state(),
        }
        with write_atomically(path) as stream:
            torch.save(content, stream)

    def resume(self, path: Path, identity: str) -> bool:
        """Take over what ``path`` holds; if it is missing, broken or of another training, False and nothing changed."""
        if not path.exists():
            return False
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if content["identity"] != identity:
                raise ValueError("it is of another training")
        except Exception as error:  # any damage counts: torch raises many kinds, and the answer is always the same
            print(f"{path.name}: not used, starting anew ({error}).", file=sys.stderr)
            return False
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if content["scaler"]:  # empty if the file was written on a device that needs no scaling
            self.scaler.load_state_dict(content["scaler"])
        self.generator.set_state(content["generator"])
        _set_global_random_state(content["global_random"])
        self.history, self.epoch = FitHistory(**content["history"]), content["epoch"]
        self.best_score, self.best_weights = tuple(content["best_score"]), content["best_weights"]
        return True


def fingerprint(model: Network, split: Split, options: object, generator: torch.Generator) -> str:
    """A hash of the weights before training, the pixels with their labels, the settings and the generator."""
    digest = hashlib.sha256(repr(options).encode())
    digest.update(generator.get_state().numpy().tobytes())
    for array in (split.train, split.train_labels, split.val, split.val_labels):
        digest.update(array.tobytes())
    for name, weight in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _global_random_state() -> list[torch.Tensor]:
    """Of the CPU and, where there is one, of the current GPU."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def _set_global_random_state(states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if torch.cuda.is_available() and len(states) > 1:
        torch.cuda.set_rng_state(states[1])
