import pytest
import sigpy.mri
import torch

from mrikit.errors import DataError
from mrikit.physics.coils import rss
from mrikit.physics.espirit import espirit_maps
from tests.helpers import complex_normal, relative_error
from tests.physics.phantom import line_mask, scan


def agreement(found: torch.Tensor, expected: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """|<found, expected>| of the coil vectors at these pixels: 1 where they differ by a phase only."""
    return (found * expected.conj()).sum(-3).abs()[where]


def per_pixel_maps(kspace: torch.Tensor, calibration_size: int, kernel_size: int) -> torch.Tensor:
    """ESPIRiT as the paper writes it: an image per kernel, an eigenproblem per pixel, in double precision."""
    rows, columns = kspace.shape[-2:]
    top, left = (rows - calibration_size + 1) // 2, (columns - calibration_size + 1) // 2
    center = kspace[:, top : top + calibration_size, left : left + calibration_size].cdouble()
    patches = [
        center[:, i : i + kernel_size, j : j + kernel_size].flatten()
        for i in range(calibration_size - kernel_size + 1)
        for j in range(calibration_size - kernel_size + 1)
    ]
    _, singular, kernels = torch.linalg.svd(torch.stack(patches), full_matrices=False)
    kernels = kernels[singular > 0.02 * singular[0]].reshape(-1, kspace.shape[0], kernel_size, kernel_size)
    grid = torch.zeros(len(kernels), kspace.shape[0], rows, columns, dtype=torch.complex128)
    grid[..., :kernel_size, :kernel_size] = kernels
    images = torch.fft.fftshift(torch.fft.ifft2(grid, norm="forward"), dim=(-2, -1)) / kernel_size
    matrices = torch.einsum("kcyx,kdyx->yxcd", images, images.conj())
    return torch.linalg.eigh(matrices)[1][..., -1].permute(2, 0, 1)


def test_maps_are_those_of_the_paper_pixel_by_pixel() -> None:
    truth = scan(5, 40, 37, noise=0.01)
    expected = per_pixel_maps(truth.kspace, 16, 5).to(torch.complex64)
    found = espirit_maps(truth.kspace, 16, calibration_rows=16, kernel_size=5, crop=0.0, num_power_iterations=100)
    assert agreement(found, expected, truth.body).min() > 0.9999


def test_eigenvectors_interpolated_on_a_large_grid_need_one_power_iteration() -> None:
    truth = scan(4, 190, 50, noise=1e-3)  # more pixels than the coarse grid has nodes, along both axes
    expected = per_pixel_maps(truth.kspace, 20, 6).to(torch.complex64)
    found = espirit_maps(truth.kspace, 20, calibration_rows=20, crop=0.0, num_power_iterations=1)
    assert agreement(found, expected, truth.body).quantile(0.001) > 0.999


def test_maps_are_the_true_ones_up_to_a_phase() -> None:
    truth = scan(6, 48, 40, noise=1e-3)
    found = espirit_maps(truth.kspace, 24)
    overlap = agreement(found, truth.sens_maps, truth.body)
    assert overlap.median() > 0.999
    assert overlap.quantile(0.05) > 0.99


def test_maps_agree_with_sigpy() -> None:
    truth = scan(6, 48, 40, noise=1e-2)
    app = sigpy.mri.app.EspiritCalib(truth.kspace.numpy(), calib_width=24, crop=0.8, show_pbar=False)
    overlap = agreement(espirit_maps(truth.kspace, 24), torch.from_numpy(app.run()), truth.body)
    assert overlap.median() > 0.999


def test_maps_have_rss_1_in_the_body_and_0_in_the_background() -> None:
    truth = scan(6, 48, 40, noise=1e-2)
    norm = rss(espirit_maps(truth.kspace, 24))
    assert torch.allclose(norm[truth.body], torch.ones(1), atol=1e-5)
    is_zero_or_one = (norm == 0) | ((norm - 1).abs() < 1e-5)
    assert is_zero_or_one.all()
    assert (norm == 0).sum() > 0.3 * (~truth.body).sum()


def test_undersampled_lines_do_not_change_the_maps() -> None:
    truth = scan(4, 48, 40, noise=1e-3)
    masked = torch.where(line_mask(40, 4, 14, offset=1), truth.kspace, 0)
    assert torch.equal(espirit_maps(masked, 14), espirit_maps(truth.kspace, 14))


def test_every_batch_element_has_its_own_maps() -> None:
    kspace = torch.stack([scan(4, 32, 30).kspace, scan(4, 32, 30).kspace.roll(1, 0)]).unsqueeze(1)
    found = espirit_maps(kspace, 20)
    assert found.shape == kspace.shape
    assert relative_error(found[1, 0], espirit_maps(kspace[1, 0], 20)) < 1e-5
    assert relative_error(found[1], found[0]) > 0.1


def test_scale_of_the_data_does_not_matter() -> None:
    kspace = scan(4, 32, 30, noise=1e-3).kspace
    assert relative_error(espirit_maps(1e-7 * kspace, 20), espirit_maps(kspace, 20)) < 1e-2


def test_rotating_the_coils_among_themselves_rotates_the_maps() -> None:
    truth = scan(4, 32, 30, noise=1e-3)
    unitary = torch.linalg.qr(complex_normal((4, 4), 12))[0]
    expected = torch.einsum("dc,cyx->dyx", unitary, espirit_maps(truth.kspace, 20))
    found = espirit_maps(torch.einsum("dc,cyx->dyx", unitary, truth.kspace), 20)
    assert agreement(found, expected, truth.body).min() > 0.999


def test_phase_of_the_maps_is_smooth() -> None:
    truth = scan(6, 48, 40, noise=1e-3)
    found = espirit_maps(truth.kspace, 24)
    is_pair = truth.body[1:] & truth.body[:-1]
    turn = (found[:, 1:] * found[:, :-1].conj()).sum(0)[is_pair]
    assert turn.angle().abs().max() < 0.5


def test_result_does_not_depend_on_how_rows_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    kspace = scan(4, 33, 30, noise=1e-3).kspace
    whole = espirit_maps(kspace, 20, crop=0.9)
    monkeypatch.setattr("mrikit.physics.espirit._CACHE_BYTES", 1)
    assert relative_error(espirit_maps(kspace, 20, crop=0.9), whole) < 5e-3


def test_empty_slice_has_no_maps() -> None:
    assert (espirit_maps(torch.zeros(3, 32, 30, dtype=torch.complex64), 20) == 0).all()


def test_one_coil_has_magnitude_1() -> None:
    truth = scan(1, 32, 30)
    assert torch.allclose(espirit_maps(truth.kspace, 20)[0].abs()[truth.body], torch.ones(1), atol=1e-5)


def test_too_small_a_centre_says_what_was_found_and_needed() -> None:
    with pytest.raises(DataError, match=r"centre of 6 or more lines for its kernel of 6; found 4; a mask with more"):
        espirit_maps(scan(2, 32, 30).kspace, 4)
