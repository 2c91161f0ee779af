"""Coils that are whitened by the noise scan of their file."""

import numpy as np
import pytest
from phantoms import make_volume

from mrikit.errors import ConfigError, DataError
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.reconstruct.whitening import whitened
from mrikit.volumes import build_index, write_fastmri
from mrikit.volumes.reconstruction import read_reconstruction
from tests.volumes.mrd import header, line, lines, read, rss, samples, scan, write

KSPACE = scan(num_coils=3, readout=64, phase=48)
XML = header((64, 48, 1), center=24)
MIXING = np.array([[1, 0, 0], [2, 0.5, 0], [1j, 0.3, 4]])
CONFIG = ReconstructConfig(model="zero_filled", whiten=True)


def correlated(num_samples, num_coils=3):
    rng = np.random.default_rng(5)
    white = rng.standard_normal((3, num_samples)) + 1j * rng.standard_normal((3, num_samples))
    return (MIXING @ white / np.sqrt(2))[:num_coils]


def with_noise(path, kspace=KSPACE, num_coils=3):
    noise = [line(correlated(4096, num_coils), 0, flags=[19])]
    return write(path, XML, [*noise, *lines(kspace)])


def test_whitened_noise_is_independent_and_of_one_strength(tmp_path):
    noise = correlated(2 * 64 * 48).reshape(3, 2, 64, 48).swapaxes(0, 1)
    (volume,) = read(with_noise(tmp_path / "a.h5", noise))
    found = samples(whitened(volume)).swapaxes(0, 1).reshape(3, -1)
    covariance = found @ found.conj().T / found.shape[1]
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.08)


def test_a_slab_is_whitened_too(tmp_path):
    xml = header((64, 48, 2), center=24)
    acquisitions = [
        line(one[:, :, number], number, kspace_encode_step_2=place)
        for place, one in enumerate(KSPACE)
        for number in range(48)
    ]
    (volume,) = read(write(tmp_path / "a.h5", xml, [line(correlated(4096), 0, flags=[19]), *acquisitions]))
    matrix = whitened(volume).kspace.lines.whitening
    np.testing.assert_allclose(
        whitened(volume).kspace[30], np.einsum("ab,bcd->acd", matrix, volume.kspace[30]), rtol=1e-3, atol=1e-5
    )


def test_references_are_made_of_whitened_kspace_and_the_result_says_so(tmp_path):
    path = with_noise(tmp_path / "data" / "knee.h5")
    with pytest.warns(UserWarning, match="1 noise"):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    made = read_reconstruction(tmp_path / "out" / "knee.h5")
    assert made.config["whiten"] is True
    expected = rss(samples(whitened(read(path)[0])))
    np.testing.assert_allclose(made.reference, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made.image, expected, rtol=1e-4, atol=1e-4)


def test_images_with_and_without_whitening_are_not_mixed(tmp_path):
    with_noise(tmp_path / "data" / "knee.h5")
    with pytest.warns(UserWarning, match="1 noise"):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", ReconstructConfig(model="zero_filled"))
    assert "whiten" not in read_reconstruction(tmp_path / "out" / "knee.h5").config
    with pytest.raises(ConfigError, match="whiten False, asked for True"):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", CONFIG)


def test_an_indexed_volume_knows_its_noise_scan(tmp_path):
    with_noise(tmp_path / "knee.h5")
    volume = build_index(tmp_path).open("knee")
    assert "1 noise" in volume.info.notes[0]
    np.testing.assert_allclose(volume.kspace.noise_samples(), correlated(4096), rtol=1e-6)


@pytest.mark.parametrize("is_mrd", [True, False])
def test_a_file_without_a_noise_scan_is_refused_by_name(tmp_path, is_mrd):
    path = tmp_path / "data" / "knee.h5"
    write(path, XML, lines(KSPACE)) if is_mrd else write_fastmri(path, make_volume())
    with pytest.raises(DataError, match=r"knee\.h5: no noise scan in the file, by which --whiten whitens the coils"):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", CONFIG)


def test_a_noise_scan_of_other_coils_is_refused(tmp_path):
    (volume,) = read(with_noise(tmp_path / "a.h5", num_coils=2))
    with pytest.raises(DataError, match="the noise scan has 2 coils and the scan 3"):
        whitened(volume)
