"""Memory stays flat however many slices are read."""

import gc
from pathlib import Path

import h5py
import pytest

from mrikit.data import SliceDataset, SliceKey, load_batches
from mrikit.volumes import open_volume, write_fastmri
from tests.volumes.scans import make_volume

NUM_SLICES = 10_000
FORMS = {"plain": {}, "gzip": {"compression": "gzip"}, "lzf": {"compression": "lzf"}}
"""How k-space is stored: read at known bytes, and in chunks, for which HDF5 opens the file again and again."""


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def write_forms(folder):
    for number, (name, options) in enumerate(FORMS.items()):
        volume = make_volume(num_slices=10, num_coils=2, matrix=(24, 20), seed=number, volume_id=name)
        write_fastmri(folder / f"{name}.h5", volume)
        with h5py.File(folder / f"{name}.h5", "r+") as file:
            del file["kspace"]
            chunks = {"chunks": (1, 2, 24, 20)} if options else {}
            file.create_dataset("kspace", data=volume.kspace, **options, **chunks)


def read_all(folder):
    """Open each file anew, and read all slices as a training does; how many there were."""
    dataset = SliceDataset([open_volume(path) for path in sorted(folder.glob("*.h5"))])
    keys = [
        (SliceKey(volume, index),) for volume, one in enumerate(dataset.volumes) for index in range(len(one.kspace))
    ]
    return sum(len(batch.keys) for batch in load_batches(dataset, keys, num_workers=2))


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_slices_of_files_that_are_opened_again_and_again(tmp_path):
    write_forms(tmp_path)
    num_read = 0
    while num_read < NUM_SLICES // 5:  # until caches and pools have their size
        num_read += read_all(tmp_path)
    before = resident_bytes()
    while num_read < NUM_SLICES:
        num_read += read_all(tmp_path)
    assert resident_bytes() - before < 1000 * NUM_SLICES * 4 // 5  # a slice has 8,000
