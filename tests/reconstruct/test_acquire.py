"""Networks that choose their lines while they measure."""

import numpy as np
import pytest
import torch
from reconstruct.learned_weights import ADAPTIVE, START, network, save_adaptive, write_volumes

from mrikit.data import MaskPlan
from mrikit.errors import ConfigError, DataError
from mrikit.masks import AcquiredRegion, center_lines
from mrikit.models.adaptive import keyed_draws, scan_of
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.physics.crop import center_crop
from mrikit.reconstruct import ReconstructConfig, build_method, reconstruct_folder, reconstruct_volume
from mrikit.reconstruct.acquire import adaptive_mask
from mrikit.storage import read_json
from mrikit.volumes import open_volume
from mrikit.volumes.reconstruction import read_chances, read_reconstruction

PLAN = MaskPlan(kind="learned", acceleration=28 / 9, center_fraction=START)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_volumes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_adaptive(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture(scope="module")
def made(data, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    reconstruct_folder(data, out, ReconstructConfig(weights=weights))
    return out


def directly(data, slice_index=0, settings=None):
    """What the network itself says of a slice of the first volume."""
    kspace = torch.from_numpy(np.asarray(open_volume(data / "v0.h5").kspace[slice_index]))[None]
    start = torch.from_numpy(center_lines(28, START)).expand(1, 1, 1, -1)
    model = network("adaptive_varnet", ADAPTIVE | (settings or {}))
    with torch.inference_mode():
        return kspace, model.acquire(scan_of(kspace), start, keyed_draws([("v0", slice_index, "acquire")]))


def test_each_slice_is_measured_as_validation_would(data, made):
    found = read_reconstruction(made / "v0.h5")
    for index in range(2):
        kspace, expected = directly(data, index)
        lines = expected.extras["mask"] > 0
        assert np.array_equal(found.masks[index], lines[0, 0, 0].numpy())
        np.testing.assert_allclose(found.image[index], center_crop(expected.image, (24, 20))[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found.chances[index], expected.extras["probabilities"][:, 0])
        shown = ZeroFilled(ZeroFilledConfig())(kspace * lines, lines, torch.tensor([4]))
        np.testing.assert_allclose(found.zero_filled[index], center_crop(shown, (24, 20))[0], rtol=1e-5, atol=1e-6)


def test_the_mask_says_what_all_slices_share_and_the_true_acceleration(made):
    found = read_reconstruction(made / "v1.h5")
    assert (found.masks.sum(1) == 9).all()
    assert np.array_equal(found.mask.samples, found.masks.all(0))
    assert found.mask.samples[center_lines(28, START)].all()
    assert found.mask.kind == "adaptive"
    assert found.mask.true_acceleration == pytest.approx(28 / 9)
    assert read_json(made / "reconstruct.json")["mask"] == PLAN.facts
    assert read_chances(made / "v1.h5").shape == (2, 2, 28)


def test_the_same_command_gives_the_same_bits(data, weights, made, tmp_path):
    reconstruct_folder(data, tmp_path, ReconstructConfig(weights=weights, mask=PLAN))
    one, two = (read_reconstruction(folder / "v1.h5") for folder in (made, tmp_path))
    for name in ("image", "zero_filled", "masks", "chances"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_slices_given_together_are_measured_as_alone(data, weights):
    volume, method = open_volume(data / "v0.h5"), build_method(ReconstructConfig(weights=weights))
    alone, together = (reconstruct_volume(volume, method, PLAN, slices_at_a_time=size) for size in (1, 2))
    assert np.array_equal(alone.masks, together.masks)
    np.testing.assert_allclose(together.image, alone.image, rtol=1e-4, atol=1e-5)


def test_where_memory_does_not_suffice_fewer_are_measured_at_a_time(data, weights, monkeypatch):
    volume, method = open_volume(data / "v0.h5"), build_method(ReconstructConfig(weights=weights))
    acquire = method.model.acquire

    def in_little_memory(measure, start, draws):
        if len(start) > 1:
            raise torch.OutOfMemoryError
        return acquire(measure, start, draws)

    expected = reconstruct_volume(volume, method, PLAN, slices_at_a_time=1)
    monkeypatch.setattr(method.model, "acquire", in_little_memory)
    found = reconstruct_volume(volume, method, PLAN, slices_at_a_time=2)
    assert np.array_equal(found.image, expected.image)
    assert np.array_equal(found.masks, expected.masks)


def test_the_likeliest_lines_are_their_own_chance(data, tmp_path):
    weights = save_adaptive(tmp_path / "w.safetensors", {"decides": "top_k"})
    reconstruct_folder(data, tmp_path / "out", ReconstructConfig(weights=weights))
    found = read_reconstruction(tmp_path / "out" / "v0.h5")
    assert np.array_equal(found.chances.sum(1) + center_lines(28, START), found.masks)


def test_undersampled_volumes_are_not_measured_again(weights, tmp_path):
    lines = (np.arange(28) % 2 == 0) | center_lines(28, START)
    data = write_volumes(tmp_path / "data", num_volumes=1, mask=lines)
    summary = reconstruct_folder(data, tmp_path / "out", ReconstructConfig(weights=weights))
    found = read_reconstruction(tmp_path / "out" / "v0.h5")
    assert summary.num_own_mask == 1
    assert found.masks is None
    kspace, mask = torch.from_numpy(np.asarray(open_volume(data / "v0.h5").kspace[0]))[None], torch.from_numpy(lines)
    with torch.inference_mode():
        image = network("adaptive_varnet", ADAPTIVE)(
            kspace, mask[None, None, None], torch.tensor([found.mask.num_center_lines])
        )
    np.testing.assert_allclose(found.image[0], center_crop(image, (24, 20))[0], rtol=1e-4, atol=1e-5)


def test_another_mask_is_measured_instead_with_a_warning(data, weights, tmp_path):
    plan = MaskPlan(kind="random", acceleration=3, center_fraction=START)
    with pytest.warns(UserWarning, match="was trained with masks that were learned for it, and is given random"):
        reconstruct_folder(data, tmp_path, ReconstructConfig(weights=weights, mask=plan))
    assert read_reconstruction(tmp_path / "v0.h5").mask.kind == "random"


def test_weights_of_another_program_begin_as_the_plan_says(data, tmp_path):
    weights = save_adaptive(tmp_path / "w.safetensors", masks=[])
    plan = MaskPlan(kind="learned", acceleration=28 / 11, center_fraction=6 / 28)
    reconstruct_folder(data, tmp_path / "out", ReconstructConfig(weights=weights, mask=plan))
    found = read_reconstruction(tmp_path / "out" / "v0.h5")
    assert (found.masks.sum(1) == 11).all()
    assert found.masks[:, center_lines(28, 6 / 28)].all()


def test_it_can_be_timed(data, weights, tmp_path):
    reconstruct_folder(data, tmp_path, ReconstructConfig(weights=weights), is_timed=True)
    assert read_reconstruction(tmp_path / "v0.h5").timing.total_seconds > 0


def test_mirror_images_are_refused(weights):
    with pytest.raises(ConfigError, match=r"w\.safetensors: adaptive_varnet chooses lines .* leave out --flips"):
        build_method(ReconstructConfig(weights=weights, flips=True))


def test_volumes_of_another_matrix_are_named(weights, tmp_path):
    data = write_volumes(tmp_path / "data", num_volumes=1, size=(32, 48))
    with pytest.raises(DataError, match=r"v0\.h5, slice 0: .*32 x 48"):
        reconstruct_folder(data, tmp_path / "out", ReconstructConfig(weights=weights))


def test_lines_outside_of_what_was_acquired_do_not_count():
    lines = [np.arange(28) % 4 == 0, np.arange(28) % 2 == 0]
    region = AcquiredRegion.whole((32, 28), columns=(4, 24))
    mask, inside = adaptive_mask(lines, PLAN, region)
    assert [np.flatnonzero(one).tolist() for one in inside] == [[*range(4, 24, 4)], [*range(4, 24, 2)]]
    assert mask.true_acceleration == pytest.approx(2 * 20 / (5 + 10))
    assert np.array_equal(mask.samples, inside[0])
