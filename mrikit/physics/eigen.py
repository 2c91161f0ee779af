"""The dominant eigenvector of one small Hermitian matrix per pixel."""

import torch


def dominant_eigenvectors(
    matrices: torch.Tensor, start: torch.Tensor, num_iterations: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Power iterations on many matrices at once, pixels last so that all arithmetic runs along memory.

    The number of iterations is fixed: pixels without a dominant eigenvector, in the background, would never converge.

    Args:
        matrices: (coil, coil, ...) complex64, Hermitian and positive semi-definite.
        start: (coil, ...) complex64 first guess.
        num_iterations: 1 or more.

    Returns:
        (coil, ...) complex64 vectors of norm 1 (0 where the matrix is 0), and (...) float32 eigenvalues: the norm of
        matrix times vector at the last iteration.
    """
    vectors = _unit(start, _norm(start))
    values = matrices.new_zeros(matrices.shape[2:], dtype=torch.float32)
    for _ in range(num_iterations):
        vectors = (matrices * vectors).sum(1)
        values = _norm(vectors)
        vectors = _unit(vectors, values)
    return vectors, values


def _norm(vectors: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vecdot(vectors, vectors, dim=0).real.sqrt()  # a tenth of the time of torch's vector_norm


def _unit(vectors: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    return vectors / torch.where(norms > 0, norms, 1.0)
