"""How volumes are undersampled: a kind of mask with its settings, and the masks that it draws."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrikit.config import build_config
from mrikit.errors import ConfigError, DataError
from mrikit.masks.estimate import stored_mask
from mrikit.masks.file import MASK_SUFFIXES, is_mask_file, lines_of, read_mask_file
from mrikit.masks.kinds import MASK_KINDS, Budget, Shape
from mrikit.masks.kinds.center import center_block
from mrikit.masks.mask import Mask, measured

LEARNED_KIND = "learned"
"""The kind of masks that are not drawn: the weights of a run say which samples, or choose them while they measure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPlan:
    """How fully sampled volumes are undersampled."""

    kind: str = "equispaced_fraction"
    """A name of `mrikit.masks.MASK_KINDS`, a mask file (`.npy`, `.json` or `.cfl`), or `learned`: that of weights."""
    acceleration: float = 4.0
    """Nominal acceleration, at least 1. A file with an order of lines gives as many of them; one with a pattern keeps
    its own."""
    center_fraction: float = 0.08
    """Share of columns, and of rows of a 2-D pattern, that are fully sampled in the middle."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings of the kind that differ from its defaults."""

    def __post_init__(self) -> None:
        if not 1 <= self.acceleration < math.inf:
            raise ConfigError(f"an acceleration is a number from 1, found {self.acceleration:g}")
        if not 0 <= self.center_fraction <= 1:
            raise ConfigError(f"the centre fraction is a share in [0, 1], found {self.center_fraction:g}")
        if is_mask_file(self.kind) or self.is_learned:
            if self.settings:
                what = "a learned mask" if self.is_learned else "a mask file"
                raise ConfigError(f"{what} has no settings, found {', '.join(self.settings)} for {self.kind}")
            return
        if self.kind not in MASK_KINDS:
            known = f"{', '.join(MASK_KINDS)}, {LEARNED_KIND}, and files {', '.join(MASK_SUFFIXES)}"
            raise ConfigError(f"no mask is called {self.kind!r}; there are {known}")
        if MASK_KINDS[self.kind].has_whole_steps and self.acceleration != round(self.acceleration):
            raise ConfigError(
                f"the {self.kind} mask needs a whole acceleration, found {self.acceleration:g}; try equispaced_fraction"
            )
        typed = self.typed_settings
        # Typed, so that a plan is the same however its settings were written.
        object.__setattr__(self, "settings", {name: getattr(typed, name) for name in self.settings})

    @property
    def typed_settings(self) -> Any:  # noqa: ANN401 - a dataclass of the kind
        """All settings of the kind."""
        return build_config(MASK_KINDS[self.kind].settings, self.settings, f"the {self.kind} mask")

    @property
    def is_learned(self) -> bool:
        """Whether it is that of weights, and cannot be drawn."""
        return self.kind == LEARNED_KIND

    @property
    def is_2d(self) -> bool:
        """Whether it draws (readout, phase) patterns.

        Raises:
            DataError: It is a file that is no mask.
        """
        if self.is_learned:
            return False  # not known before the weights are
        return read_mask_file(Path(self.kind)).is_2d if is_mask_file(self.kind) else MASK_KINDS[self.kind].is_2d

    @property
    def facts(self) -> dict[str, Any]:
        """The plan as JSON."""
        facts = {"kind": self.kind, "acceleration": self.acceleration, "center_fraction": self.center_fraction}
        settings = {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings.items()}
        return facts | ({"settings": settings} if settings else {})


def setting_options(settings: Mapping[str, Any]) -> list[str]:
    """Settings of a kind as words of `mrikit reconstruct`: `--set mask.center=24,24`."""
    written = {
        name: ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        for name, value in settings.items()
    }
    return [word for name, value in written.items() for word in ("--set", f"mask.{name}={value}")]


def sample_mask(plan: MaskPlan, shape: Shape, rng: np.random.RandomState, first_column: int = 0) -> Mask:
    """Draw a mask.

    Args:
        plan: What to draw.
        shape: (readout, phase) of k-space.
        rng: Source of every random choice; fastMRI's masks are defined by numpy's RandomState.
        first_column: The first phase column that was acquired, which some kinds go by.

    Returns:
        A Mask of (phase,) or (readout, phase) samples with its true acceleration.

    Raises:
        ConfigError: A number out of range for this shape.
        DataError: A mask file for another shape, or that is no mask.
    """
    if is_mask_file(plan.kind):
        return _mask_of_file(plan, shape)
    if plan.is_learned:
        raise ConfigError("a learned mask comes with weights; give those of a run that learned one, or another mask")
    width, kind = shape[1], MASK_KINDS[plan.kind]
    if plan.acceleration > width:
        raise ConfigError(
            f"acceleration must be in [1, {width}] for {width} phase columns, found {plan.acceleration:g}"
        )
    budget = Budget(acceleration=plan.acceleration, center_fraction=plan.center_fraction, first_column=first_column)
    drawn = kind.draw(shape, budget, plan.typed_settings, rng)
    if not drawn.samples.any():
        raise ConfigError(
            f"the {plan.kind} mask of width {width} at acceleration {plan.acceleration:g} with centre fraction "
            f"{plan.center_fraction:g} drew no line; raise the centre fraction"
        )
    return measured(
        drawn.samples,
        kind=plan.kind,
        acceleration=plan.acceleration,
        num_center_lines=min(drawn.center),
        offset=drawn.offset,
        center=(drawn.center[0], drawn.center[1]) if kind.is_2d else None,
    )


def _mask_of_file(plan: MaskPlan, shape: Shape) -> Mask:
    """The mask of a file, its centre and acceleration estimated from it."""
    found = read_mask_file(Path(plan.kind))
    if found.order is not None:
        try:
            samples = lines_of(found.order, shape[1], plan.acceleration)
        except DataError as error:
            raise DataError(f"{plan.kind}: {error}") from error
        own = stored_mask(samples)
        is_cut = samples.sum() < len(found.order)
        return replace(own, kind=plan.kind, acceleration=plan.acceleration if is_cut else own.acceleration)
    assert found.samples is not None
    if found.samples.shape != shape[-found.samples.ndim :]:
        sizes = " x ".join(map(str, found.samples.shape))
        raise DataError(f"{plan.kind}: a mask of {sizes} for k-space of {shape[0]} x {shape[1]}; make one for it")
    return replace(stored_mask(found.samples), kind=plan.kind)


def center_lines(width: int, center_fraction: float) -> npt.NDArray[np.bool_]:
    """(phase,) bool of the centre alone, the lines that are measured before a network chooses others."""
    return center_block(width, round(width * center_fraction))


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
