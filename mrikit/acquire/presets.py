"""The published scenarios, and what their reconstructor was given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import torch

from mrikit.errors import ConfigError
from mrikit.physics.fft import ifft2c

NORMALIZER: Final = 7.072103529760345e-07
"""The published images of fastMRI's single-coil knees are divided by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A scenario by name."""

    initial: int
    """Given lines in the middle."""
    budget: int
    """Lines to choose."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `AcquireConfig`."""


_MICCAI: Final = MappingProxyType(
    {
        "width": 368,
        "data_range": "slice",
        "acquired": (18, 350),
        "marks_unacquired": True,
        "more_scores": ("psnr", "nmse", "mse"),
    }
)
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "miccai_normal": Preset(initial=30, budget=70, settings=_MICCAI),
        "miccai_extreme": Preset(initial=2, budget=98, settings=_MICCAI),
    }
)
"""Name to scenario, for `gymnasium.make(..., preset=name)`.

Source:
    Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020, arXiv:2007.10469: single-coil
    knees of 368 columns. There columns are numbered with the centre of k-space first; here it is in the middle, and
    `published_column` turns one into the other. There columns 166 to 201 count as measured in every file, here 18 at
    the left and at the right, which are the same.
"""


def preset_named(name: str) -> Preset:
    """A scenario.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def published_images(kspace: torch.Tensor) -> torch.Tensor:
    """What the published environment makes of k-space for its reconstructor and as the target.

    Args:
        kspace: (..., readout, phase) complex64 in the scale of the file; full, or +0.0 where it was not measured.

    Returns:
        (..., y, x) complex64, the inverse transform divided by the number of pixels and by `NORMALIZER`.
    """
    pixels = kspace.shape[-2] * kspace.shape[-1]
    images: torch.Tensor = ifft2c(kspace) / (pixels**0.5 * NORMALIZER)
    return images


def published_column(column: int, width: int) -> int:
    """The number that the published environment gives a column; of an even width it is its own inverse."""
    return (column - width // 2) % width
