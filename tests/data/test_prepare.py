from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume

from mrikit.data import (
    MaskPlan,
    SliceDataset,
    SliceKey,
    center_crop,
    choose_mask,
    make_example,
    prepare,
    undersample,
)
from mrikit.errors import ConfigError, DataError
from tests.data.batches import PLAN, make_batch, two_volumes


def anatomies(example):
    return [one.anatomy for one in example.facts]


def test_a_full_volume_is_undersampled_as_planned_and_always_the_same_way():
    volume = make_volume()
    mask = choose_mask(volume, PLAN)
    assert (mask.kind, mask.acceleration, mask.num_center_lines) == ("equispaced", 4, 6)
    assert (mask.samples == choose_mask(volume, PLAN).samples).all()
    other = replace(volume, info=replace(volume.info, volume_id="file1000004"))
    assert (mask.samples != choose_mask(other, PLAN).samples).any()


def test_a_full_volume_stays_full_without_a_plan():
    assert choose_mask(make_volume(), None).kind == "full"


def test_an_undersampled_volume_keeps_its_own_mask():
    lines = np.zeros(60, bool)
    lines[::3] = True
    lines[25:35] = True
    mask = choose_mask(make_volume(mask=lines), PLAN)
    assert mask.kind == "stored"
    assert (mask.samples == lines).all()


def test_zero_filled_columns_are_not_counted_as_acquired():
    volume = make_volume()
    volume = replace(volume, info=replace(volume.info, padding=(6, 54)))
    mask = choose_mask(volume, PLAN)
    assert not mask.samples[:6].any()
    assert mask.true_acceleration == pytest.approx(48 / mask.samples.sum())


def test_an_example_holds_the_sampled_lines_and_positive_zeros_elsewhere():
    volume = make_volume()
    mask = choose_mask(volume, PLAN)
    example = make_example(volume, (1, 0), mask)
    kept = torch.from_numpy(mask.samples)
    assert torch.equal(example.masked_kspace[..., kept], torch.from_numpy(volume.kspace[[1, 0]])[..., kept])
    unsampled = torch.view_as_real(example.masked_kspace[..., ~kept])
    assert (unsampled == 0).all()
    assert not torch.signbit(unsampled).any()
    assert example.mask.shape == (2, 1, 1, 60)
    assert example.num_center_lines.tolist() == [6, 6]
    assert [one.slice_index for one in example.facts] == [1, 0]
    assert torch.equal(example.reference, torch.from_numpy(volume.reference[[1, 0]]))
    assert example.data_range.tolist() == pytest.approx([volume.info.reference_max] * 2)


def test_an_undersampled_file_is_masked_again_so_that_nothing_leaks():
    lines = np.ones(60, bool)
    lines[1::2] = False
    lines[25:35] = True
    volume = make_volume(mask=lines)
    leaking = replace(volume, kspace=make_volume().kspace)
    example = make_example(leaking, (0,), choose_mask(leaking, None), has_reference=False)
    assert (example.masked_kspace[..., ~torch.from_numpy(lines)] == 0).all()


def test_the_reference_of_a_full_volume_without_one_is_its_root_sum_of_squares():
    volume = make_volume()
    example = make_example(replace(volume, reference=None), (1,), choose_mask(volume, PLAN))
    np.testing.assert_allclose(example.reference[0].numpy(), volume.reference[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("has_mask", [True, False])
def test_an_undersampled_volume_without_a_reference_has_none_also_where_its_file_stores_no_mask(has_mask):
    lines = np.ones(60, bool)
    lines[::2] = False
    volume = make_volume(mask=lines)
    if not has_mask:
        volume = replace(volume, mask=None)
    assert not volume.is_fully_sampled
    assert make_example(volume, (0,), choose_mask(volume, None), has_reference=False).reference is None
    with pytest.raises(DataError, match="file1000001: undersampled, and its file holds no reference"):
        make_example(volume, (0,), choose_mask(volume, None))


def test_a_reference_that_is_not_asked_for_is_not_read():
    class Damaged:
        shape = (2, 40, 44)

        def __getitem__(self, index):
            raise DataError("damaged")

    volume = replace(make_volume(), reference=Damaged())
    assert make_example(volume, (0,), choose_mask(volume, None), has_reference=False).reference is None
    with pytest.raises(DataError, match="damaged"):
        make_example(volume, (0,), choose_mask(volume, None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acceleration": float("nan")}, "an acceleration is a number from 1, found nan"),
        ({"acceleration": float("inf")}, "an acceleration is a number from 1, found inf"),
        ({"acceleration": 0}, "an acceleration is a number from 1, found 0"),
        ({"center_fraction": float("nan")}, "the centre fraction is a share in [0, 1], found nan"),
        ({"center_fraction": 2}, "the centre fraction is a share in [0, 1], found 2"),
        ({"kind": "foo"}, "no mask is called 'foo'; there are random, equispaced,"),
    ],
)
def test_a_plan_out_of_range_is_refused_before_anything_is_done(change, message):
    with pytest.raises(ConfigError) as caught:
        MaskPlan(**change)
    assert str(caught.value).startswith(message)


def test_a_two_dimensional_pattern_keeps_its_readout_axis():
    pattern = np.random.default_rng(0).random((64, 60)) < 0.3
    pattern[20:40, 20:40] = True
    volume = make_volume(mask=pattern)
    example = make_example(volume, (0,), choose_mask(volume, None), has_reference=False)
    assert example.mask.shape == (1, 1, 64, 60)
    assert torch.equal(example.mask[0, 0], torch.from_numpy(pattern))


def test_a_mask_of_another_width_is_refused():
    volume = make_volume()
    mask = choose_mask(make_volume(size=(64, 56)), PLAN)
    with pytest.raises(DataError, match="file1000001: a mask of 56 for k-space of 64 x 60; draw"):
        make_example(volume, (0,), mask)


@pytest.mark.parametrize(("size", "window", "first"), [(9, 4, 2), (8, 5, 1), (8, 8, 0), (7, 7, 0)])
def test_the_crop_starts_where_fastmri_starts_it(size, window, first):
    image = torch.arange(size * size).reshape(size, size)
    assert torch.equal(center_crop(image, (window, window)), image[first : first + window, first : first + window])


def test_an_array_is_cropped_as_a_tensor_and_not_copied():
    image = np.arange(3 * 9 * 8).reshape(3, 9, 8)
    cropped = center_crop(image, (4, 5))
    np.testing.assert_array_equal(cropped, center_crop(torch.from_numpy(image), (4, 5)))
    assert np.shares_memory(cropped, image)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(DataError, match=r"cannot crop \(9, 4\) from an image of \(8, 8\)"):
        center_crop(torch.zeros(8, 8), (9, 4))


def test_the_scored_window_never_exceeds_the_field_of_view():
    volume = make_volume()
    narrow = replace(volume, info=replace(volume.info, recon_matrix=(40, 80)))
    assert make_example(narrow, (0,), choose_mask(narrow, None)).crop == (40, 60)


def test_a_batch_of_two_volumes_is_what_each_is_alone():
    volumes, keys = two_volumes(), [SliceKey(1, 0), SliceKey(0, 2)]
    example = make_batch(volumes, keys)
    assert [(one.volume_id, one.slice_index) for one in example.facts] == [("file1000004", 0), ("file1000001", 2)]
    assert not torch.equal(example.mask[0], example.mask[1])
    for row, (volume, index) in enumerate(keys):
        alone = make_example(volumes[volume], (index,), choose_mask(volumes[volume], PLAN))
        for name in ("masked_kspace", "mask", "num_center_lines", "reference", "data_range"):
            assert torch.equal(getattr(example, name)[row], getattr(alone, name)[0]), name
        assert example.crop == alone.crop


def test_neighbours_are_undersampled_as_their_slice():
    volume = make_volume(num_slices=3)
    example = make_batch([volume], [SliceKey(0, 0), SliceKey(0, 1)], 3)
    kept = torch.from_numpy(choose_mask(volume, PLAN).samples)
    expected = torch.from_numpy(volume.kspace[np.array([[0, 0, 1], [0, 1, 2]])]) * kept
    assert example.mask.shape == (2, 1, 1, 1, 60)
    assert torch.equal(example.masked_kspace, expected)
    assert not torch.signbit(torch.view_as_real(example.masked_kspace[..., ~kept])).any()
    assert torch.equal(example.reference, torch.from_numpy(volume.reference[[0, 1]]))


def test_a_batch_leaves_what_was_read_as_it_is():
    volume = make_volume()
    batch = SliceDataset([volume]).read([SliceKey(0, 0)])
    before = batch.kspace.clone()
    undersample(prepare(batch, [volume]), [choose_mask(volume, PLAN)])
    assert torch.equal(batch.kspace, before)


def test_a_file_without_reference_gets_one_from_the_middle_slice_of_full_kspace():
    volume = make_volume(num_slices=3)
    example = make_batch([replace(volume, reference=None)], [SliceKey(0, 1)], 3)
    assert torch.allclose(example.reference[0], torch.from_numpy(volume.reference[1]), atol=1e-6)


def test_the_data_range_is_that_of_the_volume_or_else_of_the_slice():
    known, second = two_volumes()
    unknown = replace(second, info=replace(second.info, reference_max=None))
    example = make_batch([known, unknown], [SliceKey(0, 0), SliceKey(1, 0)])
    assert example.data_range.dtype == torch.float32
    assert example.data_range.tolist() == pytest.approx([known.reference.max(), unknown.reference[0].max()])
    assert known.reference[0].max() < known.reference.max()


def test_an_example_says_what_its_volumes_show():
    first, second = two_volumes()
    volumes = [first, replace(second, info=replace(second.info, anatomy=None, acquisition=None))]
    assert anatomies(make_batch(volumes, [SliceKey(1, 0), SliceKey(0, 2)])) == [None, "knee"]
    assert anatomies(make_example(first, (0, 1), choose_mask(first, PLAN))) == ["knee", "knee"]


def test_masks_of_one_and_two_dimensions_share_a_batch():
    pattern = np.random.default_rng(0).random((64, 60)) < 0.3
    pattern[20:40, 20:40] = True
    volumes = [make_volume(mask=pattern), make_volume()]
    example = make_batch(volumes, [SliceKey(0, 0), SliceKey(1, 0)])
    assert torch.equal(example.mask[0, 0], torch.from_numpy(pattern))
    line_mask = torch.from_numpy(choose_mask(volumes[1], PLAN).samples)
    assert torch.equal(example.mask[1, 0], line_mask.expand(64, 60))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_is_the_same_on_a_cuda_device():
    volumes, keys = two_volumes(), [SliceKey(1, 0), SliceKey(0, 2)]
    volumes[1] = replace(volumes[1], info=replace(volumes[1].info, reference_max=None))
    here, there = (make_batch(volumes, keys, 3, device=device) for device in ("cpu", "cuda"))
    for name in ("masked_kspace", "mask", "num_center_lines", "reference", "data_range"):
        assert getattr(there, name).is_cuda
        assert torch.equal(getattr(there, name).cpu(), getattr(here, name)), name


def test_a_reference_wider_than_the_field_of_view_is_cut_to_it():
    volume = make_volume(size=(64, 40), window=(40, 36))
    wide = np.pad(volume.reference, ((0, 0), (0, 0), (4, 4)))
    volume = replace(volume, reference=wide, info=replace(volume.info, recon_matrix=(40, 44)))
    example = make_batch([volume], [SliceKey(0, 1)])
    assert example.crop == (40, 40)
    assert example.reference.shape == (1, 40, 40)
    np.testing.assert_array_equal(example.reference[0], wide[1][:, 2:42])
