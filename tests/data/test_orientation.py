from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume

from mrikit.data import (
    MaskPlan,
    SliceBatch,
    SliceDataset,
    SliceKey,
    center_crop,
    draw_masks,
    load_batches,
    orient,
    plan_epoch,
    prepare,
    transpose,
    undersample,
)
from mrikit.masks.mask import measured
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.training.objectives import Draw

SQUARE = {"size": (48, 48), "window": (32, 32)}


def scan_of(slices=(0,), num_adjacent=1, volume=None, **options):
    volume = volume or make_volume(num_slices=max(slices) + 1, num_coils=3)
    batch = SliceDataset([volume], num_adjacent).read([SliceKey(0, index) for index in slices])
    return prepare(batch, [volume] * len(slices), **options)


def are_equal(one, other):
    assert torch.equal(one.kspace, other.kspace)
    assert torch.equal(one.reference, other.reference)
    assert torch.equal(one.data_range, other.data_range)
    assert (one.crop, one.facts) == (other.crop, other.facts)


def swapped_file(volume):
    """The volume as if it had been scanned with readout and phase swapped."""
    info = volume.info
    info = replace(info, matrix=info.matrix[::-1], recon_matrix=info.recon_matrix[::-1], padding=(0, info.matrix[0]))
    kspace, reference = (np.ascontiguousarray(one.swapaxes(-1, -2)) for one in (volume.kspace, volume.reference))
    return replace(volume, kspace=kspace, reference=reference, info=info)


@pytest.mark.parametrize("num_adjacent", [1, 3])
def test_transposing_twice_is_the_identity(num_adjacent):
    scan = scan_of((0, 1, 2), num_adjacent)
    once = transpose(scan, [True] * 3)
    assert all(facts.is_transposed for facts in once.facts)
    assert once.shape == scan.shape[::-1]
    are_equal(transpose(once, [True] * 3), scan)


def test_a_transposed_slice_is_that_of_a_file_whose_axes_are_swapped():
    volume = make_volume(num_coils=3)
    found, wanted = transpose(scan_of(volume=volume), [True]), scan_of(volume=swapped_file(volume))
    are_equal(replace(found, facts=(replace(found.facts[0], is_transposed=False),)), wanted)


def test_its_reference_is_rss_of_its_k_space():
    found = transpose(scan_of(), [True])
    assert found.crop == (44, 40)
    made = center_crop(rss(ifft2c(found.kspace[:, 0])), found.crop)
    assert torch.allclose(found.reference, made, rtol=1e-5, atol=1e-6)


def test_lines_of_a_transposed_slice_are_rows_of_the_slice():
    scan, plan = scan_of(), MaskPlan(kind="random", acceleration=3)
    swapped = transpose(scan, [True])
    mask = draw_masks([plan], swapped, Draw(0, 0).generators(swapped, "mask"))[0]
    assert mask.samples.shape == (scan.shape[0],)
    rows = np.broadcast_to(mask.samples[:, None], scan.shape).copy()
    as_pattern = measured(rows, kind="stored", acceleration=3, num_center_lines=1)
    model = ZeroFilled(ZeroFilledConfig())
    images = [
        model(example.masked_kspace, example.mask, example.num_center_lines)
        for example in (undersample(swapped, [mask]), undersample(scan, [as_pattern]))
    ]
    assert torch.allclose(images[0].mT, images[1], atol=1e-6)


def test_the_former_readout_is_masked_as_it_was_cropped():
    scan = scan_of(max_readout=50)
    assert scan.shape == (50, 60)
    assert transpose(scan, [True]).shape == (60, 50)


@pytest.mark.parametrize("max_readout", [0, 50])
def test_columns_that_were_not_acquired_become_rows(max_readout):
    volume = make_volume(num_coils=2)
    kspace = volume.kspace.copy()
    kspace[..., :6] = 0
    volume = replace(volume, kspace=kspace, info=replace(volume.info, padding=(6, 60)))
    scan = scan_of(volume=volume, max_readout=max_readout)
    region = transpose(scan, [True]).facts[0].acquired
    np.testing.assert_array_equal(region.samples(), scan.facts[0].acquired.samples(scan.shape).T)
    assert (region.rows, region.columns) == ((6, 60), (0, scan.shape[0]))


def test_orientation_is_drawn_by_slice_and_not_by_batch():
    scan = scan_of(range(12), volume=make_volume(12, num_coils=2, **SQUARE))
    together = orient(scan, 0.5, seed=3, epoch=1)
    is_swapped = [facts.is_transposed for facts in together.facts]
    assert 2 < sum(is_swapped) < 10
    for index, swaps in enumerate(is_swapped):
        alone = orient(scan_of((index,), volume=make_volume(12, num_coils=2, **SQUARE)), 0.5, seed=3, epoch=1)
        assert alone.facts[0].is_transposed == swaps
        assert torch.equal(alone.kspace[0], together.kspace[index])
        assert torch.equal(together.kspace[index], scan.kspace[index].mT if swaps else scan.kspace[index])
        assert torch.equal(together.reference[index], scan.reference[index].mT if swaps else scan.reference[index])
    others = [orient(scan, 0.5, seed=seed, epoch=epoch).facts for seed, epoch in ((3, 2), (4, 1))]
    assert together.facts not in others


def test_slices_that_are_not_square_go_the_way_of_the_first():
    scan = scan_of(range(8))
    drawn = [orient(scan_of((index,)), 0.5, seed=0, epoch=0).facts[0].is_transposed for index in range(8)]
    assert len(set(drawn)) == 2
    for first in range(8):
        order = [*range(first, 8), *range(first)]
        found = orient(scan_of(order), 0.5, seed=0, epoch=0)
        assert {facts.is_transposed for facts in found.facts} == {drawn[first]}
        assert found.shape == (scan.shape[::-1] if drawn[first] else scan.shape)


def test_square_k_space_with_another_window_goes_one_way():
    scan = orient(scan_of(range(8), volume=make_volume(8, num_coils=2, size=(48, 48))), 0.5, seed=0, epoch=0)
    assert len({facts.is_transposed for facts in scan.facts}) == 1
    assert scan.reference.shape[-2:] == scan.crop


@pytest.mark.parametrize("num_workers", [0, 3])
def test_orientations_of_an_epoch_do_not_depend_on_workers(num_workers):
    volume = make_volume(7, num_coils=2)
    dataset = SliceDataset([volume])
    plan = plan_epoch(dataset.shapes, micro_batch_size=2, batch_size=2, seed=0, epoch=4)
    found = [
        [
            facts.is_transposed
            for facts in orient(prepare(batch, [volume] * len(batch.keys)), 0.5, seed=0, epoch=4).facts
        ]
        for batch in load_batches(dataset, plan, num_workers)
    ]
    firsts = [
        SliceBatch(
            kspace=torch.from_numpy(volume.kspace[[keys[0].slice_index]])[:, None], reference=None, keys=keys[:1]
        )
        for keys in plan
    ]
    wanted = [orient(prepare(first, [volume]), 0.5, seed=0, epoch=4).facts[0].is_transposed for first in firsts]
    assert [one[0] for one in found] == wanted


@pytest.mark.parametrize(("probability", "count"), [(0.0, 0), (1.0, 40)])
def test_nothing_or_all_is_transposed(probability, count):
    scan = scan_of((0,), volume=make_volume(1, num_coils=1, **SQUARE))
    found = [orient(scan, probability, seed=0, epoch=epoch).facts[0].is_transposed for epoch in range(40)]
    assert sum(found) == count
