"""Scorers by name: what of a pair is compared, and how volumes are averaged."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mrikit.errors import ConfigError, DataError
from mrikit.evaluate.pairs import Pair
from mrikit.metrics import (
    BODY_THRESHOLDS,
    VolumeMetrics,
    body_mask,
    directional_excess,
    measure_masked,
    measure_volume,
)
from mrikit.volumes.anatomy import anatomy_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What a scorer compares of one volume."""

    image: torch.Tensor
    """(slice, y, x) float32 the reconstruction."""
    reference: torch.Tensor
    """(slice, y, x) float32 the truth."""
    mask: torch.Tensor | None
    """(slice, y, x) bool, what counts of both; None for everything."""
    data_range: float
    """Of SSIM and PSNR."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorer:
    """One definition of a score."""

    meaning: str
    """What it compares, for people."""
    prepare: Callable[[Pair], Compared]
    """What of a pair with a reference is compared; raises DataError where the scorer does not apply."""
    is_square: bool
    """Whether only the square in the middle is compared, as `read_pair` has it."""
    is_leaderboard: bool
    """Whether every slice counts the same in a mean, instead of every volume, and folders `acc4` and `acc8` name the
    acceleration that a volume counts to."""
    is_inside: bool = False
    """Whether pixels outside the mask do not count at all, a box is scored as an image of its own, and the time of a
    slice is part of the score."""
    has_banding: bool = False
    """Whether the directional excess of each slice is measured too, see `mrikit.metrics.banding`."""


def full_name(scorer: str) -> str:
    """The name of a scorer that may be given by an older one.

    Raises:
        ConfigError: There is no such scorer.
    """
    name = OLDER_NAMES.get(scorer, scorer)
    if name not in SCORERS:
        raise ConfigError(f"unknown scorer {scorer!r}; known: {', '.join(SCORERS)}")
    return name


def measure(compared: Compared, scorer: str) -> VolumeMetrics:
    """SSIM, PSNR, NMSE and MSE of what a scorer of that name compares."""
    if compared.mask is None:
        return measure_volume(compared.image, compared.reference)
    is_inside = SCORERS[scorer].is_inside
    return measure_masked(compared.image, compared.reference, compared.mask, compared.data_range, is_inside=is_inside)


def measure_banding(compared: Compared, scorer: str, *, is_transposed: bool = False) -> tuple[float | None, ...]:
    """The directional excess of each slice, dB, by a scorer that has one; empty by others.

    Args:
        compared: What the scorer compares.
        scorer: Its name.
        is_transposed: Whether y is the undersampled axis.

    Raises:
        DataError: The images are too small, or no slice has a window that counts.
    """
    if not SCORERS[scorer].has_banding:
        return ()
    found = directional_excess(compared.image, compared.reference, phase_dim=-2 if is_transposed else -1)
    if all(excess is None for excess in found):
        raise DataError("no slice has four windows of low signal without edges, in which banding is looked for")
    return found


def _prepare_fastmri(pair: Pair) -> Compared:
    """Everything in the window, with the maximum of the reference as data range."""
    image, reference = _tensors(pair)
    return Compared(image=image, reference=reference, mask=None, data_range=float(reference.amax()))


def _prepare_banding(pair: Pair) -> Compared:
    """The same, of scans that were undersampled along one axis."""
    if pair.reconstruction.mask.samples.ndim > 1:
        raise DataError(
            "the banding scorer tells the phase axis from the readout axis, and the mask "
            f"{pair.reconstruction.mask.kind!r} undersamples both; use --scorer fastmri"
        )
    return _prepare_fastmri(pair)


def _prepare_snu_2025(pair: Pair) -> Compared:
    """What lies in the body mask of the reference, with the maximum that its file names as data range."""
    anatomy = anatomy_of(pair.info)
    if anatomy not in BODY_THRESHOLDS:
        raise DataError(
            f"the snu-2025 scorer has body masks for {' and '.join(BODY_THRESHOLDS)}, the anatomy is "
            f"{anatomy or 'unknown'}; use --scorer fastmri"
        )
    return _inside_body(pair, anatomy, "snu-2025")


def _prepare_snu_2026(pair: Pair) -> Compared:
    """The same of knees, which alone the challenge of 2026 has."""
    anatomy = anatomy_of(pair.info)
    if anatomy != "knee":
        raise DataError(
            f"the snu-2026 scorer is for knees, the anatomy is {anatomy or 'unknown'}; use --scorer "
            f"{'snu-2025 or fastmri' if anatomy else 'fastmri'}"
        )
    return _inside_body(pair, anatomy, "snu-2026")


def _inside_body(pair: Pair, anatomy: str, scorer: str) -> Compared:
    largest = pair.info.reference_max
    if largest is None or not 0 < largest < math.inf:
        raise DataError(
            f"the {scorer} scorer needs the attribute 'max' of the reference's file, a positive number; found "
            f"{'none' if largest is None else f'{largest:g}'}; use --scorer fastmri"
        )
    image, reference = _tensors(pair)
    threshold = BODY_THRESHOLDS[anatomy]
    mask = body_mask(reference, threshold)
    if not mask.view(torch.uint8).amax():
        raise DataError(
            f"nothing in the reference, whose maximum is {float(reference.amax()):.3g}, is body by the {scorer} "
            f"scorer's threshold of {threshold:g} for {anatomy}: the data have another scale; use --scorer fastmri"
        )
    return Compared(image=image, reference=reference, mask=mask, data_range=largest)


def _tensors(pair: Pair) -> tuple[torch.Tensor, torch.Tensor]:
    assert pair.reference is not None
    return torch.from_numpy(pair.image), torch.from_numpy(pair.reference)


SCORERS = {
    "fastmri": Scorer(
        meaning="SSIM, PSNR and NMSE as fastmri.evaluate; means over volumes",
        prepare=_prepare_fastmri,
        is_square=True,
        is_leaderboard=False,
    ),
    "snu-2025": Scorer(
        meaning="SSIM, PSNR and NMSE inside the body mask of the SNU challenge of 2025; means over slices",
        prepare=_prepare_snu_2025,
        is_square=False,
        is_leaderboard=True,
    ),
    "snu-2026": Scorer(
        meaning="knees by the SNU challenge of 2026: SSIM over the pixels of the body and in boxes; means over slices",
        prepare=_prepare_snu_2026,
        is_square=False,
        is_leaderboard=True,
        is_inside=True,
    ),
    "banding": Scorer(
        meaning="as fastmri, and the directional excess where signal is low, above 0 dB bands, below 0 streaks",
        prepare=_prepare_banding,
        is_square=True,
        is_leaderboard=False,
        has_banding=True,
    ),
}
"""Definitions of a score by the name that `mrikit evaluate --scorer` takes."""
OLDER_NAMES = {"snu": "snu-2025"}
"""What scorers were called before a challenge had years."""
