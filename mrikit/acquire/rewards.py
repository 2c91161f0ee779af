"""Scores of slices by mrikit's own measures, and what a step is worth."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from mrikit.metrics import kspace_nmse, mse, nmse, psnr, ssim

Scores = dict[str, npt.NDArray[np.float64]]
"""(n,) float64 of n slices, by name."""
_Measure = Callable[[torch.Tensor, torch.Tensor, float], float]

SCORES: Final[dict[str, _Measure]] = {
    "ssim": lambda image, reference, data_range: float(ssim(image, reference, data_range)),
    "psnr": psnr,
    "nmse": lambda image, reference, _data_range: nmse(image, reference),
    "mse": lambda image, reference, _data_range: mse(image, reference),
}
"""Name to measure of (1, y, x) image and reference, and their data range."""
KSPACE_SCORES: Final[dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {"kspace_nmse": kspace_nmse}
"""Name to measure of (slice, coil, readout, phase) filled and full k-space, to (slice,)."""
SCORE_NAMES: Final = (*SCORES, *KSPACE_SCORES)
"""Whatever a reward may be made of."""
ERRORS: Final = frozenset({"nmse", "mse", "kspace_nmse"})
"""Scores of which less is better."""


def measure_scores(
    image: torch.Tensor, reference: torch.Tensor, data_range: Sequence[float], names: Sequence[str]
) -> Scores:
    """How near each image is to its reference.

    Each is measured by itself, so that its score does not depend on what else is in the batch, to the last bit.

    Args:
        image: (n, y, x) float32 in the scored window.
        reference: (n, y, x) float32.
        data_range: Of each slice, in the scale of the data.
        names: Of `SCORES`.
    """
    pairs = list(zip(image.split(1), reference.split(1), data_range, strict=True))
    return {name: np.array([SCORES[name](*pair) for pair in pairs], np.float64) for name in names}


def measure_kspace(kspace: torch.Tensor, reference: torch.Tensor, names: Sequence[str]) -> Scores:
    """How near k-space is to the full one.

    Args:
        kspace: (n, coil, readout, phase) complex64 as it was filled.
        reference: The same of full k-space.
        names: Of `KSPACE_SCORES`.

    Raises:
        DataError: They differ in shape.
    """
    pairs = list(zip(kspace.split(1), reference.split(1), strict=True))
    return {name: np.array([float(KSPACE_SCORES[name](*pair)) for pair in pairs], np.float64) for name in names}


def gain(name: str, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """By how much the score is better after than before; what did not change gains 0, also where it is infinite."""
    with np.errstate(invalid="ignore"):
        change = np.where(before == after, 0.0, after - before)
    return value(name, change)


def value(name: str, score: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The score itself as a reward: errors count negative."""
    return np.asarray(-score if name in ERRORS else score, np.float64)
