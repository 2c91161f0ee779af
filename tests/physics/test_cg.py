import torch

from mrikit.physics.cg import conjugate_gradient
from tests.helpers import complex_normal, relative_error


def matrix_op(matrix: torch.Tensor):
    return lambda image: (matrix @ image.flatten(-2).unsqueeze(-1)).squeeze(-1).unflatten(-1, image.shape[-2:])


def positive_matrix(num_images: int, size: int) -> torch.Tensor:
    factor = complex_normal((num_images, size, size))
    return factor @ factor.mH / size + 0.3 * torch.eye(size)


def test_solution_agrees_with_a_direct_solver() -> None:
    matrix = positive_matrix(3, 20)
    rhs = complex_normal((3, 4, 5), 1)
    expected = torch.linalg.solve(matrix + 0.2 * torch.eye(20), rhs.flatten(-2)).unflatten(-1, (4, 5))
    found = conjugate_gradient(matrix_op(matrix), rhs, 60, tolerance=1e-7, damping=0.2)
    assert relative_error(found, expected) < 1e-5


def test_identity_is_solved_in_one_iteration() -> None:
    rhs = complex_normal((2, 4, 5))
    assert relative_error(conjugate_gradient(lambda x: 2 * x, rhs, 1), rhs / 2) < 1e-6


def test_exact_arithmetic_needs_no_more_iterations_than_eigenvalues() -> None:
    scale = torch.tensor([1.0, 2.0, 5.0]).repeat(4, 1)
    rhs = complex_normal((4, 3))
    assert relative_error(conjugate_gradient(lambda x: scale * x, rhs, 3), rhs / scale) < 1e-5
    assert relative_error(conjugate_gradient(lambda x: scale * x, rhs, 2), rhs / scale) > 1e-3


def test_zero_image_in_a_batch_gives_zero_and_no_nan() -> None:
    rhs = complex_normal((3, 4, 5))
    rhs[1] = 0
    found = conjugate_gradient(matrix_op(positive_matrix(3, 20)), rhs, 60, tolerance=0.0)
    assert torch.isfinite(torch.view_as_real(found)).all()
    assert (found[1] == 0).all()
    assert (found[0] != 0).all()


def test_operator_that_is_zero_gives_zero() -> None:
    found = conjugate_gradient(lambda x: 0 * x, complex_normal((2, 3, 3)), 5)
    assert (found == 0).all()


def test_batch_gives_what_its_images_give_alone() -> None:
    matrix = positive_matrix(3, 20)
    rhs = complex_normal((3, 4, 5), 1) * torch.tensor([1.0, 1e-4, 1e4])[:, None, None]
    together = conjugate_gradient(matrix_op(matrix), rhs, 7)
    for i in range(3):
        alone = conjugate_gradient(matrix_op(matrix[i]), rhs[i], 7)
        assert relative_error(together[i], alone) < 1e-5


def test_iterations_stop_at_the_tolerance() -> None:
    calls = []
    matrix = positive_matrix(1, 20)

    def counting(image: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return matrix_op(matrix)(image)

    rhs = complex_normal((1, 4, 5))
    found = conjugate_gradient(counting, rhs, 1000, tolerance=1e-2)
    assert len(calls) < 30
    assert relative_error(matrix_op(matrix)(found), rhs) < 1.1e-2
