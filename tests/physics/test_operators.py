"""Properties that every linear operator of the physics has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrikit.physics.coils import combine
from mrikit.physics.fft import fft1c, fft2c, ifft1c, ifft2c
from mrikit.physics.sense import SenseOp
from mrikit.physics.wavelet import inverse_wavelet, padded_size, wavelet
from tests.helpers import (
    LinearOp,
    assert_adjoint,
    assert_gradient_is_adjoint,
    assert_isometry,
    assert_linear,
    complex_normal,
    relative_error,
)


def fft_op(shape: tuple[int, ...]) -> LinearOp:
    return LinearOp(name="fft2c", forward=fft2c, adjoint=ifft2c, domain=shape, range=shape)


def fft_line_op(shape: tuple[int, ...], dim: int) -> LinearOp:
    return LinearOp(
        name=f"fft1c along {dim}",
        forward=lambda x: fft1c(x, dim),
        adjoint=lambda x: ifft1c(x, dim),
        domain=shape,
        range=shape,
    )


def wavelet_op(shape: tuple[int, int], num_levels: int) -> LinearOp:
    return LinearOp(
        name=f"wavelet, {num_levels} levels, {shape}",
        forward=lambda x: wavelet(x, num_levels),
        adjoint=lambda x: inverse_wavelet(x, num_levels, shape),
        domain=(3, *shape),
        range=(3, *padded_size(shape, num_levels)),
    )


def random_mask(shape: tuple[int, ...]) -> torch.Tensor:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(8)) < 0.5
    mask[..., 0] = True
    return mask


def sense_op(batch: tuple[int, ...], mask_shape: tuple[int, ...]) -> tuple[LinearOp, SenseOp]:
    sens_maps = complex_normal((*batch, 3, 12, 9), 9)
    op = SenseOp(sens_maps, random_mask(mask_shape))
    linear = LinearOp(
        name=f"sense {batch} {mask_shape}",
        forward=op.forward,
        adjoint=op.adjoint,
        domain=(*batch, 12, 9),
        range=(*batch, 3, 12, 9),
    )
    return linear, op


SENSE_OPS = [
    sense_op((), (9,)),
    sense_op((), (1, 1, 9)),
    sense_op((), (1, 12, 9)),
    sense_op((2,), (1, 1, 9)),
    sense_op((2,), (2, 1, 1, 9)),
    sense_op((2, 2), (2, 1, 1, 12, 9)),
]
ISOMETRIES = [
    fft_op((2, 7, 8)),
    fft_line_op((5, 4), -1),
    fft_line_op((5, 4), -2),
    wavelet_op((16, 24), 2),
    wavelet_op((13, 9), 3),
    wavelet_op((2, 1), 1),
]
MAPS = complex_normal((4, 6, 5), 10)
COMBINE = LinearOp(
    name="combine",
    forward=lambda x: combine(x, MAPS),
    adjoint=lambda x: MAPS * x.unsqueeze(-3),
    domain=(2, 4, 6, 5),
    range=(2, 6, 5),
)
OPS = [op for op, _ in SENSE_OPS] + ISOMETRIES + [COMBINE]


def named(op: object) -> str:
    return op.name if isinstance(op, LinearOp) else ""


@pytest.mark.parametrize("op", OPS, ids=named)
def test_adjoint_passes_the_dot_product(op: LinearOp) -> None:
    assert_adjoint(op)


@pytest.mark.parametrize("op", OPS, ids=named)
def test_operator_is_linear(op: LinearOp) -> None:
    assert_linear(op.forward, op.domain)
    assert_linear(op.adjoint, op.range)


@pytest.mark.parametrize("op", OPS, ids=named)
def test_gradient_is_the_adjoint(op: LinearOp) -> None:
    assert_gradient_is_adjoint(op)


@pytest.mark.parametrize("op", ISOMETRIES, ids=named)
def test_orthonormal_transform_keeps_norms_and_is_undone(op: LinearOp) -> None:
    assert_isometry(op)


@pytest.mark.parametrize(("linear", "op"), SENSE_OPS, ids=named)
def test_sense_normal_is_adjoint_of_forward(linear: LinearOp, op: SenseOp) -> None:
    image = complex_normal(linear.domain, 11)
    assert relative_error(op.normal(image), op.adjoint(op.forward(image))) < 1e-5


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.booleans())
def test_sense_normal_is_adjoint_of_forward_at_any_size(rows: int, columns: int, coils: int, is_line: bool) -> None:
    op = SenseOp(complex_normal((coils, rows, columns)), random_mask((1, 1 if is_line else rows, columns)))
    image = complex_normal((rows, columns), 1)
    assert relative_error(op.normal(image), op.adjoint(op.forward(image))) < 1e-5


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4))
def test_wavelet_is_an_isometry_at_any_size(rows: int, columns: int, num_levels: int) -> None:
    assert_isometry(wavelet_op((rows, columns), num_levels))
    assert_adjoint(wavelet_op((rows, columns), num_levels))
