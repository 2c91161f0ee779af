"""MRAugment: random geometric transforms of the complex coil images, before they are undersampled."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from mrikit.data.affine import INTERPOLATIONS
from mrikit.data.geometry import UNCHANGED, Geometry, transform
from mrikit.errors import ConfigError
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.randomness import generator

AUGMENT_SCHEDULES = ("constant", "ramp", "exp")
_WEIGHTS = ("fliph", "flipv", "rot90", "translation", "rotation", "shearing", "scaling")


class SampleId(NamedTuple):
    """What random numbers of a sample are keyed by, together with seed, epoch and purpose."""

    volume_id: str
    slice_index: int


class Augmented(NamedTuple):
    """Full k-space after augmentation."""

    kspace: torch.Tensor
    """(batch, slice, coil, readout, phase) complex64; what was not changed has the same bits as before."""
    is_changed: tuple[bool, ...]
    """Which batch elements were changed: their reference has to be made anew."""
    uses_slice_max: bool = False
    """Whether the data range of changed elements is the maximum of their new reference, not that of the volume."""


Augment: TypeAlias = Callable[[torch.Tensor, Sequence[SampleId]], Augmented]
"""Full k-space (batch, slice, coil, readout, phase) complex64 and whose it is, to new k-space of the same shape.

Columns that the scanner filled with zeros are masked afterwards where they lay before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Which transforms, how often and how large. Each is applied with probability `weight` x `probability`.

    Source:
        Fabian et al., Data augmentation for deep learning based accelerated MRI reconstruction with limited data, ICML
        2021. It departs from the authors' code in that the reference is made anew only where a transform was applied,
        borders are reflected as far as needed, images keep their shape, and upsampling is by zeros around k-space.
    """

    schedule: str = "constant"
    """How the probability grows to `strength`: `constant`, `ramp` or `exp`."""
    strength: float = 0.0
    """Probability at the end of the schedule, in [0, 1]; 0 for no augmentation."""
    delay_epochs: int = 0
    """Epochs without augmentation, counted from the first of all stages."""
    num_epochs: int = 0
    """Epoch, counted alike, at which `ramp` and `exp` reach the strength; beyond delay_epochs."""
    decay: float = 5.0
    """How fast `exp` rises, above 0: after a share s of the epochs exp(-s decay) is missing."""
    fliph_weight: float = 1.0
    """Flip left and right; this weight and the next are in [0, 1]."""
    flipv_weight: float = 1.0
    """Flip top and bottom."""
    rot90_weight: float = 1.0
    """Turn by 90, 180 or 270 degrees."""
    translation_weight: float = 1.0
    """Shift by whole pixels."""
    rotation_weight: float = 1.0
    """Rotate by any angle."""
    shearing_weight: float = 1.0
    """Shear along both axes."""
    scaling_weight: float = 1.0
    """Magnify or shrink."""
    max_translation: tuple[float, float] = (0.125, 0.125)
    """Largest shift down and to the right, as a share of the rows and of the columns, in [0, 0.5]."""
    max_rotation: float = 180.0
    """Largest angle to either side, degrees in [0, 180]."""
    max_shearing: tuple[float, float] = (15.0, 15.0)
    """Largest shear along x and along y, degrees in [0, 45]."""
    max_scaling: float = 0.25
    """Largest change of size, as a share in [0, 0.5]."""
    interpolation: str = "linear"
    """How rotation, shear and scale find values between pixels: `linear` or `cubic`."""
    upsample: bool = False
    """Whether they do so in images of twice the resolution: more exact, four times the memory of the coil images."""
    transpose_probability: float = 0.0
    """Chance that readout and phase are swapped before a slice is undersampled, in [0, 1], whatever the schedule: see
    `mrikit.data.orientation`. Lines then go along the former readout."""
    uses_slice_max: bool = False
    """Whether augmented examples take the maximum of their slice for the data range, as the challenge entry did, where
    all others take that of the volume: the loss then weighs dark slices more as soon as they are augmented."""

    def __post_init__(self) -> None:
        for name, known in (("schedule", AUGMENT_SCHEDULES), ("interpolation", tuple(INTERPOLATIONS))):
            if getattr(self, name) not in known:
                raise ConfigError(f"augment.{name} is one of {', '.join(known)}, found {getattr(self, name)!r}")
        for name in ("strength", "transpose_probability", *(f"{weight}_weight" for weight in _WEIGHTS)):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augment.{name} is a probability in [0, 1], found {getattr(self, name):g}")
        if not 0 < self.decay < math.inf:
            raise ConfigError(f"augment.decay is above 0, found {self.decay:g}; try 5")
        self._require_epochs()
        self._require_room("max_translation", self.max_translation, 0.5, "0.125,0.125")
        self._require_room("max_shearing", self.max_shearing, 45, "15,15")
        self._require_room("max_scaling", (self.max_scaling,), 0.5, "0.25")
        if not 0 <= self.max_rotation <= 180:
            raise ConfigError(f"augment.max_rotation is in [0, 180], found {self.max_rotation:g}; try 180")

    def _require_epochs(self) -> None:
        if self.delay_epochs < 0:
            raise ConfigError(f"augment.delay_epochs is 0 or more, found {self.delay_epochs}")
        if self.strength and self.schedule != "constant" and self.num_epochs <= self.delay_epochs:
            raise ConfigError(
                f"augment.num_epochs is the epoch at which the {self.schedule} ends, beyond the delay of "
                f"{self.delay_epochs}; found {self.num_epochs}; give the run's last epoch, or augment.schedule=constant"
            )

    def _require_room(self, name: str, found: tuple[float, ...], limit: float, example: str) -> None:
        num_wanted = example.count(",") + 1
        values = ",".join(f"{value:g}" for value in found) or "none"
        if len(found) != num_wanted:
            raise ConfigError(f"augment.{name} is two numbers, one for each axis, found {values}; try {example}")
        if not all(0 <= value <= limit for value in found):
            raise ConfigError(
                f"augment.{name} is in [0, {limit:g}], beyond which the content leaves the image; found {values}; try "
                f"{example}"
            )


def probability(config: AugmentConfig, epoch: int) -> float:
    """Chance of a transform of weight 1.

    Args:
        config: Its schedule.
        epoch: From 0, counted over all stages.
    """
    elapsed = epoch + 1 - config.delay_epochs
    if elapsed <= 0 or config.strength == 0:
        return 0.0
    if config.schedule == "constant":
        return config.strength
    share = min(elapsed / (config.num_epochs - config.delay_epochs), 1.0)
    if config.schedule == "ramp":
        return config.strength * share
    return config.strength * math.expm1(-share * config.decay) / math.expm1(-config.decay)


def make_augment(config: AugmentConfig, *, seed: int, epoch: int) -> Augment | None:
    """The augmentation of one epoch; None where nothing can be drawn.

    What is drawn for a sample depends on (seed, epoch, volume, slice) alone, not on its batch. All slices and coils of
    a sample are transformed alike.

    Args:
        config: Which transforms, how often and how large.
        seed: Of the run.
        epoch: From 0, counted over all stages.
    """
    chance = probability(config, epoch)
    if chance == 0:
        return None

    def augment(kspace: torch.Tensor, samples: Sequence[SampleId]) -> Augmented:
        drawn = [
            draw_geometry(
                config,
                chance,
                generator(seed, epoch, sample.volume_id, sample.slice_index, "augment"),
                (kspace.shape[-2], kspace.shape[-1]),
            )
            for sample in samples
        ]
        rows = [row for row, geometry in enumerate(drawn) if geometry != UNCHANGED]
        is_changed = tuple(geometry != UNCHANGED for geometry in drawn)
        if rows:
            geometries = [drawn[row] for row in rows]
            place = None if all(is_changed) else torch.tensor(rows, device=kspace.device)
            image = ifft2c(kspace if place is None else kspace.index_select(0, place))
            image = transform(image, geometries, interpolation=config.interpolation, upsample=config.upsample)
            kspace = fft2c(image) if place is None else kspace.index_copy(0, place, fft2c(image))
        return Augmented(kspace, is_changed, config.uses_slice_max)

    return augment


def draw_geometry(config: AugmentConfig, chance: float, rng: np.random.Generator, size: tuple[int, int]) -> Geometry:
    """The transforms of one sample.

    Everything is drawn, applied or not: another weight changes no other transform.

    Args:
        config: Weights and maxima.
        chance: Of a transform of weight 1.
        rng: Of this sample.
        size: (y, x) of the image.
    """
    dice = dict(zip(_WEIGHTS, rng.random(len(_WEIGHTS)), strict=True))
    fires = {name: bool(value < chance * getattr(config, f"{name}_weight")) for name, value in dice.items()}
    quarter_turns = int(rng.integers(1, 4))
    down, right, angle, shear_x, shear_y, size_change = rng.uniform(-1, 1, 6).tolist()
    max_y, max_x = config.max_translation
    max_shear_x, max_shear_y = config.max_shearing
    return Geometry(
        is_flipped_h=fires["fliph"],
        is_flipped_v=fires["flipv"],
        num_quarter_turns=quarter_turns if fires["rot90"] else 0,
        shift=(int(down * max_y * size[0]), int(right * max_x * size[1])) if fires["translation"] else (0, 0),
        rotation_deg=angle * config.max_rotation if fires["rotation"] else 0.0,
        shearing_deg=(shear_x * max_shear_x, shear_y * max_shear_y) if fires["shearing"] else (0.0, 0.0),
        scale=1 + size_change * config.max_scaling if fires["scaling"] else 1.0,
    )
