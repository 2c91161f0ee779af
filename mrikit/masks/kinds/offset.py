"""Settings of fastMRI's line masks: how large their centre is, and where regular lines begin."""

from dataclasses import dataclass

import numpy as np

from mrikit.errors import ConfigError
from mrikit.masks.kinds.kind import Budget

RANDOM, ACQUIRED = "random", "acquired"
MAGIC_RULES = ("fastmri", "even", "banding", "banding_v2")


@dataclass(frozen=True, kw_only=True, slots=True)
class CenterSettings:
    """Of lines with a centre."""

    num_center_lines: int = 0
    """Columns of the centre; the centre fraction says how many if 0."""

    def __post_init__(self) -> None:
        if self.num_center_lines < 0:
            raise ConfigError(f"num_center_lines is 1 or more, or 0 for the fraction; found {self.num_center_lines}")

    def num_center(self, width: int, budget: Budget) -> int:
        """Columns of the centre.

        Raises:
            ConfigError: There are fewer in k-space.
        """
        if self.num_center_lines > width:
            raise ConfigError(f"a centre of {self.num_center_lines} lines does not fit into {width} phase columns")
        return self.num_center_lines or budget.num_center(width)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegularSettings(CenterSettings):
    """Of regular lines."""

    offset: str = RANDOM
    """Which column they go by: a `random` one, the first `acquired` one, so that slices of one volume are alike and
    zeros at the rim of k-space do not move lines, or the one of a number, such as `3`."""

    def __post_init__(self) -> None:
        CenterSettings.__post_init__(self)
        if self.offset not in (RANDOM, ACQUIRED) and not self.offset.isdecimal():
            raise ConfigError(f"offset is {RANDOM}, {ACQUIRED} or a column, such as 3; found {self.offset!r}")

    def column(self, num_random: int, budget: Budget, rng: np.random.RandomState) -> int:
        """The column.

        Args:
            num_random: A random one is below this.
            budget: Says which was acquired first.
            rng: Asked for a random one only.
        """
        if self.offset == RANDOM:
            return rng.randint(0, high=num_random)
        return budget.first_column if self.offset == ACQUIRED else int(self.offset)


@dataclass(frozen=True, kw_only=True, slots=True)
class MagicSettings(RegularSettings):
    """Of lines whose two halves complete each other."""

    rule: str = "fastmri"
    """How the halves are offset, see `mrikit.masks.kinds.halves.magic_starts`: `fastmri`; `even` is evenly interleaved
    at any acceleration; `banding` and `banding_v2` are those of the banding system, and equal `even` at 4x."""

    def __post_init__(self) -> None:
        RegularSettings.__post_init__(self)
        if self.rule not in MAGIC_RULES:
            raise ConfigError(f"rule is one of {', '.join(MAGIC_RULES)}, found {self.rule!r}")
