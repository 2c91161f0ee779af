import os
import subprocess
import sys

import numpy as np
import pytest

from mrikit.randomness import generator
from mrikit.simulate.coils import array_positions, coil_maps, coil_positions
from mrikit.simulate.noise import correlated_noise, noise_covariance

AXIS = np.linspace(-60, 60, 61, dtype=np.float32)


def maps(anatomy="brain", num_coils=8, patient=0, z=0.0):
    positions = coil_positions(anatomy, num_coils, (0, anatomy, patient))
    return coil_maps(positions, anatomy, AXIS, AXIS, z)


@pytest.mark.parametrize("anatomy", ["brain", "knee"])
@pytest.mark.parametrize("num_coils", [1, 2, 4, 7, 15, 20])
def test_there_are_as_many_maps_as_coils_and_together_they_see_everything(anatomy, num_coils):
    found = maps(anatomy, num_coils)
    assert found.shape == (num_coils, 61, 61)
    assert found.dtype == np.complex64
    energy = np.sqrt(np.sum(np.abs(found) ** 2, axis=0))
    assert energy.min() > 0.05
    if num_coils == 1:
        assert np.ptp(energy) == 0
    if num_coils >= 4:
        assert energy[30, 30] == pytest.approx(1, abs=0.35)
        # The skin beside a loop is bright and the ends of a single ring's field of view are dim, as in a real array.
        assert energy.max() < 40 * energy.min()


@pytest.mark.parametrize("anatomy", ["brain", "knee"])
def test_maps_change_slowly_in_the_plane_and_between_slices(anatomy):
    found, above = maps(anatomy), maps(anatomy, z=3.0)
    largest = np.abs(found).max()
    for axis in (1, 2):
        assert np.abs(np.diff(found, axis=axis)).max() < 0.12 * largest  # per 2 mm
    assert np.abs(found - above).max() < 0.2 * largest


def test_every_coil_sees_another_place_with_another_phase():
    found = maps(num_coils=6)
    peaks = {np.unravel_index(np.abs(one).argmax(), one.shape) for one in found}
    assert len(peaks) == 6
    flat = found.reshape(6, -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    likeness = np.abs(flat @ flat.conj().T) - np.eye(6)
    assert likeness.max() < 0.95
    assert np.ptp(np.angle(found[:, 30, 30])) > 2


def test_the_rings_turn_about_the_long_axis_of_the_body():
    brain, knee = (coil_positions(anatomy, 12, (0, anatomy, 0)) for anatomy in ("brain", "knee"))
    # Two rings: along the axis there are two positions, around it many.
    assert np.ptp(brain[:, 2]) < 0.5 * np.ptp(brain[:, 0])
    assert np.ptp(knee[:, 0]) < 0.6 * np.ptp(knee[:, 2])


def test_patients_lie_differently_in_the_coil():
    assert not np.allclose(maps(patient=0), maps(patient=1), atol=0.05)


def test_noise_has_the_covariance_it_was_given():
    positions = coil_positions("knee", 6, (0, "knee", 0))
    covariance = noise_covariance(positions, 2e-5, (0, "volume"))
    samples = correlated_noise(covariance, (300, 200), generator(0, "noise")).reshape(6, -1)
    found = samples @ samples.conj().T / samples.shape[1]
    assert np.abs(found - covariance).max() < 0.02 * np.abs(covariance).max()


@pytest.mark.parametrize("num_coils", [1, 4, 32, 64])
def test_a_noise_covariance_is_hermitian_positive_definite_with_the_asked_level(num_coils):
    positions = coil_positions("brain", num_coils, (0, "brain", 0))
    covariance = noise_covariance(positions, 3.0, (0, "volume"))
    np.testing.assert_allclose(covariance, covariance.conj().T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.trace(covariance).real / num_coils == pytest.approx(2 * 3.0**2)


def test_neighbouring_coils_share_noise_and_distant_ones_hardly():
    positions = coil_positions("knee", 8, (0, "knee", 0))
    covariance = noise_covariance(positions, 1.0, (0, "volume"))
    scale = np.sqrt(np.diag(covariance).real)
    correlation = np.abs(covariance) / np.outer(scale, scale)
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    nearest = np.where(distance > 0, distance, np.inf).argmin()
    assert 0.15 < correlation.flat[nearest] < 0.5
    assert correlation.flat[distance.argmax()] < 0.15


def test_noise_does_not_depend_on_the_number_of_threads():
    code = (
        "import hashlib, numpy as np\n"
        "from mrikit.simulate.noise import correlated_noise\n"
        "factor = np.tril(np.ones((12, 12))) + 1j * np.eye(12)\n"
        "noise = correlated_noise(factor @ factor.conj().T, (400, 300), np.random.default_rng(0))\n"
        "print(hashlib.sha256(noise.tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OMP_NUM_THREADS": num_threads, "OPENBLAS_NUM_THREADS": num_threads},
            capture_output=True,
            check=True,
        ).stdout
        for num_threads in ("1", "2")
    }
    assert len(digests) == 1


def test_an_array_hardly_moves_from_patient_to_patient_and_begins_behind_the_head():
    found = np.stack([array_positions(8, (0, "brain", patient)) for patient in range(200)])
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.stack([118 * 1.03 * np.cos(angles), 100 * 1.03 * np.sin(angles), np.zeros(8)], axis=1)
    np.testing.assert_allclose(found.mean(0), ring, atol=1.5)
    assert 3 < found.std(0).min() < found.std(0).max() < 8
    turns = np.rad2deg(np.arctan2(found[:, 0, 1] - found[:, 4, 1], found[:, 0, 0] - found[:, 4, 0]))
    assert 1.5 < np.std(turns) < 3.5  # those of 4 degrees at most, and of each loop's own place
    loops = np.stack([coil_positions("brain", 8, (0, "brain", patient)) for patient in range(200)])
    assert loops.std(0).max() > 50
