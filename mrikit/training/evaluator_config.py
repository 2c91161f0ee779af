"""How the evaluator of CVPR'19 is trained beside its reconstructor."""

from dataclasses import dataclass

from mrikit.errors import ConfigError
from mrikit.models.cvpr19_evaluator import EvaluatorConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorTraining:
    """An evaluator, and what it and the reconstructor are to each other."""

    width: int = 0
    """Lines of k-space; those of the volumes if 0."""
    num_channels: int = 128
    """Channels of its first convolution; doubled at each but the last."""
    num_layers: int = 4
    """Convolutions that halve the size, at least 2."""
    weight: float = 0.1
    """How much it counts in the loss of the reconstructor that the evaluator takes its lines for measured ones
    (published: lambda_gan)."""
    steepness: float = 3000.0
    """How fast the score of a line is to fall with its mean square error, in units of the squared maximum of the volume
    (published: gamma, 3000 for raw data, 100 for DICOM images)."""
    lr_scale: float = 1.0
    """Its learning rate over that of the run."""

    def __post_init__(self) -> None:
        if self.width < 0:
            raise ConfigError(f"evaluator.width is 0 or more, found {self.width}")
        for name in ("weight", "steepness", "lr_scale"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"evaluator.{name} is 0 or more, found {getattr(self, name):g}")
        self.network(num_embedded=0)

    def network(self, num_embedded: int) -> EvaluatorConfig:
        """Its network; of one line where their number is not known yet.

        Args:
            num_embedded: Numbers that the reconstructor makes of the mask.

        Raises:
            ConfigError: A number out of range.
        """
        return EvaluatorConfig(
            width=self.width or 1,
            num_channels=self.num_channels,
            num_layers=self.num_layers,
            num_embedded=num_embedded,
            adds_mask=True,
        )
