"""One entry to every mask function, by name."""

from collections.abc import Callable

import numpy as np

from mrikit.errors import ConfigError
from mrikit.masks.kinds import fastmri, snu
from mrikit.masks.mask import Lines, Mask, measured

MASK_KINDS: dict[str, Callable[[int, float, float, np.random.RandomState], Lines]] = {
    "random": fastmri.random,
    "equispaced": fastmri.equispaced,
    "equispaced_fraction": fastmri.equispaced_fraction,
    "magic": fastmri.magic,
    "magic_fraction": fastmri.magic_fraction,
    "fixed": snu.fixed,
    "random_offset": snu.random_offset,
    "random_spaced": snu.random_spaced,
}
"""Name to function (width, acceleration, center_fraction, rng): fastMRI's five, then the SNU challenge's three."""

_WHOLE_STEPS = {"equispaced", "magic", "fixed", "random_offset", "random_spaced"}


def sample_mask(
    kind: str, *, width: int, acceleration: float, center_fraction: float, rng: np.random.RandomState
) -> Mask:
    """Draw a line mask.

    Args:
        kind: A name of `MASK_KINDS`.
        width: Number of phase columns.
        acceleration: Nominal acceleration, at least 1; a whole number for the regular kinds.
        center_fraction: Share of columns that are fully sampled in the middle, in [0, 1].
        rng: Source of every random choice; fastMRI's masks are defined by numpy's RandomState.

    Returns:
        A Mask of (phase,) lines with its true acceleration.

    Raises:
        ConfigError: An unknown kind or a number out of range.
    """
    if kind not in MASK_KINDS:
        raise ConfigError(f"no mask is called {kind!r}; there are {', '.join(MASK_KINDS)}")
    if not 1 <= acceleration <= width:
        raise ConfigError(f"acceleration must be in [1, {width}] for {width} phase columns, found {acceleration:g}")
    if not 0 <= center_fraction <= 1:
        raise ConfigError(f"the centre fraction is a share in [0, 1], found {center_fraction:g}")
    if kind in _WHOLE_STEPS and acceleration != round(acceleration):
        raise ConfigError(
            f"the {kind} mask needs a whole acceleration, found {acceleration:g}; try equispaced_fraction"
        )
    lines, num_center_lines, offset = MASK_KINDS[kind](width, acceleration, center_fraction, rng)
    if not lines.any():
        raise ConfigError(
            f"the {kind} mask of width {width} at acceleration {acceleration:g} with centre fraction "
            f"{center_fraction:g} drew no line; raise the centre fraction"
        )
    return measured(lines, kind=kind, acceleration=acceleration, num_center_lines=num_center_lines, offset=offset)


def challenge_center_fraction(acceleration: float) -> float:
    """The share of centre columns that the fastMRI challenge pairs with an acceleration: 8 % at 4x, 4 % at 8x.

    Any value serves for an acceleration below 1, which no mask accepts.
    """
    return 0.32 / max(acceleration, 1.0)


def volume_rng(volume_id: str) -> np.random.RandomState:
    """The generator of a volume's fixed mask, as fastMRI seeds it: by the characters of its file name.

    Args:
        volume_id: File name without `.h5`.
    """
    return np.random.RandomState([ord(character) for character in f"{volume_id}.h5"])
