"""What the images are made by that a classifier of orientation learns from."""

from dataclasses import dataclass

from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class OrientationTraining:
    """Networks that make images and learn nothing."""

    reconstructors: tuple[str, ...] = ()
    """Weights or run folders of networks, with commas between them, and `zero_filled` for none; each micro-batch draws
    one, so that the classifier is of no network alone."""
    num_adjacent: int = 1
    """Slices that they see together, the one that they reconstruct in their middle."""

    def __post_init__(self) -> None:
        if self.num_adjacent < 1 or self.num_adjacent % 2 == 0:
            raise ConfigError(f"orientation.num_adjacent is odd and at least 1, found {self.num_adjacent}")
        # Each once: which of them is drawn goes by their number.
        object.__setattr__(self, "reconstructors", tuple(dict.fromkeys(self.reconstructors)))
