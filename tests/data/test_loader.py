import threading
from dataclasses import replace

import pytest
import torch
from phantoms import make_volume

from mrikit.data import (
    MaskPlan,
    SliceDataset,
    SliceKey,
    draw_masks,
    load_batches,
    plan_epoch,
    prepare,
    rank_share,
    undersample,
)
from mrikit.errors import DataError
from mrikit.training.objectives import Draw
from mrikit.volumes import open_volume, write_fastmri

PLANS = [MaskPlan(kind="equispaced_fraction", acceleration=4), MaskPlan(kind="random", acceleration=8)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four volumes of two shapes on disk, one without a reference."""
    folder = tmp_path_factory.mktemp("data")
    for number, size in enumerate([(24, 20), (24, 20), (24, 22), (24, 20)]):
        volume = make_volume(num_slices=3, num_coils=2, size=size, window=(16, 16))
        write_fastmri(folder / f"file{number}.h5", replace(volume, reference=None) if number == 3 else volume)
    return SliceDataset([open_volume(path) for path in sorted(folder.iterdir())])


def examples(dataset, num_workers, rank=0, world_size=1, epoch=0, num_adjacent=1):
    """What one rank trains on, in order."""
    dataset = SliceDataset(dataset.volumes, num_adjacent)
    plan = plan_epoch(dataset.shapes, micro_batch_size=2, batch_size=4, seed=5, epoch=epoch)
    for batch in load_batches(dataset, rank_share(plan, rank, world_size), num_workers):
        scan = prepare(batch, [dataset.volumes[key.volume] for key in batch.keys])
        yield undersample(scan, draw_masks(PLANS, scan, Draw(5, epoch).generators(scan, "mask")))


def assert_same(found, expected):
    assert (found.facts, found.crop) == (expected.facts, expected.crop)
    for name in ("masked_kspace", "mask", "num_center_lines", "reference", "data_range"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("num_adjacent", [1, 3])
@pytest.mark.parametrize("num_workers", [1, 4])
def test_any_number_of_workers_gives_the_same_examples(dataset, num_workers, num_adjacent):
    alone = list(examples(dataset, 0, num_adjacent=num_adjacent))
    assert len(alone) == 8
    for found, expected in zip(examples(dataset, num_workers, num_adjacent=num_adjacent), alone, strict=True):
        assert_same(found, expected)


def test_two_ranks_together_train_on_what_one_does(dataset):
    alone = list(examples(dataset, 0))
    ranks = [list(examples(dataset, 2, rank, 2)) for rank in range(2)]
    together = [example for pair in zip(*ranks, strict=True) for example in pair]
    for found, expected in zip(together, alone, strict=True):
        assert_same(found, expected)


def test_another_epoch_has_other_masks(dataset):
    def masks(epoch):
        found = {}
        for example in examples(dataset, 0, epoch=epoch):
            found.update(zip(example.facts, example.mask, strict=True))
        return found

    first, second = masks(0), masks(1)
    assert first.keys() == second.keys()
    assert sum(not torch.equal(first[key], second[key]) for key in first) > 6


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("mrikit-loader")]


class Gated:
    """A stand-in for SliceDataset whose reads are counted and fail where they are told to."""

    def __init__(self, bad=()):
        self.bad, self.started, self.lock = bad, 0, threading.Lock()

    def read(self, keys):
        with self.lock:
            self.started += 1
        if keys[0].slice_index in self.bad:
            raise DataError(f"slice {keys[0].slice_index} is bad")
        return keys


def batches(count):
    return [(SliceKey(0, index),) for index in range(count)]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_what_fails_in_a_worker_is_raised_when_its_batch_is_due(num_workers):
    loader = load_batches(Gated(bad=(4,)), batches(9), num_workers)
    assert [next(loader)[0].slice_index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(DataError, match="slice 4 is bad"):
        next(loader)
    assert loader_threads() == []


@pytest.mark.parametrize("num_workers", [1, 4])
def test_a_loader_reads_no_further_ahead_than_it_says(num_workers):
    source = Gated()
    loader = load_batches(source, batches(50), num_workers)
    for taken in range(1, 20):
        next(loader)
        assert source.started <= taken + num_workers
    assert len(loader_threads()) <= num_workers
    loader.close()
    assert loader_threads() == []
    assert source.started <= 19 + num_workers


def test_a_loader_without_workers_reads_when_it_is_asked():
    source = Gated()
    loader = load_batches(source, batches(5), 0)
    assert source.started == 0
    next(loader)
    assert source.started == 1
    assert loader_threads() == []


def test_a_loader_that_is_left_behind_stops_its_threads():
    loader = load_batches(Gated(), batches(50), 3)
    next(loader)
    assert loader_threads()
    del loader
    assert loader_threads() == []


def test_the_end_stops_the_threads():
    assert [keys[0].slice_index for keys in load_batches(Gated(), batches(7), 2)] == list(range(7))
    assert loader_threads() == []


def test_an_empty_plan_gives_nothing():
    assert list(load_batches(Gated(), [], 2)) == []
