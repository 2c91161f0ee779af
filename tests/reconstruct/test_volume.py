"""One volume: what is read, what the model is given, and how much of it at a time."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume
from reconstruct.networks import Watch, trained, unet

from mrikit.data import MaskPlan
from mrikit.errors import DataError, JobError
from mrikit.models import build_model
from mrikit.models.classical import ZeroFilled
from mrikit.parallel import map_on_cores
from mrikit.reconstruct import Method, reconstruct_volume
from mrikit.reconstruct.volume import one_ahead

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.2)


class Counted:
    """Slices of an array, and how often each was read."""

    def __init__(self, slices):
        self.slices, self.shape, self.reads = slices, slices.shape, Counter()

    def __len__(self):
        return len(self.slices)

    def __getitem__(self, index):
        self.reads[index] += 1
        return self.slices[index]


@pytest.mark.parametrize("has_reference", [True, False])
@pytest.mark.parametrize(("num_adjacent", "at_a_time", "num_threads"), [(1, 1, 1), (3, 1, 4), (5, 3, 1), (5, 1, 3)])
def test_every_slice_is_read_once(num_adjacent, at_a_time, num_threads, has_reference):
    volume = make_volume(num_slices=7, num_coils=1, size=(32, 28), window=(24, 20))
    counted = Counted(volume.kspace)
    volume = replace(volume, kspace=counted, reference=volume.reference if has_reference else None)
    method, before = trained(Watch(num_adjacent)), torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        reconstruct_volume(volume, method, PLAN, slices_at_a_time=at_a_time)
    finally:
        torch.set_num_threads(before)
    assert counted.reads == dict.fromkeys(range(7), 1)


def test_the_network_gets_the_neighbours_and_at_the_ends_the_last_slice_again():
    model, volume = Watch(num_adjacent=3), make_volume(num_slices=4, num_coils=2)
    result = reconstruct_volume(volume, trained(model), None)
    assert len(model.seen) == 4
    kspace = torch.from_numpy(volume.kspace)
    expected = {0: [0, 0, 1], 1: [0, 1, 2], 2: [1, 2, 3], 3: [2, 3, 3]}
    for index, neighbours in expected.items():
        assert any(torch.equal(seen[0], kspace[neighbours]) for seen in model.seen), index
    np.testing.assert_allclose(result.image, volume.reference, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.zero_filled, volume.reference, rtol=1e-4, atol=1e-6)


def test_the_readout_is_cropped_as_the_weights_say():
    model, volume = Watch(), make_volume(num_slices=1)
    result = reconstruct_volume(volume, trained(model, max_readout=48), None)
    assert model.seen[0].shape[-2:] == (48, 60)
    np.testing.assert_allclose(result.image, volume.reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_volume_is_given_at_the_matrix_and_with_the_coils_of_the_weights(num_threads):
    model, volume = Watch(num_adjacent=3), make_volume(num_slices=4)
    counted, before = Counted(volume.kspace), torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        result = reconstruct_volume(replace(volume, kspace=counted), trained(model, matrix=[24, 20], num_coils=6), None)
    finally:
        torch.set_num_threads(before)
    assert counted.reads == dict.fromkeys(range(4), 1)
    assert model.seen[0].shape == (1, 3, 6, 24, 20)
    assert result.image.shape == result.reference.shape == (4, 24, 20)
    # All six coils are there, only mixed, so that zero filling of full k-space gives the reference.
    np.testing.assert_allclose(result.image, result.reference, rtol=1e-3, atol=1e-5)
    assert (result.config["matrix"], result.config["num_coils"]) == ((24, 20), 6)


@pytest.mark.parametrize("name", ["cg_sense", "l1_wavelet", "grappa", "spirit"])
def test_several_slices_at_a_time_give_the_same_image(name):
    volume = make_volume(num_slices=3, num_coils=4)
    method = Method(name=name, model=build_model(name))
    one, two = (reconstruct_volume(volume, method, PLAN, slices_at_a_time=size).image for size in (1, 2))
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-5 * one.max())


def test_several_slices_at_a_time_give_the_same_image_of_a_network_and_are_counted_one_by_one():
    volume, done = make_volume(num_slices=3), []
    method = Method(name="unet", model=unet())
    one = reconstruct_volume(volume, method, PLAN, slices_at_a_time=1)
    two = reconstruct_volume(volume, method, PLAN, slices_at_a_time=2, on_slice=lambda *facts: done.append(facts))
    np.testing.assert_allclose(two.image, one.image, rtol=0, atol=1e-6 * one.image.max())
    np.testing.assert_array_equal(two.zero_filled, one.zero_filled)
    assert done == [("file1000001", 3)] * 3


class Small(ZeroFilled):
    """A model for which memory suffices for so many slices."""

    def __init__(self, most):
        super().__init__(None)
        self.most, self.seen = most, []

    def forward(self, masked_kspace, mask, num_center_lines):
        self.seen.append(len(masked_kspace))
        if len(masked_kspace) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(masked_kspace, mask, num_center_lines)


@pytest.fixture
def describable(monkeypatch):
    monkeypatch.setattr("mrikit.reconstruct.method.model_settings", lambda _model: {})


@pytest.mark.usefixtures("describable")
def test_where_memory_does_not_suffice_fewer_slices_are_taken_at_a_time():
    volume, model = make_volume(num_slices=5), Small(most=2)
    image = reconstruct_volume(volume, Method(name="small", model=model), None, slices_at_a_time=5).image
    assert model.seen == [5, 3, 2, 2, 1]
    np.testing.assert_allclose(image, volume.reference, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("describable")
def test_memory_that_does_not_suffice_for_one_slice_is_one_clear_line():
    message = r"^file1000001, slice 0: the memory of the device does not suffice for one slice; try --precision bf16"
    with pytest.raises(JobError, match=message):
        reconstruct_volume(make_volume(num_slices=1), Method(name="small", model=Small(most=0)), None)


@pytest.mark.usefixtures("describable")
def test_tf32_is_off_while_a_volume_is_reconstructed():
    found = []

    class Watching(ZeroFilled):
        def forward(self, *inputs):
            found.append(torch.backends.cudnn.allow_tf32)
            return super().forward(*inputs)

    before = torch.backends.cudnn.allow_tf32
    reconstruct_volume(make_volume(num_slices=1), Method(name="watching", model=Watching(None)), None)
    assert found == [False]
    assert torch.backends.cudnn.allow_tf32 is before


def test_one_thing_is_made_ahead_and_no_more():
    made = []

    def work(item):
        made.append(item)
        return 10 * item

    for position, found in enumerate(one_ahead(work, [0, 1, 2, 3])):
        assert found == 10 * position
        assert len(made) <= position + 2
    assert made == [0, 1, 2, 3]
    assert list(one_ahead(work, [])) == list(map_on_cores(work, [])) == []


def test_an_error_in_what_is_made_ahead_arrives_in_its_turn():
    parts = one_ahead(lambda item: 1 / item, [1, 0])
    assert next(parts) == 1
    with pytest.raises(ZeroDivisionError):
        next(parts)


def moved(move):
    volume = make_volume(num_slices=2)
    return replace(volume, kspace=move(np.asarray(volume.kspace)))


def test_kspace_with_its_centre_in_the_corner_is_refused():
    volume = moved(lambda kspace: np.fft.ifftshift(kspace, axes=(-2, -1)))
    with pytest.raises(DataError, match="file1000001: the k-space centre lies in the corner"):
        reconstruct_volume(volume, Method(name="zero_filled", model=build_model("zero_filled")), None)


def test_kspace_with_its_centre_beside_the_middle_is_said():
    volume = moved(lambda kspace: np.roll(kspace, 12, -1))
    with pytest.warns(UserWarning, match="file1000001: the energy of k-space has its peak at phase 42 instead of 30"):
        reconstruct_volume(volume, Method(name="zero_filled", model=build_model("zero_filled")), None)
