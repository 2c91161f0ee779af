"""Whether an adaptive sampler adapts: the information between the images and the lines it chooses for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mrikit.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Adaptivity:
    """Entropies of the lines that a sampler chooses, bits, summed over lines as if they were drawn one by one."""

    marginal_bits: float
    """Of a line over all images."""
    conditional_bits: float
    """Of a line given the image, mean over images: what is left to chance."""
    information_bits: float
    """The first less the second: 0 of a sampler that does the same whatever it sees."""


def measure_adaptivity(probabilities: Array) -> Adaptivity:
    """How much the choice of lines depends on the image.

    Args:
        probabilities: (slice, phase) float or bool in [0, 1], how likely each line was to be chosen. Masks in their
            place tell the truth of a sampler without chance; of one that draws they count its chance as adaptation.

    Raises:
        DataError: No slices, or values that are no probabilities.

    Source:
        The mutual information that Bakker et al. report of their policies, MIDL 2022, arXiv:2203.16392.
    """
    chances = _checked(probabilities)
    marginal, conditional = _entropy(chances.mean(0)), _entropy(chances).mean(0)
    return Adaptivity(
        marginal_bits=float(marginal.sum()),
        conditional_bits=float(conditional.sum()),
        information_bits=float(_difference(marginal, conditional).sum()),
    )


def line_information(probabilities: Array) -> Array:
    """(phase,) float64 bits between the images and each line; arguments and errors as of `measure_adaptivity`."""
    chances = _checked(probabilities)
    return _difference(_entropy(chances.mean(0)), _entropy(chances).mean(0))


def _checked(probabilities: Array) -> Array:
    chances = np.asarray(probabilities, np.float64)
    if chances.ndim != 2 or not len(chances):
        raise DataError(f"adaptivity needs probabilities (slice, phase) of at least one slice, found {chances.shape}")
    # Sums in float32 pass 1 by a rounding error.
    if not ((chances >= -1e-5) & (chances <= 1 + 1e-5)).all():
        raise DataError("adaptivity needs probabilities from 0 to 1, found others; are they logits?")
    return chances.clip(0, 1)


def _entropy(chances: Array) -> Array:
    """Bits of a line that is measured by these chances, 0 where there is no doubt."""
    bits: Array = np.zeros_like(chances)
    for part in (chances, 1 - chances):
        bits -= part * np.log2(part, where=part > 0, out=np.zeros_like(part))
    return bits


def _difference(marginal: Array, conditional: Array) -> Array:
    return np.maximum(marginal - conditional, 0)  # never below, but for rounding
