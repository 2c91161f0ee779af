"""Conjugate gradients for a batch of complex images, one step size per image."""

from collections.abc import Callable

import torch


def conjugate_gradient(
    normal_op: Callable[[torch.Tensor], torch.Tensor],
    rhs: torch.Tensor,
    num_iterations: int,
    tolerance: float = 1e-6,
    damping: float = 0.0,
) -> torch.Tensor:
    """Solve (N + damping) x = rhs from x = 0.

    An image whose residual has become small enough, or 0, stands still while the others go on, so that a batch gives
    what its images give alone.

    Args:
        normal_op: N, a Hermitian positive semi-definite operator on (..., y, x), such as `SenseOp.normal`.
        rhs: (..., y, x) complex64.
        num_iterations: Iterations at most.
        tolerance: Stop at this norm of the residual, relative to the norm of `rhs`.
        damping: Tikhonov weight, in the scale of N's eigenvalues.

    Returns:
        (..., y, x) complex64.

    Source:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. NBS 49:409 (1952).
    """
    solution = torch.zeros_like(rhs)
    residual = rhs
    direction = rhs
    energy = _inner(residual, residual)
    goal = tolerance**2 * energy
    for _ in range(num_iterations):
        is_active = energy > goal
        if not bool(is_active.any()):
            break
        image = normal_op(direction) + damping * direction
        curvature = _inner(direction, image)
        step = _quotient(energy, curvature, is_active)
        solution = solution + step * direction
        residual = residual - step * image
        new_energy = _inner(residual, residual)
        direction = residual + _quotient(new_energy, energy, is_active) * direction
        energy = new_energy
    return solution


def _inner(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Real part of the inner product of each image, (..., 1, 1) float32."""
    return torch.linalg.vecdot(left.flatten(-2), right.flatten(-2)).real[..., None, None]


def _quotient(numerator: torch.Tensor, denominator: torch.Tensor, is_active: torch.Tensor) -> torch.Tensor:
    is_valid = is_active & (denominator > 0)
    return torch.where(is_valid, numerator / torch.where(is_valid, denominator, 1.0), 0.0)
