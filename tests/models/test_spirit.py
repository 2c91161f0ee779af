import itertools

import numpy as np
import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace

from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model, spirit
from mrikit.models.output import compute
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.physics.sampling import keep
from mrikit.physics.spirit import spirit_kernels


def lines(width, step, num_center):
    mask = torch.zeros(1, 1, 1, width, dtype=torch.bool)
    mask[..., ::step] = True
    start = (width - num_center + 1) // 2
    mask[..., start : start + num_center] = True
    return mask


def pattern(size, num_center, keeps=0.4):
    mask = torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(0)) < keeps
    row, column = ((length - num_center + 1) // 2 for length in size)
    mask[..., row : row + num_center, column : column + num_center] = True
    return mask


@torch.inference_mode()
def fill(kspace, mask, num_center, **settings):
    number = torch.full((len(kspace),), num_center)
    return compute(build_model("spirit", settings), keep(kspace, mask), mask, number)


def point_sources(size, num_coils=4, num_sources=6):
    """K-space of point sources, periodic: every sample is an exact sum over its neighbours."""
    generator = torch.Generator().manual_seed(1)
    y, x = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    places = [torch.randint(0, length, (num_sources, 1, 1), generator=generator) for length in size]
    waves = torch.exp(2j * torch.pi * (places[0] * y / size[0] + places[1] * x / size[1]))
    return torch.einsum("cw,wyx->cyx", complex_normal((num_coils, num_sources), 2), waves)[None]


@pytest.mark.parametrize("make_mask", [lambda size: lines(size[1], 3, 12), lambda size: pattern(size, 12)])
@pytest.mark.parametrize("size", [(24, 40), (21, 35)])
def test_predictable_kspace_is_recovered_exactly(size, make_mask):
    kspace = point_sources(size)
    exact = {"regularization": 1e-9, "damping": 0.0, "num_iterations": 200}
    assert relative_error(fill(kspace, make_mask(size), 12, **exact).kspace, kspace) < 1e-2
    assert relative_error(keep(kspace, make_mask(size)), kspace) > 0.3


@pytest.mark.parametrize("leaves_out_all", [False, True])
@pytest.mark.parametrize("make_mask", [lambda size: lines(size[1], 2, 7), lambda size: pattern(size, 7)])
def test_it_is_the_least_squares_solution_written_out(make_mask, leaves_out_all):
    """numpy, with the convolution as a matrix of all samples by all samples."""
    size, damping = (8, 12), 0.1
    kspace, mask = complex_normal((1, 2, *size)), make_mask((8, 12))
    rows = slice(0, 8) if mask.shape[-2] == 1 else slice(1, 8)
    center = kspace[0, :, rows, 3:10]
    kernels = spirit_kernels(center, (3, 3), zeroes_all_centers=leaves_out_all).numpy().astype(complex)
    samples = list(itertools.product(range(2), range(8), range(12)))
    place = {sample: number for number, sample in enumerate(samples)}
    operator = -np.eye(len(samples), dtype=complex)
    for (coil, y, x), source, row, column in itertools.product(samples, range(2), range(3), range(3)):
        neighbour = place[source, (y + row - 1) % 8, (x + column - 1) % 12]
        operator[place[coil, y, x], neighbour] += kernels[coil, source, row, column]
    known = mask.expand(1, 2, *size).numpy().ravel()
    measured = kspace.numpy().ravel().astype(complex)
    missing = operator[:, ~known]
    gram = missing.conj().T @ missing + damping * np.eye(missing.shape[1])
    expected = measured.copy()
    expected[~known] = np.linalg.solve(gram, -missing.conj().T @ (operator[:, known] @ measured[known]))
    settings = {"kernel": 3, "damping": damping, "num_iterations": 100, "zeroes_all_centers": leaves_out_all}
    found = fill(kspace, mask, 7, **settings).kspace
    assert relative_error(found.flatten(), torch.from_numpy(expected).to(torch.complex64)) < 1e-3


@pytest.mark.parametrize("solver", ["cg", "pocs"])
def test_measured_samples_are_kept_and_the_image_is_theirs(solver):
    kspace, mask = make_kspace()[None], pattern((64, 60), 16)
    output = fill(kspace, mask, 16, solver=solver, num_iterations=3)
    assert torch.equal(keep(output.kspace, mask), keep(kspace, mask))
    torch.testing.assert_close(output.image, rss(ifft2c(output.kspace)))


def test_a_line_mask_equals_its_pattern_once_both_have_converged():
    kspace, mask = make_kspace(4, (24, 30))[None], lines(30, 2, 14)
    many = {"num_iterations": 150, "damping": 0.05}
    by_rows = fill(kspace, mask, 14, **many).kspace
    at_once = fill(kspace, mask.expand(1, 1, 24, 30), 14, **many).kspace
    # a pattern is calibrated in the square of its centre, the lines in all of theirs
    assert relative_error(by_rows, at_once) < 0.02


@pytest.mark.parametrize("mask", [lines(60, 3, 20), pattern((64, 60), 20)])
def test_projections_undo_undersampling(mask):
    kspace = make_kspace()[None]
    reference = rss(ifft2c(kspace))
    image = fill(kspace, mask, 20, solver="pocs", regularization=1e-3, num_iterations=60).image
    assert relative_error(image, reference) < 0.3 * relative_error(rss(ifft2c(keep(kspace, mask))), reference)


def test_projections_never_grow():
    """What kernels make of one coil's k-space, put back again and again as in the paper, leaves float32 here."""
    kspace, mask = make_kspace(1)[None], lines(60, 4, 12)
    filled = fill(kspace, mask, 12, solver="pocs", num_iterations=200).kspace
    assert float(filled.norm()) < 1.2 * float(kspace.norm())


def test_the_wavelet_threshold_removes_noise_that_kernels_keep():
    kspace, truth = make_kspace(noise=0.05)[None], rss(ifft2c(make_kspace(noise=0.0)))[None]
    mask = pattern((64, 60), 20, keeps=0.3)
    errors = {
        weight: relative_error(fill(kspace, mask, 20, solver="pocs", threshold=weight).image, truth)
        for weight in (0.0, 0.02)
    }
    assert errors[0.02] < 0.9 * errors[0.0]


def test_slices_with_centres_of_their_own_are_solved_together_as_alone(monkeypatch):
    kspace = torch.stack([make_kspace(), 2 * make_kspace().flip(-2)])
    mask = torch.cat([lines(60, 3, 20), lines(60, 4, 8)])
    numbers = torch.tensor([20, 8])
    model = build_model("spirit", {"solver": "pocs", "num_iterations": 3})
    together = compute(model, keep(kspace, mask), mask, numbers).kspace
    monkeypatch.setattr(spirit, "_DEVICE_BYTES", 1)
    assert relative_error(compute(model, keep(kspace, mask), mask, numbers).kspace, together) < 1e-5
    for row, number in enumerate((20, 8)):
        alone = fill(kspace[row : row + 1], mask[row : row + 1], number, solver="pocs", num_iterations=3).kspace
        assert relative_error(alone, together[row : row + 1]) < 1e-5


def test_settings_change_the_result():
    kspace, mask = make_kspace(noise=0.05)[None], lines(60, 3, 20)
    plain = fill(kspace, mask, 20).image
    changes = [
        {"kernel": 3},
        {"num_iterations": 2},
        {"regularization": 1.0},
        {"damping": 1.0},
        {"zeroes_all_centers": True},
    ]
    for change in changes:
        assert relative_error(fill(kspace, mask, 20, **change).image, plain) > 1e-3
    strong = {"solver": "pocs", "threshold": 0.1}
    deep, shallow = (fill(kspace, mask, 20, **strong, num_levels=levels).image for levels in (3, 1))
    assert relative_error(deep, shallow) > 1e-3


@pytest.mark.parametrize("num_center", [0, 2, 3])
def test_a_centre_too_small_is_one_clear_line(num_center):
    mask = pattern((64, 60), 6)
    message = (
        rf"^spirit cannot fit kernels of 6 coils; found {num_center} centre lines; more centre lines or fewer coils"
    )
    with pytest.raises(DataError, match=message):
        fill(make_kspace(6)[None], mask, num_center)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "cgs"}, "spirit.solver is cg or pocs, found 'cgs'"),
        ({"num_iterations": 0}, "spirit needs num_iterations >= 1 and an odd kernel of 3 or more, found 0 and 5"),
        ({"kernel": 4}, "spirit needs num_iterations >= 1 and an odd kernel of 3 or more, found 20 and 4"),
        ({"damping": -1.0}, "spirit needs regularization, damping and threshold >= 0 and num_levels 1 to 8, found"),
        ({"regularization": "nan"}, "spirit needs regularization, damping and threshold >= 0"),
        ({"num_levels": 9}, "spirit needs regularization, damping and threshold >= 0"),
        ({"threshold": 0.1}, "spirit has a threshold with solver=pocs alone, found solver=cg"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(ConfigError) as caught:
        build_model("spirit", settings)
    assert str(caught.value).startswith(message)
