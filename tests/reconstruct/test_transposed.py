"""Volumes that are undersampled along their readout: the image lies as its anatomy does."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import make_volume
from reconstruct.networks import SETTINGS, Watch, trained

from mrikit.checkpoint import save_weights
from mrikit.data import MaskPlan, choose_mask, choose_transposed_mask
from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model, model_settings
from mrikit.reconstruct import Method, ReconstructConfig, build_method, reconstruct_folder, reconstruct_volume
from mrikit.volumes import write_fastmri
from mrikit.volumes.reconstruction import find_reconstructions, read_reconstruction

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.25)
CHOOSER = {
    "matrix": (16, 16),
    "budget": 2,
    "num_cascades": 1,
    "num_channels": 2,
    "num_pools": 1,
    "num_policy_channels": 2,
}
ZERO_FILLED = ReconstructConfig(model="zero_filled")


def swapped(volume):
    """The same scan if the other axis had been the readout."""
    info = replace(
        volume.info,
        matrix=volume.info.matrix[::-1],
        recon_matrix=volume.info.recon_matrix[::-1],
        padding=(0, volume.info.matrix[0]),
    )
    return replace(volume, kspace=volume.kspace.swapaxes(2, 3), reference=volume.reference.swapaxes(1, 2), info=info)


def seen_by(model, volume, *, transposed):
    method = replace(trained(model), transposed=transposed)
    reconstruct_volume(volume, method, PLAN, slices_at_a_time=1)
    return sorted((kspace.numpy() for kspace in model.seen), key=lambda kspace: np.abs(kspace).max())


def test_the_image_is_that_of_the_swapped_scan_turned_back():
    volume = make_volume(num_slices=2, num_coils=3, size=(64, 48), window=(40, 44))
    plain = build_method(ZERO_FILLED)
    found = reconstruct_volume(volume, replace(plain, transposed=True), PLAN)
    expected = reconstruct_volume(swapped(volume), plain, PLAN)
    np.testing.assert_allclose(found.image, expected.image.swapaxes(1, 2), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.zero_filled, expected.zero_filled.swapaxes(1, 2), rtol=1e-5, atol=1e-7)
    assert found.image.shape == (2, 40, 44)
    assert found.mask.samples.shape == (64,)
    np.testing.assert_array_equal(found.mask.samples, expected.mask.samples)
    assert found.config["transposed"]
    assert not expected.config["transposed"]


def test_a_full_scan_has_the_same_image_in_both_orientations():
    volume = make_volume(num_slices=1, num_coils=3, size=(64, 48), window=(40, 44))
    plain = build_method(ZERO_FILLED)
    sides = [reconstruct_volume(volume, replace(plain, transposed=side), None).image for side in (False, True)]
    np.testing.assert_allclose(sides[0], sides[1], rtol=1e-5, atol=1e-7)
    undersampled = [reconstruct_volume(volume, replace(plain, transposed=side), PLAN).image for side in (False, True)]
    assert np.abs(undersampled[0] - undersampled[1]).max() > 0.01 * sides[0].max()


def test_a_network_is_given_the_swapped_scan_with_its_neighbours():
    volume = make_volume(num_slices=3, num_coils=2, size=(32, 24), window=(24, 20))
    found = seen_by(Watch(3), volume, transposed=True)
    expected = seen_by(Watch(3), swapped(volume), transposed=False)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == (1, 3, 2, 24, 32)
        np.testing.assert_array_equal(one, other)


def test_rows_are_left_out_before_they_become_columns():
    """As in training: along the readout of the scanner."""
    volume = make_volume(num_slices=1, num_coils=2, size=(32, 24), window=(20, 20))
    model = Watch()
    reconstruct_volume(volume, replace(trained(model, max_readout=26), transposed=True), PLAN)
    assert model.seen[0].shape == (1, 2, 24, 26)


def test_a_network_that_sees_the_window_alone_sees_the_swapped_one():
    volume = make_volume(num_slices=1, num_coils=2, size=(32, 24), window=(24, 20))
    method = Method(name="unet", model=build_model("unet", SETTINGS | {"crops_before": True}).eval())
    found = reconstruct_volume(volume, replace(method, transposed=True), PLAN)
    expected = reconstruct_volume(swapped(volume), method, PLAN)
    np.testing.assert_allclose(found.image, expected.image.swapaxes(1, 2), rtol=1e-4, atol=1e-6)


def test_a_scan_without_a_reference_keeps_one_as_it_lies():
    volume = make_volume(num_slices=1, num_coils=2, size=(32, 24), window=(24, 20))
    reference, volume = volume.reference, replace(volume, reference=None)
    found = reconstruct_volume(volume, replace(build_method(ZERO_FILLED), transposed=True), PLAN)
    np.testing.assert_allclose(found.reference, reference, rtol=1e-5, atol=1e-7)


def test_the_mask_is_that_of_the_swapped_scan_without_what_the_scanner_left_out():
    volume = make_volume(num_slices=1, num_coils=2, size=(32, 24), window=(24, 20))
    kspace = volume.kspace.copy()
    kspace[:, :, :4] = 0  # an asymmetric echo: the first rows were not acquired
    volume = replace(volume, kspace=kspace)
    mask = choose_transposed_mask(volume, PLAN, (32, 24))
    assert mask.samples.shape == (32,)
    assert not mask.samples[:4].any()
    assert mask.samples[4:].any()
    assert choose_mask(volume, PLAN).samples.shape == (24,)


def test_a_scan_that_is_undersampled_already_is_refused():
    volume = make_volume(num_slices=1, num_coils=2, size=(32, 24), window=(24, 20), mask=np.arange(24) % 2 == 0)
    with pytest.raises(DataError, match="undersampled along its phase axis, which cannot be swapped any more"):
        reconstruct_volume(volume, replace(build_method(ZERO_FILLED), transposed=True), PLAN)


def test_a_folder_is_of_one_orientation(tmp_path):
    write_fastmri(tmp_path / "data" / "v0.h5", make_volume(1, num_coils=2, size=(32, 24), window=(24, 20)))
    turned = replace(ZERO_FILLED, transposed=True, mask=PLAN)
    reconstruct_folder(tmp_path / "data", tmp_path / "recon", turned)
    (file,) = find_reconstructions(tmp_path / "recon")
    assert read_reconstruction(file).config["transposed"]
    with pytest.raises(ConfigError, match="reconstructions with transposed True, asked for False"):
        reconstruct_folder(tmp_path / "data", tmp_path / "recon", replace(turned, transposed=False))


def test_networks_that_learned_what_to_measure_are_refused(tmp_path):
    path, model = tmp_path / "net.safetensors", build_model("adaptive_varnet", CHOOSER)
    save_weights(path, "adaptive_varnet", model_settings(model), model.state_dict(), {})
    with pytest.raises(ConfigError, match="has learned what to measure, in one orientation; leave out --transposed"):
        build_method(ReconstructConfig(weights=path, transposed=True))


def test_weights_of_a_classifier_of_orientation_make_no_image(tmp_path):
    path, model = tmp_path / "who.safetensors", build_model("orientation_net", {"kind": "simple"})
    save_weights(path, "orientation_net", model_settings(model), model.state_dict(), {})
    with pytest.raises(ConfigError, match=r"judges images and makes none; give it to `mrikit evaluate .*--classifier`"):
        build_method(ReconstructConfig(weights=path))
    with pytest.raises(ConfigError, match="only tells images apart; add the weights of a network that makes images"):
        reconstruct_folder(tmp_path, tmp_path / "recon", ReconstructConfig(weights=path, task="auto"))
