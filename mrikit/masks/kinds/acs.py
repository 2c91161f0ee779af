"""Settings of the calibration signal (ACS) that regular patterns have in the middle, or do not have.

It lies on k-space, never in a tile: 11 lines are more than a tile of 4 x 4, and that is right.
"""

from dataclasses import dataclass

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_size, require_center
from mrikit.masks.kinds.kind import Budget, Shape

PATTERN_ACS = ("none", "column", "square")
LINE_ACS = ("none", "column")


@dataclass(frozen=True, kw_only=True, slots=True)
class LineAcs:
    """Of lines."""

    acs: str = "none"
    """`none` or `column`."""
    num_center_lines: int = 0
    """Columns of the ACS; as many as in the study, which follow from the acceleration, if 0."""
    is_whole: bool = False
    """Whether the pattern stays whole and the ACS is added to it, as in the study; else all samples together are
    exactly as many as the acceleration asks for."""

    def __post_init__(self) -> None:
        if self.acs == "square":
            raise ConfigError("a square ACS is no set of lines; kind uniform_2d with steps=1,4 has one at 4x")
        require_acs(self.acs, LINE_ACS)
        if self.num_center_lines < 0 or (self.num_center_lines and self.acs == "none"):
            raise ConfigError(
                f"num_center_lines={self.num_center_lines} is of no ACS; 0, or acs=column with 1 or more, would do"
            )

    def size(self, shape: Shape, budget: Budget) -> int:
        """Columns of the ACS.

        Raises:
            ConfigError: There are fewer in k-space.
        """
        if self.acs == "none":
            return 0
        size = self.num_center_lines or study_lines(budget.acceleration)
        return center_size(shape, budget, (shape[0], size))[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class PatternAcs:
    """Of 2-D patterns."""

    acs: str = "none"
    """`none`, `column` for all rows of the middle columns, or `square`."""
    center: tuple[int, ...] = ()
    """Rows and columns of the ACS, of which `column` takes the columns; both as many as in the study, which follow
    from the acceleration, if empty."""
    is_whole: bool = False
    """Whether the pattern stays whole and the ACS is added to it, as in the study; else all samples together are
    exactly as many as the acceleration asks for."""

    def __post_init__(self) -> None:
        require_acs(self.acs, PATTERN_ACS)
        require_center(self.center)
        if self.center and self.acs == "none":
            found = ",".join(map(str, self.center))
            raise ConfigError(f"center={found} is of no ACS; acs=square or acs=column would do")

    def size(self, shape: Shape, budget: Budget) -> Shape:
        """Rows and columns of the ACS.

        Raises:
            ConfigError: There are fewer in k-space.
        """
        if self.acs == "none":
            return 0, 0
        rows, columns = self.center or (study_lines(budget.acceleration),) * 2
        return center_size(shape, budget, (shape[0] if self.acs == "column" else rows, columns))


def study_lines(acceleration: float) -> int:
    """Lines of the study's ACS: an odd number, about 40 over the acceleration."""
    return int(40 / acceleration) // 2 * 2 + 1


def require_acs(acs: str, known: tuple[str, ...]) -> None:
    """Check the setting `acs`.

    Raises:
        ConfigError: It is none of those.
    """
    if acs not in known:
        raise ConfigError(f"acs is {', '.join(known[:-1])} or {known[-1]}, found {acs!r}")
