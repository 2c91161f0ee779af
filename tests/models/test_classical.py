import pytest
import torch
from phantoms import make_kspace

from mrikit.errors import ConfigError, DataError
from mrikit.models import CLASSICAL, build_model
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from tests.volumes.mrd import scan

SIZE = (64, 60)


def line_mask(step=3, num_center=20, width=SIZE[1]):
    lines = torch.zeros(width, dtype=torch.bool)
    lines[::step] = True
    start = (width - num_center + 1) // 2
    lines[start : start + num_center] = True
    return lines


def reconstruct(name, kspace, mask, num_center, **settings):
    mask = mask.expand(1, 1, *mask.shape) if mask.ndim == 2 else mask.expand(1, 1, 1, -1)
    masked = torch.where(mask, kspace[None], 0.0)
    with torch.inference_mode():
        return build_model(name, settings)(masked, mask, torch.tensor([num_center]))[0]


def error(image, reference):
    return (torch.linalg.vector_norm(image - reference) / torch.linalg.vector_norm(reference)).item()


@pytest.mark.parametrize("name", sorted(CLASSICAL))
@pytest.mark.parametrize("size", [(64, 60), (51, 47)])
def test_a_fully_sampled_scan_is_recovered(name, size):
    kspace = make_kspace(size=size)
    image = reconstruct(name, kspace, torch.ones(size[1], dtype=torch.bool), size[1])
    assert image.shape == size
    assert image.dtype == torch.float32
    # The wavelet norm and the damping take their share also when nothing is missing, and maps end at the body's edge.
    tolerance = 1e-5 if name in {"zero_filled", "grappa", "spirit"} else 0.03
    assert error(image, rss(ifft2c(kspace))) < tolerance


@pytest.mark.parametrize("name", ["grappa", "cg_sense", "l1_wavelet", "spirit"])
def test_undersampling_is_undone(name):
    kspace = make_kspace()
    reference = rss(ifft2c(kspace))
    aliased = reconstruct("zero_filled", kspace, line_mask(), 20)
    assert error(reconstruct(name, kspace, line_mask(), 20), reference) < 0.3 * error(aliased, reference)


@pytest.mark.parametrize("name", ["cg_sense", "l1_wavelet", "spirit"])
def test_a_small_center_is_calibrated_with_a_kernel_that_fits_it(name):
    kspace = make_kspace()
    reference = rss(ifft2c(kspace))
    aliased = reconstruct("zero_filled", kspace, line_mask(3, 7), 7)
    # A 6 x 6 kernel gives an error of four times the aliasing here.
    assert error(reconstruct(name, kspace, line_mask(3, 7), 7), reference) < 0.3 * error(aliased, reference)


def test_grappa_takes_fewer_lines_where_the_center_has_few_equations():
    kspace = make_kspace()
    reference = rss(ifft2c(kspace))
    aliased = reconstruct("zero_filled", kspace, line_mask(3, 11), 11)
    # A fit with as many equations as weights leaves half of the aliasing here.
    assert error(reconstruct("grappa", kspace, line_mask(3, 11), 11), reference) < 0.3 * error(aliased, reference)


@pytest.mark.parametrize("name", ["cg_sense", "l1_wavelet", "spirit"])
def test_a_two_dimensional_pattern_is_undone(name):
    kspace = make_kspace()
    generator = torch.Generator().manual_seed(0)
    pattern = torch.rand(SIZE, generator=generator) < 0.3
    pattern[20:44, 18:42] = True
    reference = rss(ifft2c(kspace))
    assert error(reconstruct(name, kspace, pattern, 24), reference) < 0.4 * error(
        reconstruct("zero_filled", kspace, pattern, 24), reference
    )


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_the_image_scales_with_the_data(name):
    kspace = make_kspace()
    image = reconstruct(name, kspace, line_mask(), 20)
    scaled = reconstruct(name, 1e-6 * kspace, line_mask(), 20)
    assert error(1e6 * scaled, image) < 1e-3


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_an_empty_slice_stays_empty_and_finite(name):
    image = reconstruct(name, torch.zeros_like(make_kspace()), line_mask(), 20)
    assert (image == 0).all()


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_every_batch_element_is_reconstructed_alone(name):
    first, second = make_kspace(), 2 * make_kspace().flip(-2)
    masks = torch.stack([line_mask(3, 20), line_mask(4, 16)])[:, None, None]
    masked = torch.where(masks, torch.stack([first, second]), 0.0)
    with torch.inference_mode():
        both = build_model(name)(masked, masks, torch.tensor([20, 16]))
    assert error(both[0], reconstruct(name, first, line_mask(3, 20), 20)) < 1e-4
    assert error(both[1], reconstruct(name, second, line_mask(4, 16), 16)) < 1e-4


def test_compressed_sensing_removes_incoherent_aliasing_that_least_squares_keeps():
    kspace = make_kspace(num_coils=3, noise=0.02)
    generator = torch.Generator().manual_seed(1)
    pattern = torch.rand(SIZE, generator=generator) < 0.15
    pattern[24:40, 22:38] = True
    reference = rss(ifft2c(make_kspace(num_coils=3, noise=0.0)))
    sparse = reconstruct("l1_wavelet", kspace, pattern, 16)
    assert error(sparse, reference) < 0.8 * error(reconstruct("cg_sense", kspace, pattern, 16), reference)


@pytest.mark.parametrize("name", ["grappa", "cg_sense", "l1_wavelet", "spirit"])
def test_a_mask_without_center_is_one_clear_line(name):
    mask = torch.zeros(SIZE[1], dtype=torch.bool)
    mask[1::4] = True
    with pytest.raises(DataError, match=r"found 0|no fully sampled centre|0 centre lines") as caught:
        reconstruct(name, make_kspace(), mask, 0)
    assert "\n" not in str(caught.value)


def test_grappa_refuses_a_two_dimensional_pattern():
    with pytest.raises(DataError, match="GRAPPA needs a mask of whole phase lines"):
        reconstruct("grappa", make_kspace(), torch.ones(SIZE, dtype=torch.bool), 40)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cgsense", {}, "no model is called 'cgsense'; there are zero_filled, grappa, cg_sense, l1_wavelet"),
        ("cg_sense", {"iterations": 3}, "cg_sense has no setting 'iterations'; did you mean 'num_iterations'?"),
        ("cg_sense", {"num_iterations": 0}, "cg_sense needs num_iterations >= 1 and damping >= 0, found 0 and 0.005"),
        ("cg_sense", {"damping": "nan"}, "cg_sense needs num_iterations >= 1 and damping >= 0, found 20 and nan"),
        ("cg_sense", {"damping": "inf"}, "cg_sense needs num_iterations >= 1 and damping >= 0, found 20 and inf"),
        ("grappa", {"regularization": -1.0}, "grappa needs odd readout_taps, even num_lines and regularization >= 0"),
        ("grappa", {"readout_taps": 4}, "grappa needs odd readout_taps, even num_lines and regularization >= 0"),
        ("l1_wavelet", {"threshold": -1.0}, "l1_wavelet needs num_iterations >= 1"),
        ("l1_wavelet", {"num_levels": 40}, "l1_wavelet needs num_iterations >= 1, threshold >= 0, num_levels 1 to 8"),
        ("zero_filled", {"a": 1}, "zero_filled has no setting 'a'; it has none"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(name, settings, message):
    with pytest.raises(ConfigError) as caught:
        build_model(name, settings)
    assert str(caught.value).startswith(message)


def test_settings_change_the_result():
    kspace = make_kspace(noise=0.05)
    rough = reconstruct("cg_sense", kspace, line_mask(), 20, num_iterations=1)
    damped = reconstruct("cg_sense", kspace, line_mask(), 20, damping=1.0)
    plain = reconstruct("cg_sense", kspace, line_mask(), 20)
    assert error(rough, plain) > 0.02
    assert error(damped, plain) > 0.2
    coarse = reconstruct("grappa", kspace, line_mask(), 20, readout_taps=1, num_lines=2)
    assert error(coarse, reconstruct("grappa", kspace, line_mask(), 20)) > 1e-3
    strong = reconstruct("l1_wavelet", kspace, line_mask(), 20, threshold=0.1)
    shallow = reconstruct("l1_wavelet", kspace, line_mask(), 20, threshold=0.1, num_levels=1)
    assert error(strong, shallow) > 1e-3


@pytest.mark.parametrize("name", ["cg_sense", "l1_wavelet"])
def test_a_centre_too_small_for_coil_maps_leaves_no_black_image(name):
    kspace = torch.from_numpy(scan(num_slices=1, num_coils=4, readout=8, phase=48))
    mask = torch.zeros(1, 1, 8, 48, dtype=torch.bool)
    mask[..., ::2, ::2] = mask[..., 2:6, 20:28] = True
    masked = torch.where(mask, kspace, 0)
    with pytest.warns(UserWarning, match="ESPIRiT finds no coil maps in a fully sampled centre of 4 lines"):
        image = build_model(name)(masked, mask, torch.tensor([4]))
    zero_filled = rss(ifft2c(masked))
    assert (image.norm() / zero_filled.norm()).item() == pytest.approx(1.0, abs=0.3)
