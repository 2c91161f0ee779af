"""Bytes by range: what is asked for, what is checked, what is tried again."""

import gzip
import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from transfer.archive_server import running_server
from transfer.copying import BLOCK, IMPATIENT, NAME, failure_of, source_of
from waiting import HANG_S, until

from mrikit.errors import StorageError, TransferError
from mrikit.storage import write_bytes
from mrikit.transfer.source import FileSource

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

MONDAY, TUESDAY = ({"Last-Modified": f"{day} Jan 2026 08:00:00 GMT"} for day in ("Mon, 05", "Tue, 06"))


def test_size_is_known_without_a_head_request(server, data):
    assert source_of(server).size_bytes == len(data)
    assert {request.method for request in server.requests} == {"GET"}


def test_size_costs_one_byte_and_is_asked_once(server, data):
    source = source_of(server)
    _ = [source.size_bytes for _ in range(3)]
    assert [request.num_bytes for request in server.requests] == [1]


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 1000), (12345, 3 * BLOCK), (20 * BLOCK, 77), (5, 0)])
def test_bytes_are_those_of_the_range(server, data, start, count):
    assert source_of(server).read(start, count) == data[start : start + count]


def test_an_empty_file_has_size_zero(server, tmp_path):
    (tmp_path / "source" / NAME).write_bytes(b"")
    assert source_of(server).size_bytes == 0


def test_a_range_beyond_the_end_is_refused(server, data):
    with pytest.raises(TransferError, match="were asked for"):
        source_of(server).read(len(data) - 1, 2)


def test_one_connection_serves_many_reads(server, data, caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")
    source = source_of(server)
    for number in range(5):
        source.read(number * 100, 100)
    assert sum("Starting new HTTP connection" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    "faults",
    [
        {"reset_every": 2, "reset_after": 2000},
        {"truncate_every": 3},
        {"wrong_range_every": 2},
        {"busy_every": 2, "busy_status": 503},
        {"busy_every": 2, "busy_status": 429},
        {"busy_every": 3, "busy_status": 500},
    ],
    ids=["reset", "truncate", "wrong-range", "503", "429", "500"],
)
def test_what_may_pass_is_tried_again(server, data, faults):
    vars(server.faults).update(faults)
    said: list[str] = []
    source = source_of(server, on_retry=said.append)
    found = b"".join(source.read(start, 5000) for start in range(1, 50_001, 5000))
    assert found == data[1:50_001]
    assert said
    assert all("next try in" in line and NAME in line for line in said)


def test_a_broken_answer_goes_on_where_it_broke(server, data):
    server.faults.truncate_every, server.faults.truncate_after = 1, 100_000
    assert source_of(server).read(0, 8 * BLOCK) == data[: 8 * BLOCK]
    assert server.bytes_sent == 8 * BLOCK + 1  # the size is asked for by one byte


def test_giving_up_names_the_reason_and_the_number_of_tries(server):
    server.faults.busy_every = 1
    assert "the server is busy (503), 5 times in a row" in str(failure_of(server))


def test_a_server_that_is_gone_is_told_apart(tmp_path, data):
    with running_server(tmp_path / "source") as server:
        source = source_of(server)
    with pytest.raises(TransferError, match="cannot be reached, 5 times in a row"):
        source.read(0, 10)


def test_time_in_which_bytes_come_does_not_count_as_waiting(server, data):
    server.faults.reset_every, server.faults.reset_after, server.faults.latency_s = 1, BLOCK, 0.05
    patience = replace(IMPATIENT, num_tries=1, give_up_after_s=0.5)
    assert source_of(server, patience=patience).read(0, 16 * BLOCK) == data[: 16 * BLOCK]


def test_a_source_that_changes_is_noticed(server, data):
    source = source_of(server)
    source.read(0, 10)
    server.faults.etag = '"etag-2"'
    with pytest.raises(TransferError, match="changed at the source"):
        source.read(10, 10)


def test_a_source_that_changes_its_size_is_noticed_without_etags(server, data, tmp_path):
    server.faults.etag = None
    source = source_of(server)
    source.read(0, 10)
    (tmp_path / "source" / NAME).write_bytes(data + b"more")
    with pytest.raises(TransferError, match="changed at the source"):
        source.read(10, 10)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
        ({"etag": "one"}, {"etag": "two"}),
        ({"etag": None, "headers": MONDAY}, {"headers": TUESDAY}),
        ({"etag": '"1"', "ignores_range": True}, {"etag": '"2"'}),
        ({"etag": None, "headers": MONDAY, "ignores_range": True}, {"headers": TUESDAY}),
    ],
    ids=["weak", "unquoted", "date", "no-range", "no-range-date"],
)
def test_a_source_that_changes_is_noticed_by_any_version(server, data, before, after):
    vars(server.faults).update(before)
    source = source_of(server)
    source.read(1000, 10)
    vars(server.faults).update(after)
    with pytest.raises(
        TransferError, match="changed at the source while it was copied; the same command copies it anew"
    ):
        source.read(0, 10)  # going back opens a stream anew


def test_a_source_that_got_shorter_is_noticed_without_etags(server, tmp_path):
    server.faults.etag = None
    source = source_of(server)
    source.read(0, 10)
    (tmp_path / "source" / NAME).write_bytes(b"short")
    with pytest.raises(TransferError, match="changed at the source"):
        source.read(1000, 10)


def test_a_source_can_be_asked_whether_it_is_what_it_was(server):
    source = source_of(server)
    source.read(0, 10)
    source.require_unchanged()
    server.faults.etag = '"etag-2"'
    with pytest.raises(TransferError, match="changed at the source"):
        source.require_unchanged()


@pytest.mark.parametrize("ignores_range", [False, True], ids=["ranged", "whole"])
def test_content_that_is_stored_encoded_arrives_as_it_is_stored(server, tmp_path, ignores_range):
    stored = gzip.compress(bytes(10_000), mtime=0)
    (tmp_path / "source" / NAME).write_bytes(stored)
    server.faults.headers, server.faults.ignores_range = {"Content-Encoding": "gzip"}, ignores_range
    source = source_of(server)
    assert source.size_bytes == len(stored)
    assert source.read(0, len(stored)) == stored
    source.close()


def test_a_server_that_ignores_ranges_is_read_in_order(server, data):
    server.faults.ignores_range = True
    source = source_of(server)
    assert not source.facts.is_ranged
    assert b"".join(source.read(start, 1000) for start in range(0, 5000, 1000)) == data[:5000]
    assert source.read(10_000, 10) == data[10_000:10_010]
    assert source.read(0, 10) == data[:10]
    source.close()
    assert len(server.requests) <= 3  # the size, one stream, and one more to go back


def test_a_stream_that_breaks_is_opened_again(server, data):
    server.faults.ignores_range, server.faults.reset_every, server.faults.reset_after = True, 2, 300_000
    source = source_of(server)
    assert b"".join(source.read(start, BLOCK) for start in range(0, 20 * BLOCK, BLOCK)) == data[: 20 * BLOCK]
    source.close()


def test_closing_ends_a_read_that_waits(server, data):
    server.faults.throttle = 10
    source = source_of(server)
    _ = source.size_bytes
    errors: list[Exception] = []

    def read() -> None:
        try:
            source.read(0, BLOCK)
        except TransferError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: server.num_bodies)
    time.sleep(0.1)
    source.close()
    thread.join(HANG_S)
    assert not thread.is_alive()
    assert "was stopped" in str(errors[0])


def test_files_are_read_by_range(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(range(100)))
    source = FileSource(path)
    assert (source.name, source.size_bytes, source.read(10, 3)) == ("a.tar", 100, b"\x0a\x0b\x0c")


def test_a_file_that_ends_early_is_an_error(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match=r"a\.tar: ends after 5 bytes, 10 were expected"):
        FileSource(path).read(0, 10)


def test_a_file_that_was_replaced_is_not_read_on(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(100))
    source = FileSource(path)
    source.read(0, 10)
    (tmp_path / "new").write_bytes(bytes([1]) * 100)
    os.utime(tmp_path / "new", ns=(0, 1))
    (tmp_path / "new").replace(path)
    with pytest.raises(StorageError, match=r"a\.tar: was replaced or changed while it was read"):
        source.read(10, 10)


def test_a_blob_that_was_replaced_is_not_read_on(blob_container):
    write_bytes(blob_container / "a.tar", bytes(100))
    source = FileSource(blob_container / "a.tar")
    source.read(0, 10)
    write_bytes(blob_container / "a.tar", bytes([1]) * 100)
    with pytest.raises(StorageError, match="changed by someone else meanwhile"):
        source.read(10, 10)


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(StorageError, match="no such file"):
        FileSource(tmp_path / "none.tar")
