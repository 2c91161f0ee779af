from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume

from mrikit.data import (
    MaskPlan,
    SliceBatch,
    SliceKey,
    choose_mask,
    cropped_shape,
    draw_masks,
    make_example,
    prepare,
)
from mrikit.errors import ConfigError
from mrikit.training.objectives import Draw
from mrikit.volumes import Volume

INFO = make_volume().info
PLANS = [MaskPlan(kind="equispaced", acceleration=4), MaskPlan(kind="random", acceleration=3, center_fraction=0.2)]


def draw(volume_ids, slices, seed=0, epoch=0, plans=PLANS, **facts):
    infos = [replace(INFO, volume_id=volume_id, **facts) for volume_id in volume_ids]
    keys = tuple(SliceKey(0, slice_index) for slice_index in slices)
    kspace = torch.ones(len(infos), 1, 1, *infos[0].matrix, dtype=torch.complex64)
    volumes = [Volume(kspace=kspace[0].numpy(), info=info) for info in infos]
    scan = prepare(SliceBatch(kspace=kspace, reference=None, keys=keys), volumes, has_reference=False)
    return draw_masks(plans, scan, Draw(seed, epoch).generators(scan, "mask"))


def same(one, other):
    return (one.samples == other.samples).all() and one.kind == other.kind


def test_a_training_mask_depends_on_its_sample_and_not_on_its_batch():
    names, slices = ["a", "b", "a", "c"], [0, 0, 1, 5]
    together = draw(names, slices)
    backwards = draw(names[::-1], slices[::-1])[::-1]
    for name, slice_index, mask, again in zip(names, slices, together, backwards, strict=True):
        assert same(mask, again)
        assert same(mask, draw([name], [slice_index])[0])


def test_seed_epoch_volume_and_slice_each_change_the_mask():
    plan = [MaskPlan(kind="random", acceleration=4)]
    usual = {"volume_ids": ["a"], "slices": [0], "plans": plan}
    masks = [
        draw(**usual | change)[0] for change in ({}, {"seed": 1}, {"epoch": 1}, {"volume_ids": ["b"]}, {"slices": [1]})
    ]
    assert len({mask.samples.tobytes() for mask in masks}) == 5


def test_every_plan_is_drawn_equally_often_and_as_it_says():
    masks = draw(["a"] * 400, range(400))
    kinds = [mask.kind for mask in masks]
    assert 150 < kinds.count("equispaced") < 250
    for mask in masks:
        plan = PLANS[mask.kind == "random"]
        assert (mask.kind, mask.acceleration) == (plan.kind, plan.acceleration)
        assert mask.num_center_lines == round(60 * plan.center_fraction)
    offsets = [mask.offset for mask in masks if mask.kind == "equispaced"]
    assert {offsets.count(offset) > 25 for offset in range(4)} == {True}
    outer = np.mean([mask.samples[:20] for mask in masks if mask.kind == "random"])
    assert outer == pytest.approx((60 / 3 - 12) / 48, abs=0.02)


def test_a_training_mask_leaves_out_what_the_scanner_filled_with_zeros():
    for mask in draw(["a"] * 20, range(20), padding=(6, 51)):
        assert not mask.samples[:6].any()
        assert not mask.samples[51:].any()
        assert mask.true_acceleration == pytest.approx(45 / mask.samples.sum())


def test_no_plan_at_all_is_refused():
    with pytest.raises(ConfigError, match="training needs at least one mask plan, found none"):
        draw(["a"], [0], plans=[])


def test_a_planned_mask_of_the_file_is_applied_unless_there_is_another_plan():
    lines = np.arange(60) % 5 == 0
    lines[26:34] = True
    full = make_volume()
    planned = replace(full, planned_mask=lines)
    found = choose_mask(planned, None)
    assert (found.kind, found.acceleration, found.num_center_lines) == ("stored", 5.0, 8)
    np.testing.assert_array_equal(found.samples, lines)
    assert choose_mask(full, None).kind == "full"
    assert same(choose_mask(planned, PLANS[0]), choose_mask(full, PLANS[0]))
    assert planned.is_fully_sampled


def test_a_planned_mask_leaves_out_what_the_scanner_filled_with_zeros():
    volume = make_volume()
    planned = replace(volume, planned_mask=np.arange(60) % 5 == 0, info=replace(volume.info, padding=(6, 51)))
    assert choose_mask(planned, None).samples.nonzero()[0].tolist() == list(range(10, 51, 5))


def test_a_mask_that_was_applied_comes_before_a_planned_one():
    lines = np.arange(60) % 4 == 0
    volume = replace(make_volume(mask=lines), planned_mask=np.arange(60) % 3 == 0)
    np.testing.assert_array_equal(choose_mask(volume, None).samples, lines)
    assert not volume.is_fully_sampled


def test_masks_are_drawn_for_the_shape_that_kspace_has_when_it_is_masked():
    plan = MaskPlan(kind="variable_density_2d")
    (mask,) = draw(["a"], [0], plans=[plan], matrix=(40, 60), recon_matrix=(20, 20))
    assert mask.samples.shape == (40, 60)
    assert choose_mask(make_volume(), plan, (40, 60)).samples.shape == (40, 60)
    assert choose_mask(make_volume(), plan).samples.shape == INFO.matrix


def test_a_pattern_is_drawn_for_kspace_that_was_cropped_along_the_readout():
    volume = make_volume()
    shape = cropped_shape(volume.info, 1)
    assert shape[0] < volume.info.matrix[0]
    mask = choose_mask(volume, MaskPlan(kind="poisson_disc"), shape)
    example = make_example(volume, (0,), mask, max_readout=1)
    assert example.masked_kspace.shape[-2:] == shape
    assert torch.equal(example.masked_kspace[0, 0] != 0, torch.from_numpy(mask.samples))


def with_own_mask(**stated):
    """A test file: 8 lines of the centre, and lines beside them that belong to the grid."""
    lines = np.zeros(60, bool)
    lines[::4] = lines[26:34] = lines[25] = lines[34] = True
    volume = make_volume(mask=lines)
    return replace(volume, info=replace(volume.info, **stated))


def test_the_numbers_that_a_file_gives_of_its_mask_go_before_estimates():
    estimate, stated = (choose_mask(with_own_mask(**facts), None) for facts in ({}, {"num_center_lines": 8}))
    assert (estimate.num_center_lines, stated.num_center_lines) == (10, 8)
    assert choose_mask(with_own_mask(acceleration=5.0), None).acceleration == 5.0
    assert (estimate.samples == stated.samples).all()


def test_more_center_lines_than_the_mask_has_are_not_believed():
    with pytest.warns(UserWarning, match=r"file1000001: its file says that 12 lines .*, its mask has 10; the mask co"):
        mask = choose_mask(with_own_mask(num_center_lines=12), None)
    assert mask.num_center_lines == 10


def test_what_a_file_says_of_a_mask_does_not_count_for_a_full_scan():
    volume = make_volume()
    volume = replace(volume, info=replace(volume.info, acceleration=4.0, num_center_lines=8))
    mask = choose_mask(volume, None)
    assert (mask.kind, mask.acceleration, mask.num_center_lines) == ("full", 1.0, 60)


def test_lines_that_go_by_what_was_acquired_follow_the_volume():
    plan = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0, settings={"offset": "acquired"})
    kspace = torch.zeros(1, 1, *INFO.matrix, dtype=torch.complex64)
    kspace[..., 6:] = 1
    volume = Volume(kspace=kspace.numpy(), info=replace(INFO, padding=(6, INFO.matrix[1])))
    lines = np.flatnonzero(choose_mask(volume, plan).samples)
    assert lines.tolist() == list(range(6, INFO.matrix[1], 4))
    scan = prepare(SliceBatch(kspace=kspace[None], reference=None, keys=(SliceKey(0, 0),)), [volume])
    drawn = draw_masks([plan], scan, Draw(3, 1).generators(scan, "mask"))[0]
    assert np.flatnonzero(drawn.samples).tolist() == lines.tolist()
