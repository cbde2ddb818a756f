"""RM-SSL: the spatial encoder learns by telling how far a patch was turned.

The description lists "random rotation, mirror flips" among the augmentations of this stage. Taken
literally they erase the label: a left–right and an up–down flip together are a half turn, so with both
drawn freely 0° and 180° show the same set of images, 90° and 270° too, and no network can get more than
half of them right; a random rotation beside the pretext's own leaves nothing to learn at all. Our
reading: the pretext's rotation is the random rotation, and one mirror, left–right, is drawn with
probability 1/2 and applied before it. That keeps the direction "up", which is what the label is about.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hsilib.data.patches import PatchSampler
from hsilib.errors import InputError
from hsilib.model.dual_branch import SpatialEncoder
from hsilib.model.network import Network
from hsilib.pretraining.pretext import Pretext
from hsilib.training.augment import AugmentOptions, augment, draw_augmentation, orient

N_ROTATIONS = 4
LABEL_SMOOTHING = 0.1
MIRRORED = 0.5  # share of the samples
# What is left of the description's augmentations once the rotation is the label.
AUGMENTATIONS = AugmentOptions(
    probability=1.0, orientation=False, noise=0.02, dropped_bands=0.0, brightness=(0.8, 1.2), smoothing_probability=0.0
)


def rotation_orientations(rotations: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """The orientations of `orient` that mirror left–right where asked, then turn by 90° · rotation.

    `orient` turns first and mirrors after. A mirror turns the sense of rotation round, so
    "mirror, then k quarter turns" is "−k quarter turns, then mirror".

    Parameters
    ----------
    rotations : (N,) 0…3. mirrored : (N,) true or false.
    """
    return torch.where(mirrored, N_ROTATIONS + (-rotations) % N_ROTATIONS, rotations)


class RotationPretext(Pretext):
    """The spatial encoder with a head for four rotations: average pooling, flatten, linear.

    The encoder's output for a patch is one vector of means over the patch, so the pooling of the head
    has nothing left to do; it stays, as described.

    Parameters
    ----------
    model : prepares raw values; its spatial encoder is shared, not copied.
    sampler : gives patches of the scene, on the model's device.

    Raises
    ------
    InputError : a network without a spatial encoder.
    """

    stage: ClassVar[str] = "rm-ssl"
    encoder: SpatialEncoder

    def __init__(self, model: Network, sampler: PatchSampler) -> None:
        super().__init__(model, sampler)
        self.prepare = model.prepare
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.encoder.width, N_ROTATIONS))
        self.head.to(sampler.device)

    @staticmethod
    def encoder_of(model: Network) -> SpatialEncoder:
        """The part of ``model`` that this stage trains."""
        encoder = getattr(model, "spatial", None)
        if not isinstance(encoder, SpatialEncoder):
            raise InputError(f"network {model.name!r} has no spatial encoder to pre-train: set pretrain.rm_ssl=False.")
        return encoder

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, S, P, P) raw values → logits (N, 4) of 0°, 90°, 180° and 270°, counter-clockwise."""
        return self.head(self.encoder(self.prepare(patches)))

    def draw_batch(self, pixels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Patches (N, S, P, P) around ``pixels`` (N,), augmented and turned, and by how many quarters (N,)."""
        n = len(pixels)
        rotations = torch.randint(N_ROTATIONS, (n,), generator=generator)
        mirrored = torch.rand(n, generator=generator) < MIRRORED
        patches = orient(self.sampler(pixels), rotation_orientations(rotations, mirrored))
        drawn = draw_augmentation(n, patches.shape[1], patches.shape[2], AUGMENTATIONS, generator, patches.device)
        patches = augment(patches, drawn, self.sampler.band_low, self.sampler.band_range)
        return patches, rotations.to(patches.device)

    def batch_loss(self, patches: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, with label smoothing, of what `draw_batch` gave."""
        return cross_entropy(self(patches), rotations, label_smoothing=LABEL_SMOOTHING)

    @torch.inference_mode()
    def predict_rotations(self, pixels: torch.Tensor, batch_size: int = 256) -> torch.Tensor:
        """(N, 4, 4) probabilities: pixel, true rotation, predicted rotation. The patches are not augmented."""
        self.eval()
        probabilities = []
        for batch in pixels.split(batch_size):
            patches = self.sampler(batch)
            turned = [torch.rot90(patches, k, dims=(2, 3)) for k in range(N_ROTATIONS)]
            probabilities.append(torch.stack([self(p).softmax(dim=1) for p in turned], dim=1))
        return torch.cat(probabilities)

    def measure(self, pixels: torch.Tensor, generator: torch.Generator) -> dict[str, float]:
        """Share of right answers over all four rotations of each patch; chance is 0.25. Draws nothing."""
        del generator
        predicted = self.predict_rotations(pixels).argmax(dim=2)
        truth = torch.arange(N_ROTATIONS, device=predicted.device)
        return {"rotation_accuracy": float((predicted == truth).float().mean())}
