import threading
import time
from collections import Counter

import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.reconstruct.shared_slices import HeldSlices, Readers


class Counted:
    """Slices of their own number, and how often each was read."""

    def __init__(self, num_slices, seconds=0.0):
        self.shape = (num_slices, 2)
        self.seconds, self.reads = seconds, Counter()

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        time.sleep(self.seconds)
        self.reads[index] += 1
        if index == 3:
            raise DataError("slice 3 is damaged")
        return np.full(2, index)


def test_a_slice_is_read_once_until_it_is_let_go():
    source = Counted(3)
    held = HeldSlices(source)
    assert (held.shape, len(held)) == ((3, 2), 3)
    assert [int(one[0]) for one in (*held, *held, held[-1])] == [0, 1, 2, 0, 1, 2, 2]
    assert source.reads == {0: 1, 1: 1, 2: 1}
    held.let_go([0, 2, 2])
    assert held.num_held == 1
    assert int(held[2][0]) == 2
    assert source.reads == {0: 1, 1: 1, 2: 2}
    with pytest.raises(IndexError):
        held[3]


def test_of_many_threads_that_want_a_slice_one_reads_it_and_all_get_it():
    source, found = Counted(1, seconds=0.05), []
    held = HeldSlices(source)
    threads = [threading.Thread(target=lambda: found.append(int(held[0][0]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0] * 8
    assert source.reads[0] == 1


def test_a_damaged_slice_is_an_error_for_all_who_want_it():
    source = Counted(5)
    held = HeldSlices(source)
    for _ in range(2):
        with pytest.raises(DataError, match="slice 3 is damaged"):
            held[3]
    assert source.reads[3] == 1


@pytest.mark.parametrize("num_adjacent", [1, 3, 5])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (3, 0, 5, 1, 4, 2)])
def test_a_slice_is_needed_until_all_its_neighbours_were_read(num_adjacent, order):
    readers, reach = Readers(6, num_adjacent), num_adjacent // 2
    finished, gone = set(), set()
    for center in order:
        finished.add(center)
        gone |= set(readers.finish([center]))
        needed = {index for other in set(range(6)) - finished for index in range(6) if abs(index - other) <= reach}
        assert gone == set(range(6)) - needed
