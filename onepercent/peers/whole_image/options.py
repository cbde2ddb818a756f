"""What `fit_whole_image` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from hsilib.checks import check_numbers
from hsilib.errors import unknown_name
from hsilib.training.fit_options import FitOptions
from onepercent.peers.whole_image.pixel_sampling import SAMPLINGS


@dataclass(frozen=True)
class WholeImageFitOptions:
    """Settings of `fit_whole_image`.

    Attributes
    ----------
    epochs : steps of the optimiser. The image is the only sample, so that a pass over the data is one step.
    optimizer, schedule, learning_rate, weight_decay : as in `FitOptions`.
    sampling, per_class : which training pixels a step counts, see `onepercent.peers.whole_image.pixel_sampling`.
    class_weights : weigh classes by the effective number of their training pixels.
    choose : as in `FitOptions`.
    validate_every : steps between looks at the validation pixels, each of which is a pass over the image.
    """

    epochs: int = 1000
    optimizer: str = "sgd"
    schedule: str = "poly"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    sampling: str = "all"
    per_class: int = 10
    class_weights: bool = False
    validate_every: int = 10
    choose: str = "validation"

    def __post_init__(self) -> None:
        self.for_optimizer()  # complains about what it shares with FitOptions
        if self.sampling not in SAMPLINGS:
            raise unknown_name("fit.sampling", self.sampling, SAMPLINGS)
        check_numbers("fit.", least=1, whole=True, per_class=self.per_class, validate_every=self.validate_every)

    def for_optimizer(self) -> FitOptions:
        """The same for `create_optimizer` and `learning_rate_at`."""
        return FitOptions(
            epochs=self.epochs,
            optimizer=self.optimizer,
            schedule=self.schedule,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup_epochs=0,
            choose=self.choose,
        )
