"""SPIRiT's kernels and operator against direct sums and direct least squares."""

import itertools

import numpy as np
import pytest
import torch

from mrikit.errors import DataError
from mrikit.physics.spirit import SpiritOp, spirit_kernels
from tests.helpers import LinearOp, assert_adjoint, assert_linear, complex_normal, relative_error

KERNEL = (3, 5)


def direct_kernels(calibration: np.ndarray, regularization: float, leaves_out_all: bool) -> np.ndarray:
    """Each coil's least squares written out, with the other unknowns alone in it."""
    num_coils, height, width = calibration.shape
    rows, columns = KERNEL
    places = itertools.product(range(height - rows + 1), range(width - columns + 1))
    windows = np.array([calibration[:, y : y + rows, x : x + columns].ravel() for y, x in places]).astype(complex)
    weight = regularization * np.mean(np.sum(np.abs(windows) ** 2, axis=0))
    found = np.zeros((num_coils, num_coils * rows * columns), complex)
    centers = np.arange(num_coils) * rows * columns + (rows // 2) * columns + columns // 2
    for coil in range(num_coils):
        others = np.setdiff1d(np.arange(windows.shape[1]), centers if leaves_out_all else centers[coil])
        used, target = windows[:, others], windows[:, centers[coil]]
        gram = used.conj().T @ used + weight * np.eye(len(others))
        found[coil, others] = np.linalg.solve(gram, used.conj().T @ target)
    return found.reshape(num_coils, num_coils, rows, columns)


@pytest.mark.parametrize("leaves_out_all", [False, True])
@pytest.mark.parametrize("regularization", [1e-4, 0.3])
def test_kernels_are_those_of_a_least_squares_solution_of_each_coil(
    regularization: float, leaves_out_all: bool
) -> None:
    calibration = complex_normal((3, 12, 14))
    found = spirit_kernels(calibration, KERNEL, regularization, zeroes_all_centers=leaves_out_all)
    expected = torch.from_numpy(direct_kernels(calibration.numpy(), regularization, leaves_out_all)).to(torch.complex64)
    assert relative_error(found, expected) < 1e-5


def test_the_centre_tap_of_its_own_coil_is_zero() -> None:
    own = spirit_kernels(complex_normal((3, 12, 14)), KERNEL)[..., 1, 2]
    assert torch.equal(own == 0, torch.eye(3, dtype=torch.bool))
    assert (spirit_kernels(complex_normal((3, 12, 14)), KERNEL, zeroes_all_centers=True)[..., 1, 2] == 0).all()


def test_the_scale_of_the_data_does_not_matter() -> None:
    calibration = complex_normal((3, 12, 14))
    assert relative_error(spirit_kernels(1e-7 * calibration, KERNEL), spirit_kernels(calibration, KERNEL)) < 1e-4


def test_an_empty_centre_has_kernels_of_zero() -> None:
    assert (spirit_kernels(torch.zeros(3, 12, 14), KERNEL) == 0).all()


def test_a_centre_smaller_than_a_kernel_is_refused() -> None:
    message = r"centre of 5 or more lines and 3 or more samples for its kernels; found 4 and 12; a mask with more"
    with pytest.raises(DataError, match=message):
        spirit_kernels(complex_normal((3, 12, 4)), KERNEL)


def test_the_operator_is_the_sum_over_neighbours_minus_the_sample() -> None:
    kspace, kernels = complex_normal((2, 7, 10)), complex_normal((2, 2, *KERNEL), 1)
    expected = -kspace
    for row, column in itertools.product(range(3), range(5)):
        neighbours = kspace.roll((1 - row, 2 - column), (-2, -1))
        expected = expected + torch.einsum("ij,jyx->iyx", kernels[..., row, column], neighbours)
    assert relative_error(SpiritOp(kernels, (7, 10)).forward(kspace), expected) < 1e-5


@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_operator_is_linear_with_its_adjoint_and_square(batch: tuple[int, ...], size: tuple[int, int]) -> None:
    op = SpiritOp(complex_normal((*batch, 3, 3, *KERNEL)), size)
    shape = (*batch, 3, *size)
    assert_adjoint(LinearOp(name="spirit", forward=op.forward, adjoint=op.adjoint, domain=shape, range=shape))
    assert_adjoint(LinearOp(name="square", forward=op.normal, adjoint=op.normal, domain=shape, range=shape))
    assert_linear(op.forward, shape)
    x = complex_normal(shape, 1)
    assert relative_error(op.normal(x), op.adjoint(op.forward(x))) < 1e-5


def test_predictable_kspace_agrees_with_its_kernels() -> None:
    y, x = torch.meshgrid(torch.arange(24), torch.arange(20), indexing="ij")
    waves = [torch.exp(2j * torch.pi * (a * y / 24 + b * x / 20)) for a, b in ((3, 1), (11, 7), (20, 15))]
    kspace = torch.einsum("cw,wyx->cyx", complex_normal((4, 3), 2), torch.stack(waves))
    kernels = spirit_kernels(kspace[:, 5:15, 5:15], KERNEL, 1e-10)
    assert float(SpiritOp(kernels, (24, 20)).forward(kspace).norm() / kspace.norm()) < 1e-4


def test_matrices_of_some_rows_are_rows_of_all() -> None:
    op = SpiritOp(complex_normal((2, 2, *KERNEL)), (8, 9))
    assert torch.allclose(op.normal_matrices(slice(3, 5)), op.normal_matrices()[3:5], atol=1e-5)


@pytest.mark.parametrize("size", [(8, 9), (64, 51)])
def test_its_largest_eigenvalue_is_that_of_all_pixels_and_not_below(size: tuple[int, int]) -> None:
    op = SpiritOp(complex_normal((2, 2, 2, *KERNEL)), size)
    exact = torch.linalg.eigvalsh(op.normal_matrices()).amax((-3, -2, -1))
    ratio = op.largest_eigenvalue().flatten() / exact
    assert ((ratio >= 1) & (ratio < 1.03)).all()
