import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrikit.errors import ConfigError, DataError
from mrikit.physics.fft import ifft2c
from mrikit.physics.grappa import grappa
from tests.helpers import complex_normal, relative_error
from tests.physics.phantom import line_mask, scan


def undersample(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, kspace, 0)


def linearly_predictable(num_coils: int, num_rows: int, num_columns: int, num_waves: int) -> torch.Tensor:
    """K-space of a few point sources: every line is an exact combination of its neighbours."""
    y, x = torch.meshgrid(torch.arange(num_rows), torch.arange(num_columns), indexing="ij")
    position = torch.rand(num_waves, 2, generator=torch.Generator().manual_seed(1))
    waves = torch.exp(2j * torch.pi * (position[:, 0, None, None] * y + position[:, 1, None, None] * x))
    return torch.einsum("cw,wyx->cyx", complex_normal((num_coils, num_waves), 2), waves)


@pytest.mark.parametrize("acceleration", [2, 3, 4])
def test_predictable_kspace_is_recovered_exactly(acceleration: int) -> None:
    kspace = linearly_predictable(6, 32, 49, num_waves=12)
    mask = line_mask(49, acceleration, 16)
    filled = grappa(undersample(kspace, mask), mask, 16, regularization=1e-8)
    is_inside = torch.arange(49) <= mask.nonzero().max()
    assert relative_error(filled[..., is_inside], kspace[..., is_inside]) < 1e-3


def test_weights_are_those_of_a_direct_least_squares_solution() -> None:
    kspace = complex_normal((2, 20, 21), 3)
    mask = line_mask(21, 2, 9)
    filled = grappa(undersample(kspace, mask), mask, 9, kernel_size=(3, 2), regularization=0.0)
    padded = torch.nn.functional.pad(kspace, (0, 0, 2, 2))
    sources, targets = [], []
    for line in range(6, 13):  # the centre is lines 6 .. 14
        for row in range(1, 23):
            sources.append(torch.stack([padded[:, row - 1 : row + 2, line + k] for k in (0, 2)]).flatten())
            targets.append(padded[:, row, line + 1])
    weights = torch.linalg.lstsq(torch.stack(sources).cdouble(), torch.stack(targets).cdouble()).solution
    window = torch.stack([kspace[:, 9:12, line] for line in (2, 4)]).flatten()
    assert relative_error(filled[:, 10, 3], (window.cdouble() @ weights).to(torch.complex64)) < 1e-4


def test_measured_lines_are_kept_exactly() -> None:
    truth = scan(6, 40, 48, noise=0.1)
    mask = line_mask(48, 4, 16)
    filled = grappa(undersample(truth.kspace, mask), mask, 16)
    assert torch.equal(filled[..., mask], truth.kspace[..., mask])
    assert not torch.equal(filled[..., ~mask], truth.kspace[..., ~mask])


def test_fully_sampled_kspace_is_returned_as_it_is() -> None:
    kspace = complex_normal((3, 8, 10))
    assert torch.equal(grappa(kspace, torch.ones(10, dtype=torch.bool), 10), kspace)


def test_body_is_recovered_far_better_than_by_zero_filling() -> None:
    truth = scan(8, 64, 96, noise=1e-4)
    mask = line_mask(96, 4, 20, offset=1)
    masked = undersample(truth.kspace, mask)
    expected = ifft2c(truth.kspace)
    error = relative_error(ifft2c(grappa(masked, mask, 20)), expected)
    assert error < 0.35 * relative_error(ifft2c(masked), expected)
    assert error < 0.1


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_any_line_mask_is_filled_between_its_outermost_lines(seed: int) -> None:
    kspace = linearly_predictable(4, 24, 40, num_waves=6)
    mask = line_mask(40, 40, 16)
    mask |= torch.rand(40, generator=torch.Generator().manual_seed(seed)) < 0.35
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a gap may be wider than the centre
        filled = grappa(undersample(kspace, mask), mask, 16, regularization=1e-8)
    measured = mask.nonzero().flatten().tolist()
    widest = max(b - a for a, b in pairwise(measured))
    is_inside = (torch.arange(40) >= measured[0]) & (torch.arange(40) <= measured[-1])
    assert (filled[..., ~is_inside] == 0).all()
    if widest <= 8:
        assert relative_error(filled[..., is_inside], kspace[..., is_inside]) < 2e-2


def test_every_batch_element_has_its_own_mask_and_weights() -> None:
    kspace = torch.stack([scan(6, 40, 48).kspace, 3 * scan(6, 40, 48).kspace.flip(0, -1)])
    masks = torch.stack([line_mask(48, 4, 16), line_mask(48, 3, 16, offset=1)])[:, None, None]
    together = grappa(undersample(kspace, masks), masks, 16)
    for i in range(2):
        alone = grappa(undersample(kspace[i], masks[i]), masks[i], 16)
        assert relative_error(together[i], alone) < 1e-5


def test_empty_slice_stays_empty() -> None:
    kspace = torch.zeros(3, 24, 32, dtype=torch.complex64)
    assert (grappa(kspace, line_mask(32, 3, 12), 12) == 0).all()


def test_scale_of_the_data_does_not_matter() -> None:
    mask = line_mask(48, 4, 16)
    masked = undersample(scan(6, 40, 48, noise=1e-3).kspace, mask)
    assert relative_error(grappa(1e-7 * masked, mask, 16) * 1e7, grappa(masked, mask, 16)) < 1e-3


def test_gap_wider_than_the_centre_stays_zero_with_a_warning() -> None:
    mask = line_mask(64, 3, 12)
    mask[2:20] = False
    kspace = undersample(complex_normal((3, 24, 64)), mask)
    with pytest.warns(UserWarning, match="grappa leaves lines at 0 whose gaps are wider"):
        filled = grappa(kspace, mask, 12)
    assert (filled[..., 1:21] == 0).all()
    assert (filled[..., 22:26] != 0).all()


def test_centre_too_small_for_every_gap_is_refused() -> None:
    mask = line_mask(64, 8, 4)
    with pytest.raises(DataError, match=r"gaps of 5 lines; found 4 centre lines .* more centre lines, fewer coils"):
        grappa(complex_normal((3, 24, 64)), mask, 4)


def test_two_dimensional_pattern_is_refused() -> None:
    with pytest.raises(DataError, match=r"grappa fills lines; found a mask \(24, 64\)"):
        grappa(complex_normal((3, 24, 64)), torch.ones(24, 64, dtype=torch.bool), 8)


def test_mask_of_another_width_is_refused() -> None:
    with pytest.raises(DataError, match=r"found a mask \(63,\) .* \(\.\.\., 1, 1, 64\) would do"):
        grappa(complex_normal((3, 24, 64)), torch.ones(63, dtype=torch.bool), 8)


@pytest.mark.parametrize("kernel_size", [(4, 4), (5, 3), (5, 0)])
def test_kernel_without_a_middle_is_refused(kernel_size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"has no middle; \(odd, even\)"):
        grappa(complex_normal((3, 24, 64)), torch.ones(64, dtype=torch.bool), 8, kernel_size)
