"""Scorers by name: what of a pair is compared, and how volumes are averaged."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mrikit.errors import DataError
from mrikit.evaluate.pairs import Pair
from mrikit.metrics import BODY_THRESHOLDS, VolumeMetrics, body_mask, measure_masked, measure_volume
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


def measure(compared: Compared) -> VolumeMetrics:
    """SSIM, PSNR, NMSE and MSE of what a scorer compares."""
    if compared.mask is None:
        return measure_volume(compared.image, compared.reference)
    return measure_masked(compared.image, compared.reference, compared.mask, compared.data_range)


def _prepare_fastmri(pair: Pair) -> Compared:
    """Everything in the window, with the maximum of the reference as data range."""
    image, reference = _tensors(pair)
    return Compared(image=image, reference=reference, mask=None, data_range=float(reference.amax()))


def _prepare_snu(pair: Pair) -> Compared:
    """What lies in the body mask of the reference, with the maximum that its file names as data range."""
    info, anatomy = pair.info, anatomy_of(pair.info)
    if anatomy not in BODY_THRESHOLDS:
        raise DataError(
            f"the snu scorer has body masks for {' and '.join(BODY_THRESHOLDS)}, the anatomy is "
            f"{anatomy or 'unknown'}; use --scorer fastmri"
        )
    if not info.reference_max:
        raise DataError(
            "the snu scorer needs the attribute 'max' of the reference's file, which is missing or 0; "
            "use --scorer fastmri"
        )
    image, reference = _tensors(pair)
    threshold = BODY_THRESHOLDS[anatomy]
    mask = body_mask(reference, threshold)
    if not mask.view(torch.uint8).amax():
        raise DataError(
            f"nothing in the reference, whose maximum is {float(reference.amax()):.3g}, is body by the snu scorer's "
            f"threshold of {threshold:g} for {anatomy}: the data have another scale; use --scorer fastmri"
        )
    return Compared(image=image, reference=reference, mask=mask, data_range=info.reference_max)


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
    "snu": Scorer(
        meaning="SSIM, PSNR and NMSE inside the body mask of the SNU challenge; means over slices",
        prepare=_prepare_snu,
        is_square=False,
        is_leaderboard=True,
    ),
}
"""Definitions of a score by the name that `mrikit evaluate --scorer` takes."""
