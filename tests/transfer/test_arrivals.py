"""Bytes are counted as they come, and each of them once."""

import pytest
from transfer.copying import archive, settings

from mrikit.transfer.copying.arrivals import Arrivals
from mrikit.transfer.copying.stream import copy_archives
from mrikit.transfer.results import CopyEvent

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def slow_server(server, data):
    """One that needs a second for the archive, and breaks off in its middle."""
    server.faults.throttle = float(len(data))
    server.faults.truncate_every, server.faults.truncate_after = 1, len(data) // 2 + 1
    return server


def test_bytes_are_told_as_they_come(slow_server, data, tmp_path):
    moved: list[int] = []
    [result] = copy_archives(
        [archive(slow_server)],
        tmp_path / "to",
        settings=settings(block_bytes=2**21, memory_bytes=2**21),
        on_event=lambda event: moved.append(event.num_bytes) if event.kind == "moved" else None,
    )
    assert (sum(moved), result.moved_bytes) == (len(data), len(data))
    assert len(moved) > 2
    assert max(moved) < len(data) * 3 // 4


def test_bytes_of_a_block_that_fails_are_given_back(slow_server, data, tmp_path):
    moved: list[int] = []

    def change_the_source(event: CopyEvent) -> None:
        if event.kind == "moved":
            moved.append(event.num_bytes)
            slow_server.faults.etag = '"etag-2"'

    [result] = copy_archives(
        [archive(slow_server)],
        tmp_path / "to",
        settings=settings(block_bytes=2**21, memory_bytes=2**21),
        on_event=change_the_source,
    )
    assert (result.state, result.moved_bytes, sum(moved)) == ("failed", 0, 0)
    assert moved[0] > 0


def test_what_comes_twice_is_counted_once():
    now, moved = [0.0], []
    arrivals = Arrivals(clock=lambda: now[0])
    with arrivals.of_block(100, moved.append):
        for num_bytes in (60, 60, 30):
            now[0] += 1.0
            arrivals.count(num_bytes)
    arrivals.count(7)  # between two blocks
    assert moved == [60, 40]


@pytest.mark.parametrize("ignores_range", [False, True], ids=["ranges", "whole"])
def test_what_is_told_is_the_archive_also_without_ranges(server, data, tmp_path, ignores_range):
    server.faults.ignores_range, server.faults.truncate_every, server.faults.truncate_after = ignores_range, 3, 200_000
    moved: list[int] = []
    [result] = copy_archives(
        [archive(server)],
        tmp_path / "to",
        settings=settings(),
        on_event=lambda event: moved.append(event.num_bytes) if event.kind == "moved" else None,
    )
    assert (result.state, sum(moved), result.moved_bytes) == ("copied", len(data), len(data))
