"""What a run is after: the loss of an example, and the score of the volumes that are held out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from mrikit.models import CLASSIFIERS
from mrikit.training.config import RunConfig
from mrikit.training.losses import LOSSES, Loss
from mrikit.training.objectives.anatomy import anatomy_loss, validate_anatomy
from mrikit.training.objectives.image import validate


class Objective(NamedTuple):
    """Loss and validation that belong together."""

    loss: Loss
    """Output of the network and its Example to (batch,)."""
    validate: Callable[..., Any]
    """As `mrikit.training.objectives.image.validate`; gives a record with a `score`, or None if it was stopped."""


def objective_of(config: RunConfig) -> Objective:
    """Images are scored by SSIM, classes by accuracy."""
    if config.model in CLASSIFIERS:
        return Objective(anatomy_loss, validate_anatomy)
    return Objective(LOSSES[config.training.loss], validate)
