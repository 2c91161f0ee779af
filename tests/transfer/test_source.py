"""Bytes by range: what is asked for, what is checked, what is tried again."""

import logging
import threading
import time
from pathlib import Path

import pytest
from transfer.archive_server import CANARY, ArchiveServer, Faults, running_server
from transfer.copying import BLOCK, IMPATIENT, NAME, signatures_in, traces_of, write_archive

from mrikit.errors import StorageError, TransferError
from mrikit.transfer.link import Link
from mrikit.transfer.retry import Patience
from mrikit.transfer.source import FileSource, HttpSource, LinkExpired

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def data(tmp_path):
    return write_archive(tmp_path / "source")


@pytest.fixture
def server(tmp_path, data):
    with running_server(tmp_path / "source", faults=Faults()) as server:
        yield server


def source_of(server: ArchiveServer, **options) -> HttpSource:
    signed = {key: options.pop(key) for key in ("signature", "expires_at") if key in options}
    return HttpSource(Link(server.url(NAME, **signed)), patience=options.pop("patience", IMPATIENT), **options)


def failure_of(server: ArchiveServer, **options) -> TransferError:
    with pytest.raises(TransferError) as caught:
        source_of(server, **options).read(0, 1000)
    assert not signatures_in(traces_of(caught.value))
    return caught.value


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
    assert server.bytes_sent <= 8 * BLOCK * 100_000 / BLOCK + 1


def test_giving_up_names_the_reason_and_the_number_of_tries(server):
    server.faults.busy_every = 1
    assert "the server is busy (503), 5 times in a row" in str(failure_of(server))


def test_a_server_that_is_gone_is_told_apart(tmp_path, data):
    with running_server(tmp_path / "source") as server:
        source = source_of(server)
    with pytest.raises(TransferError, match="cannot be reached, 5 times in a row"):
        source.read(0, 10)


def test_retry_after_is_honoured_and_bounded():
    patience = Patience(first_wait_s=0.001, max_wait_s=2.0)
    assert patience.wait_s(1, retry_after_s=1.5) == 1.5
    assert patience.wait_s(1, retry_after_s=3600) == 2.0
    assert patience.wait_s(1) <= 0.001


def test_waits_grow_with_the_failures_and_are_spread():
    patience = Patience(first_wait_s=1, max_wait_s=8)
    waits = [[patience.wait_s(num_failures) for _ in range(200)] for num_failures in (1, 3, 9)]
    assert [max(some) <= most for some, most in zip(waits, (1, 4, 8), strict=True)] == [True] * 3
    assert max(waits[1]) > 2
    assert min(waits[2]) < 2


def test_the_server_may_ask_to_wait(server, data):
    server.faults.busy_every, server.faults.retry_after = 2, "1"
    source = source_of(server, patience=Patience(first_wait_s=0.001, max_wait_s=0.25))
    began = time.monotonic()
    for start in (0, 10):
        source.read(start, 10)
    assert time.monotonic() - began >= 0.25


def test_an_expired_link_says_when_and_what_to_do(server):
    error = failure_of(server, expires_at=1_700_000_000)
    assert isinstance(error, LinkExpired)
    assert "the link expired on 2023-11-14 22:13 UTC (server clock 2" in str(error)
    assert "paste a new mail: the same command with it goes on from here" in str(error)


def test_an_expired_link_is_not_tried_again(server):
    failure_of(server, expires_at=1_700_000_000)
    assert len(server.requests) == 1


def test_a_link_that_only_our_clock_calls_expired_is_used(server, data):
    # The server's clock is a year behind, so its links of half a year ago are good.
    server.faults.clock_skew_s = -365 * 86400
    expires_at = int(time.time()) - 180 * 86400
    assert source_of(server, expires_at=expires_at).read(0, 10) == data[:10]


def test_a_link_that_only_our_clock_calls_good_is_expired(server):
    server.faults.clock_skew_s = 365 * 86400
    assert isinstance(failure_of(server), LinkExpired)


def test_a_refused_signature_is_no_expiry(server):
    error = failure_of(server, signature=f"{CANARY}x")
    assert not isinstance(error, LinkExpired)
    assert "the link was refused (403 SignatureDoesNotMatch)" in str(error)


def test_a_file_that_is_gone_is_named(server, tmp_path):
    (tmp_path / "source" / NAME).unlink()
    assert f"{NAME}: does not exist at the source (404 for http://127.0.0.1:" in str(failure_of(server))


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
    server.faults.throttle = 1000
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
    while not server.num_bodies:
        time.sleep(0.01)
    time.sleep(0.1)
    source.close()
    thread.join(2)
    assert not thread.is_alive()
    assert "was stopped" in str(errors[0])


def test_the_query_is_in_no_log(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.faults.busy_every = 2
    source = source_of(server)
    for start in range(4):
        source.read(start, 10)
    assert caplog.records
    assert not signatures_in(caplog.text)


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


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(StorageError, match="no such file"):
        FileSource(tmp_path / "none.tar")
