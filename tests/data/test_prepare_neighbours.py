from dataclasses import replace

import pytest
import torch
from phantoms import make_volume

from mrikit.data import SliceKey, choose_mask, make_example
from mrikit.errors import ConfigError
from tests.data.batches import PLAN, make_batch


class Counting:
    """A SliceArray that notes which slices are read."""

    def __init__(self, slices):
        self.slices, self.shape, self.reads = slices, slices.shape, []

    def __len__(self):
        return len(self.slices)

    def __getitem__(self, index):
        self.reads.append(index)
        return self.slices[index]


def test_an_example_with_neighbours_is_what_a_batch_holds_and_reads_every_slice_once():
    volume = make_volume(num_slices=4)
    mask = choose_mask(volume, PLAN)
    counting = volume.replaced(kspace=Counting(volume.kspace))
    example = make_example(counting, (0, 1, 3), mask, num_adjacent=3, max_readout=48)
    batch = make_batch([volume], [SliceKey(0, 0), SliceKey(0, 1), SliceKey(0, 3)], 3, max_readout=48)
    assert sorted(counting.kspace.reads) == [0, 1, 2, 3]
    assert example.masked_kspace.shape == (3, 3, 6, 48, 60)
    for name in ("masked_kspace", "mask", "num_center_lines", "reference", "data_range"):
        assert torch.equal(getattr(example, name), getattr(batch, name)), name
    assert (example.facts, example.crop) == (batch.facts, batch.crop)


def test_the_reference_of_an_example_with_neighbours_is_made_from_its_middle():
    volume = make_volume(num_slices=3)
    example = make_example(replace(volume, reference=None), (2,), choose_mask(volume, PLAN), num_adjacent=3)
    assert torch.allclose(example.reference[0], torch.from_numpy(volume.reference[2]), atol=1e-5)


def test_an_example_needs_a_middle_slice():
    volume = make_volume()
    with pytest.raises(ConfigError, match="adjacent slices are an odd number with the slice in the middle, found 2"):
        make_example(volume, (0,), choose_mask(volume, PLAN), num_adjacent=2)
