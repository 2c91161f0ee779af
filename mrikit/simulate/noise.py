"""Thermal noise of a coil array: complex Gaussian, correlated between the coils with a known covariance."""

import numpy as np
import numpy.typing as npt

from mrikit.randomness import Key, generator

CORRELATION_LENGTH_MM = 75.0
"""Coils this far apart correlate 1/e as much as coils at the same place would."""
STRONGEST_CORRELATION = 0.55


def noise_covariance(
    positions: npt.NDArray[np.float64], standard_deviation: float, key: Key
) -> npt.NDArray[np.complex128]:
    """Covariance E[n n^H] of the noise between the coils.

    Args:
        positions: (coil, 3) middles of the coils, millimetres.
        standard_deviation: Of the real or the imaginary part, averaged over the coils.
        key: Names the volume.

    Returns:
        (coil, coil) Hermitian positive definite complex128, in the square of the unit of `standard_deviation`.
    """
    rng = generator(*key, "noise covariance")
    num_coils = len(positions)
    distance = np.linalg.norm(positions[:, None] - positions[None, :], axis=2)
    # exp(-distance) is a positive definite kernel; phases exp(i(a - b)) and the convex sum with 1 keep it so.
    phase = np.exp(1j * rng.uniform(0, 2 * np.pi, num_coils))
    correlation = STRONGEST_CORRELATION * np.exp(-distance / CORRELATION_LENGTH_MM) * np.outer(phase, phase.conj())
    np.fill_diagonal(correlation, 1.0)
    gain = np.exp(rng.normal(0, 0.12, num_coils))
    gain = gain / np.sqrt(np.mean(gain**2))
    return np.asarray(2 * standard_deviation**2 * correlation * np.outer(gain, gain))


def correlated_noise(
    covariance: npt.NDArray[np.complex128], shape: tuple[int, ...], rng: np.random.Generator
) -> npt.NDArray[np.complex64]:
    """Noise samples.

    Args:
        covariance: (coil, coil) E[n n^H].
        shape: Of one coil's samples.
        rng: Draws them.

    Returns:
        (coil, *shape) complex64.
    """
    num_coils = len(covariance)
    color = (np.linalg.cholesky(covariance) / np.sqrt(2)).astype(np.complex64)
    white = rng.standard_normal((num_coils, int(np.prod(shape)), 2), np.float32).view(np.complex64)[..., 0]
    # The product color @ white row by row: the sums of a BLAS depend on its number of threads in their last bits.
    for coil in reversed(range(num_coils)):
        white[coil] *= color[coil, coil]
        for other in range(coil):
            white[coil] += color[coil, other] * white[other]
    return white.reshape(num_coils, *shape)
