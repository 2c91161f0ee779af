"""The running SHA256: what waits in memory, and what is read back."""

import hashlib

import pytest

from mrikit.transfer.copying.digest import InOrderDigest

BLOCKS = [bytes([number]) * 10 for number in range(5)]


@pytest.mark.parametrize("most_held", [0, 1, 2, 9])
def test_no_more_blocks_wait_in_memory_than_said_and_the_rest_is_read_back(most_held):
    read, waiting, most_waiting = [], set(), 0

    def read_back(number, feed):
        read.append(number)
        feed(memoryview(BLOCKS[number]))
        return True

    digest = InOrderDigest(5, frozenset(), read_back, pytest.fail, most_held)
    for number in (4, 3, 2, 1, 0):
        waiting.add(number)
        digest.add(number, memoryview(BLOCKS[number]), lambda number=number: waiting.discard(number))
        most_waiting = max(most_waiting, len(waiting))
    assert digest.hexdigest == hashlib.sha256(b"".join(BLOCKS)).hexdigest()
    assert not waiting
    assert most_waiting == min(most_held, 4)
    assert sorted(read) == list(range(1, 5 - min(most_held, 4)))
