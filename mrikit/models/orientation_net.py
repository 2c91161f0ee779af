"""OrientationNet: tells by the banding of an image whether its scan was transposed."""

from dataclasses import dataclass

import torch
from torch import nn

from mrikit.errors import ConfigError
from mrikit.models.orientation_discriminators import DISCRIMINATORS, Discriminators, as_inputs, show_dark


@dataclass(frozen=True, kw_only=True, slots=True)
class OrientationNetConfig:
    """Settings of the classifier."""

    kind: str = "shallow"
    """A name of `mrikit.models.orientation_discriminators.DISCRIMINATORS`."""
    count: int = 1
    """How many of them vote."""
    sees_dark: bool = False
    """Whether they are shown dark places in full contrast, see `show_dark`; they learn in far fewer steps."""

    def __post_init__(self) -> None:
        if self.kind not in DISCRIMINATORS:
            raise ConfigError(f"orientation_net needs a kind of {', '.join(DISCRIMINATORS)}, found {self.kind!r}")
        if self.count < 1:
            raise ConfigError(f"orientation_net needs a count of at least 1, found {self.count}")


class OrientationNet(nn.Module):
    """One of the published discriminators, or the mean of several, as a classifier of its own.

    Unlike an adversary it is trained against nobody, so that it can judge networks that were trained with one.

    Args:
        config: Which.
    """

    def __init__(self, config: OrientationNetConfig) -> None:
        super().__init__()
        self.config = config
        self.discriminators = Discriminators(config.kind, config.count)

    @property
    def smallest(self) -> int:
        """Rows and columns that an image needs."""
        return self.discriminators.smallest

    def forward(self, image: torch.Tensor, is_transposed: torch.Tensor) -> torch.Tensor:
        """Images, as reconstructed, to (batch,) float32 logits, above 0 for transposed.

        Args:
            image: (batch, y, x) float32 magnitude, of any scale.
            is_transposed: (batch,) bool, whether the image of each has to be turned to where its anatomy belongs.

        Raises:
            DataError: Images that are too small, or of both orientations and not square.
        """
        shown = show_dark(image) if self.config.sees_dark else image
        logits: torch.Tensor = self.discriminators(as_inputs(shown, is_transposed))
        return logits.mean(1)
