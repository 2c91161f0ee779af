import numpy as np
import pytest
import torch

from mrikit.physics.fft import ifft1c, ifft2c
from mrikit.randomness import generator
from mrikit.simulate import ScanPlan, simulate_scan
from mrikit.simulate.contrast import ACQUISITIONS, signal
from mrikit.simulate.phantom import ANATOMIES, render_magnitude
from mrikit.simulate.scan import num_rendered_rows
from mrikit.simulate.tissue import TISSUES_3T, patient_tissues


def plan(**changes):
    settings = {
        "seed": 0,
        "anatomy": "knee",
        "patient": 0,
        "acquisition": "CORPD_FBK",
        "num_coils": 4,
        "num_slices": 2,
        "matrix": (128, 61),
        "recon_matrix": (64, 60),
        "num_acquired": 52,
        "volume_id": "volume",
        "patient_id": "patient",
    }
    return ScanPlan(**(settings | changes))


def render(anatomy, acquisition, z, patient=0, shape=(110, 96), pixel_mm=1.5):
    tissues = patient_tissues(3.0, generator(patient, "tissues"))
    signals = {name: signal(tissue, ACQUISITIONS[acquisition]) for name, tissue in tissues.items()}
    return render_magnitude(anatomy, (patient, anatomy), signals, shape=shape, pixel_mm=pixel_mm, z=z)


def correlation(first, second):
    return np.corrcoef(first.ravel(), second.ravel())[0, 1]


@pytest.fixture(scope="module")
def scan():
    return simulate_scan(plan())


def test_columns_outside_the_padding_are_exactly_positive_zero_and_those_inside_are_not(scan):
    left, right = scan.volume.info.padding
    assert (left, right) == (4, 56)
    outside = np.delete(scan.volume.kspace, np.s_[left:right], axis=-1)
    assert outside.tobytes() == bytes(outside.nbytes)
    assert (scan.volume.kspace[..., left:right] != 0).all()


def test_the_reference_is_the_root_sum_of_squares_of_the_stored_kspace(scan):
    images = ifft2c(torch.from_numpy(scan.volume.kspace)).abs().square().sum(1).sqrt().numpy()
    np.testing.assert_allclose(scan.volume.reference, images[:, 32:96, 0:60], rtol=2e-4)
    assert scan.volume.info.reference_max == scan.volume.reference.max()


@pytest.mark.parametrize("num_coils", [1, 4])
def test_the_oversampled_rim_of_the_readout_holds_noise_of_the_stated_covariance(num_coils):
    big = plan(num_coils=num_coils, matrix=(256, 128), recon_matrix=(128, 128), num_acquired=120, num_slices=2)
    found = simulate_scan(big)
    left, right = big.padding
    lines = ifft1c(torch.from_numpy(found.volume.kspace[..., left:right]), -2).numpy()
    rim = (256 - num_rendered_rows(big)) // 2
    noise = np.concatenate([lines[:, :, :rim], lines[:, :, -rim:]], axis=2)
    noise = noise.transpose(1, 0, 2, 3).reshape(num_coils, -1)
    measured = noise @ noise.conj().T / noise.shape[1]
    assert np.abs(measured - found.noise_covariance).max() < 0.04 * np.abs(found.noise_covariance).max()


def test_a_wider_view_shows_the_same_leg_smaller_with_dark_sides():
    settings = {"matrix": (128, 64), "recon_matrix": (64, 64), "num_acquired": 64}
    usual, wide = (simulate_scan(plan(**settings, field_of_view_mm=view)).volume for view in (0.0, 280.0))
    assert wide.info.fov_mm == pytest.approx((560, 280))
    assert usual.info.fov_mm == pytest.approx((280, 140))
    # Half the pixels across: the leg lies in the middle half, and what lies beside it is noise.
    sides = np.delete(np.asarray(wide.reference), np.s_[14:50], axis=2)
    assert sides.max() < 0.1 * wide.reference.max()
    halved = np.asarray(usual.reference).reshape(2, 32, 2, 32, 2).mean((2, 4))
    assert correlation(np.asarray(wide.reference)[:, 16:48, 16:48], halved) > 0.95


def test_noise_grows_by_its_factor():
    quiet, loud = (simulate_scan(plan(noise=noise)) for noise in (1.0, 3.0))
    np.testing.assert_allclose(loud.noise_covariance, 9 * quiet.noise_covariance)
    # The same draws, so that what differs is twice the noise of the first.
    added = np.asarray(loud.volume.kspace) - np.asarray(quiet.volume.kspace)
    left, right = loud.volume.info.padding
    power = np.mean(np.abs(added[..., left:right]) ** 2, axis=(0, 2, 3))
    np.testing.assert_allclose(power, 4 * np.diag(quiet.noise_covariance).real, rtol=0.03)


def test_the_body_stands_out_of_the_noise_by_the_factor_of_its_acquisition():
    found = simulate_scan(plan(num_coils=8, matrix=(192, 96), recon_matrix=(96, 92), num_acquired=96))
    sigma = np.sqrt(np.trace(found.noise_covariance).real / 8 / 2)
    tissue = np.percentile(found.volume.reference, 70)
    assert 0.3 * 95 < tissue / sigma < 3 * 95


def test_one_patient_has_one_anatomy_in_all_acquisitions():
    size = {"matrix": (192, 96), "recon_matrix": (96, 92), "num_acquired": 96}

    def image(**changes):
        return simulate_scan(plan(**size, **changes)).volume.reference[0]

    first = image()
    edges = [np.hypot(*np.gradient(np.log(one))) for one in (first, image(acquisition="CORPDFS_FBK"), image(patient=1))]
    assert correlation(edges[0], edges[1]) > correlation(edges[0], edges[2]) + 0.2


@pytest.mark.parametrize(
    ("changes"), [{"seed": 1}, {"patient": 1}, {"acquisition": "CORPDFS_FBK"}], ids=["seed", "patient", "acquisition"]
)
def test_another_seed_patient_or_acquisition_gives_other_kspace(scan, changes):
    assert not np.array_equal(simulate_scan(plan(**changes)).volume.kspace, scan.volume.kspace)


def test_the_phase_of_the_image_is_smooth_but_not_constant():
    found = simulate_scan(plan(num_coils=1, matrix=(256, 128), recon_matrix=(128, 128), num_acquired=128, num_slices=1))
    image = ifft2c(torch.from_numpy(found.volume.kspace))[0, 0].numpy()[64:192]
    strong = np.abs(image) > np.percentile(np.abs(image), 70)
    both = strong[:, 1:] & strong[:, :-1]
    steps = np.angle(image[:, 1:] * image[:, :-1].conj())[both]
    assert np.percentile(np.abs(steps), 95) < 0.4
    assert np.abs(np.mean(np.exp(1j * np.angle(image[strong])))) < 0.98


@pytest.mark.parametrize("anatomy", ["brain", "knee"])
def test_slices_resemble_their_neighbours_more_than_distant_ones(anatomy):
    acquisition = {"brain": "AXT2", "knee": "CORPD_FBK"}[anatomy]
    pixel_mm = {"brain": 2.2, "knee": 1.5}[anatomy]
    images = [render(anatomy, acquisition, z, pixel_mm=pixel_mm) for z in (0.0, 4.0, 24.0)]
    assert correlation(images[0], images[1]) > correlation(images[0], images[2]) + 0.05
    assert correlation(images[0], images[1]) > 0.8
    assert not np.array_equal(images[0], images[1])


@pytest.mark.parametrize("anatomy", ["brain", "knee"])
def test_the_body_is_the_same_on_coarse_and_fine_grids(anatomy):
    acquisition = {"brain": "AXT1", "knee": "CORPD_FBK"}[anatomy]
    fine = render(anatomy, acquisition, 5.0, shape=(300, 300), pixel_mm=0.7)
    coarse = render(anatomy, acquisition, 5.0, shape=(100, 100), pixel_mm=2.1)
    # Pixel n // 2 lies at 0 in both: a fine block is centred where its middle pixel is.
    averaged = np.roll(fine, 1, (0, 1)).reshape(100, 3, 100, 3).mean(axis=(1, 3))
    assert correlation(averaged, coarse) > 0.985


@pytest.mark.parametrize("anatomy", ["brain", "knee"])
def test_air_around_the_body_gives_no_signal_and_the_body_does(anatomy):
    pixel_mm = {"brain": 2.3, "knee": 1.5}[anatomy]
    image = render(anatomy, {"brain": "AXT2", "knee": "CORPD_FBK"}[anatomy], 8.0, pixel_mm=pixel_mm)
    assert (image[:, [0, -1]] == 0).all()
    assert 0.25 < (image > 0).mean() < 0.98
    assert image.min() >= 0


def test_images_have_edges_at_many_scales_as_real_ones_do():
    """Radial power falls as a power law with an exponent as natural images have it."""
    for anatomy, acquisition, pixel_mm in (("knee", "CORPD_FBK", 0.6), ("brain", "AXT2", 0.9)):
        image = render(anatomy, acquisition, 6.0, shape=(256, 256), pixel_mm=pixel_mm)
        power = np.abs(np.fft.fftshift(np.fft.fft2(image * np.hanning(256)[:, None] * np.hanning(256)))) ** 2
        y, x = np.indices(power.shape) - 128
        radius = np.hypot(y, x).astype(int)
        radial = np.bincount(radius.ravel(), power.ravel()) / np.bincount(radius.ravel())
        band = np.arange(6, 90)
        slope = np.polyfit(np.log(band), np.log(radial[band]), 1)[0]
        assert -4.0 < slope < -1.8


def test_fluid_is_bright_on_t2_and_dark_on_flair_where_the_ventricles_are():
    t2, flair = (render("brain", acquisition, 6.0, pixel_mm=2.2) for acquisition in ("AXT2", "AXFLAIR"))
    middle = np.s_[40:70, 35:61]
    fluid = t2[middle] > 0.75 * t2[middle].max()
    assert fluid.sum() > 10
    assert flair[middle][fluid].mean() < 0.6 * flair[middle][~fluid].mean()


def test_fat_under_the_skin_is_dark_only_with_fat_suppression():
    plain, suppressed = (render("knee", name, 0.0) for name in ("CORPD_FBK", "CORPDFS_FBK"))
    fat = plain > np.percentile(plain, 85)
    assert plain[fat].mean() > 1.5 * plain[plain > 0].mean()
    assert suppressed[fat].mean() < 0.9 * suppressed[suppressed > 0].mean()


@pytest.mark.parametrize("anatomy", ["brain", "knee"])
def test_every_layer_covers_between_nothing_and_everything_with_a_known_tissue(anatomy):
    from mrikit.simulate.frame import slice_frame

    axis = np.linspace(-100, 100, 70, dtype=np.float32)
    for patient in range(8):
        for z in (-38.0, -6.0, 9.0, 33.0):
            frame = slice_frame((patient, anatomy), axis, axis, z, pixel_mm=2.9)
            for layer in ANATOMIES[anatomy](frame):
                assert layer.tissue in TISSUES_3T
                assert layer.coverage.dtype == np.float32
                assert layer.coverage.min() >= 0
                assert layer.coverage.max() <= 1
                assert layer.texture is None or layer.texture.min() > 0
