"""Mathematical properties as assertions, for operators of any module. Shapes are checked before values."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

Function = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class LinearOp:
    """A linear map with its adjoint, and the shapes it maps between."""

    name: str
    forward: Function
    adjoint: Function
    domain: tuple[int, ...]
    range: tuple[int, ...]


def complex_normal(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Complex64 white noise with E|n|^2 = 1."""
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def assert_adjoint(op: LinearOp, rtol: float = 1e-5) -> None:
    """<A x, y> = <x, A^H y>, with both shapes as declared."""
    x, y = complex_normal(op.domain, 1), complex_normal(op.range, 2)
    forward, adjoint = op.forward(x), op.adjoint(y)
    assert forward.shape == op.range, f"forward gives {tuple(forward.shape)}, not {op.range}"
    assert adjoint.shape == op.domain, f"adjoint gives {tuple(adjoint.shape)}, not {op.domain}"
    assert forward.dtype == adjoint.dtype == torch.complex64
    left = torch.vdot(y.flatten().cdouble(), forward.flatten().cdouble())
    right = torch.vdot(adjoint.flatten().cdouble(), x.flatten().cdouble())
    scale = float(forward.norm() * y.norm())
    assert scale > 0, "the operator is 0 on random input"
    assert abs(left - right) <= rtol * scale, f"<Ax, y> = {left}, <x, A^H y> = {right}"


def assert_linear(function: Function, domain: tuple[int, ...], rtol: float = 1e-5) -> None:
    """f(a x + y) = a f(x) + f(y) for a complex a."""
    x, y = complex_normal(domain, 3), complex_normal(domain, 4)
    weight = 0.7 - 1.3j
    expected = weight * function(x) + function(y)
    assert float(expected.norm()) > 0
    assert float((function(weight * x + y) - expected).norm()) <= rtol * float(expected.norm())


def assert_isometry(op: LinearOp, rtol: float = 1e-5) -> None:
    """A keeps norms, and its adjoint undoes it."""
    x = complex_normal(op.domain, 5)
    image = op.forward(x)
    assert abs(float(image.norm() / x.norm()) - 1) <= rtol
    assert float((op.adjoint(image) - x).norm()) <= rtol * float(x.norm())


def assert_gradient_is_adjoint(op: LinearOp, rtol: float = 1e-5) -> None:
    """The gradient of Re<y, A x> with respect to x, in torch's convention, is A^H y."""
    x, y = complex_normal(op.domain, 6).requires_grad_(), complex_normal(op.range, 7)
    torch.linalg.vecdot(y.flatten(), op.forward(x).flatten()).real.backward()
    expected = op.adjoint(y)
    assert x.grad is not None
    assert x.grad.shape == expected.shape
    assert float((x.grad - expected).norm()) <= rtol * float(expected.norm())


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what was expected."""
    assert found.shape == expected.shape, f"{tuple(found.shape)} is not {tuple(expected.shape)}"
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))
