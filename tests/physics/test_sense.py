import pytest
import torch

from mrikit.errors import DataError
from mrikit.physics.cg import conjugate_gradient
from mrikit.physics.sense import SenseOp
from tests.helpers import complex_normal, relative_error
from tests.physics.phantom import line_mask, scan


def test_forward_leaves_plus_zero_where_nothing_was_measured() -> None:
    mask = line_mask(8, 4, 2)
    kspace = SenseOp(complex_normal((2, 6, 8)), mask).forward(complex_normal((6, 8), 1))
    unmeasured = torch.view_as_real(kspace[..., ~mask])
    assert (unmeasured == 0).all()
    assert not torch.signbit(unmeasured).any()
    assert (kspace[..., mask] != 0).all()


def test_forward_of_the_true_image_is_the_measured_kspace() -> None:
    truth = scan(4, 20, 18)
    mask = line_mask(18, 3, 4)
    expected = torch.where(mask, truth.kspace, 0)
    assert relative_error(SenseOp(truth.sens_maps, mask).forward(truth.image), expected) < 1e-6


def test_fully_sampled_kspace_is_inverted_by_the_adjoint() -> None:
    truth = scan(4, 20, 18)
    op = SenseOp(truth.sens_maps, torch.ones(1, 1, 18, dtype=torch.bool))
    assert relative_error(op.adjoint(truth.kspace), truth.image) < 1e-6


def test_cg_sense_recovers_the_image_from_a_third_of_the_lines() -> None:
    truth = scan(8, 40, 36)
    op = SenseOp(truth.sens_maps, line_mask(36, 3, 6))
    kspace = op.forward(truth.image)
    image = conjugate_gradient(op.normal, op.adjoint(kspace), 60)
    assert relative_error(op.adjoint(kspace), truth.image) > 0.1
    assert relative_error(image, truth.image) < 1e-3


def test_moving_the_body_and_its_maps_moves_the_normal_image() -> None:
    truth = scan(4, 20, 18)
    mask = line_mask(18, 3, 4)
    expected = SenseOp(truth.sens_maps, mask).normal(truth.image).roll((3, -5), (-2, -1))
    moved_op = SenseOp(truth.sens_maps.roll((3, -5), (-2, -1)), mask)
    assert relative_error(moved_op.normal(truth.image.roll((3, -5), (-2, -1))), expected) < 1e-5


def test_mask_of_another_width_is_refused() -> None:
    with pytest.raises(DataError, match=r"mask \(1, 1, 9\) does not fit .*\(2, 6, 8\); \(\.\.\., 1, 1, 8\) or"):
        SenseOp(complex_normal((2, 6, 8)), torch.ones(1, 1, 9, dtype=torch.bool))


def test_mask_with_a_coil_axis_is_refused() -> None:
    with pytest.raises(DataError, match=r"mask \(2, 1, 8\) does not fit"):
        SenseOp(complex_normal((2, 6, 8)), torch.ones(2, 1, 8, dtype=torch.bool))


def test_mask_of_numbers_is_refused() -> None:
    with pytest.raises(DataError, match=r"is bool; found torch\.float32"):
        SenseOp(complex_normal((2, 6, 8)), torch.ones(8))
