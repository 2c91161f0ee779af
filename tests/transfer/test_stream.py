"""Copying archives: what arrives, what is skipped, how the bounds hold."""

import hashlib
import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from azurite import ACCOUNT, ACCOUNT_KEY
from transfer.archive_server import Faults, running_server
from transfer.copying import BLOCK, NAME, archive, settings, signatures_in, write_archive

from mrikit.errors import ConfigError, StorageError
from mrikit.storage import BlobPath, file_state
from mrikit.storage.blob import blob_client
from mrikit.transfer.copying.blob_target import BlobTarget
from mrikit.transfer.copying.blocks import plan_blocks
from mrikit.transfer.copying.digest import InOrderDigest
from mrikit.transfer.copying.limits import Buffers, RateLimit
from mrikit.transfer.copying.stream import copy_archives, plan_copy
from mrikit.transfer.copying.targets import FolderTarget
from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyEvent

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def data(tmp_path):
    return write_archive(tmp_path / "source")


@pytest.fixture
def server(tmp_path, data):
    with running_server(tmp_path / "source", faults=Faults()) as server:
        yield server


def digest_of(data: bytes) -> dict[str, str]:
    return {NAME: hashlib.sha256(data).hexdigest()}


def test_an_archive_arrives_whole_and_checked(server, data, tmp_path):
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("copied", "ok", len(data))
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "to" / NAME).read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1])
def test_archives_of_any_size_arrive(server, tmp_path, size):
    data = write_archive(tmp_path / "source", size_bytes=size)
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum) == ("copied", "ok")
    assert (tmp_path / "to" / NAME).read_bytes() == data


def test_every_byte_is_asked_for_once(server, data, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert server.bytes_sent == len(data) + 1


def test_several_archives_arrive_in_their_order(server, tmp_path):
    names = [f"part_{number}.tar" for number in range(5)]
    contents = [write_archive(tmp_path / "source", name, 3 * BLOCK + number) for number, name in enumerate(names)]
    results = copy_archives([archive(server, name) for name in names], tmp_path / "to", settings=settings())
    assert [result.name for result in results] == names
    assert [(tmp_path / "to" / name).read_bytes() for name in names] == contents


def test_an_archive_that_is_there_costs_nothing(server, data, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    sent = server.bytes_sent
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("present", "ok", 0)
    assert server.bytes_sent == sent


def test_an_archive_that_is_there_needs_no_valid_link(server, data, tmp_path):
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    expired = archive(server, expires_at=1_700_000_000)
    assert copy_archives([expired], tmp_path / "to", settings=settings())[0].state == "present"


def test_an_archive_that_another_tool_brought_counts_by_its_size(server, data, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / NAME).write_bytes(data)
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum) == ("present", "not checked")


def test_a_digest_that_nobody_published_is_told(server, tmp_path):
    [result] = copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert result.checksum == "unpublished"


def test_a_mismatch_keeps_the_archive_and_is_remembered(server, data, tmp_path):
    for state in ("copied", "present"):
        [result] = copy_archives([archive(server)], tmp_path / "to", digests={NAME: "0" * 64}, settings=settings())
        assert (result.state, result.checksum, result.is_ok) == (state, "mismatch", False)
        assert "000000000000... is published; the archive is kept" in result.message
    assert (tmp_path / "to" / NAME).read_bytes() == data


def test_corrupted_bytes_are_a_mismatch(server, data, tmp_path):
    server.faults.corrupt_every = 7
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum) == ("copied", "mismatch")


def test_a_resumed_folder_is_checked_from_its_beginning(server, data, tmp_path):
    target = FolderTarget(tmp_path, plan_blocks(NAME, len(data), '"etag-1"', BLOCK))
    target.open()
    for number in (0, 1, 5):
        target.put(number, memoryview(data)[number * BLOCK : (number + 1) * BLOCK])
    target.close()
    [result] = copy_archives([archive(server)], tmp_path, digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("copied", "ok", len(data) - 3 * BLOCK)


def test_a_block_that_a_power_cut_damaged_comes_again(server, data, tmp_path):
    test_a_resumed_folder_is_checked_from_its_beginning(server, data, tmp_path / "first")
    to = tmp_path / "to"
    target = FolderTarget(to, plan_blocks(NAME, len(data), '"etag-1"', BLOCK))
    target.open()
    for number in range(20):
        target.put(number, memoryview(data)[number * BLOCK : (number + 1) * BLOCK])
    target.close()
    with (to / f".{NAME}.partial").open("rb+") as partial:
        partial.seek(3 * BLOCK)
        partial.write(bytes(BLOCK))
    events: list[CopyEvent] = []
    [result] = copy_archives(
        [archive(server)], to, digests=digest_of(data), settings=settings(), on_event=events.append
    )
    assert (result.checksum, result.moved_bytes) == ("ok", BLOCK + 77)
    assert any("block 3 is damaged on disk" in event.message for event in events)
    moved = sum(event.num_bytes for event in events if event.kind in ("begin", "moved"))
    assert moved == len(data)


def test_the_plan_says_what_is_there_and_changes_nothing(server, data, tmp_path):
    [plan] = plan_copy([archive(server)], tmp_path / "to", settings=settings())
    assert (plan.size_bytes, plan.present_bytes, plan.missing_bytes, plan.is_complete) == (
        len(data),
        0,
        len(data),
        False,
    )
    assert not (tmp_path / "to").exists()


def test_what_cannot_be_held_is_refused_before_anything_comes(server, tmp_path, full_disk):
    with pytest.raises(StorageError, match="are to come but only"):
        copy_archives([archive(server)], full_disk, settings=settings())
    assert list(full_disk.iterdir()) == []


def test_one_archive_that_fails_does_not_stop_the_others(server, data, tmp_path):
    missing = archive(server, "missing.tar")
    results = copy_archives([missing, archive(server)], tmp_path / "to", settings=settings())
    assert [result.state for result in results] == ["failed", "copied"]
    assert "missing.tar: does not exist at the source" in results[0].message


def test_events_tell_all_bytes_and_each_end(server, data, tmp_path):
    events: list[CopyEvent] = []
    copy_archives([archive(server)], tmp_path / "to", settings=settings(), on_event=events.append)
    assert [event.kind for event in events if event.kind != "moved"] == ["begin", "end"]
    assert sum(event.num_bytes for event in events) == len(data)


def test_a_rate_is_held_over_all_connections(server, data, tmp_path):
    began = time.monotonic()
    copy_archives([archive(server)], tmp_path / "to", settings=settings(max_rate=len(data) / 0.5))
    assert time.monotonic() - began > 0.4


def test_time_in_which_nothing_came_is_not_made_up_for():
    now = [0.0]
    waits: list[float] = []
    limit = RateLimit(100.0, waits.append, clock=lambda: now[0])
    limit.pace(50)
    now[0] = 10.0
    limit.pace(50)
    limit.pace(50)
    assert waits == [0.5, 0.5, 1.0]


def test_there_are_never_more_buffers_than_said():
    buffers = Buffers(2, 10)
    held = [buffers.take(), buffers.take()]
    waiting = threading.Thread(target=lambda: held.append(buffers.take()))
    waiting.start()
    waiting.join(0.05)
    assert len(held) == 2
    buffers.give(held.pop(0))
    waiting.join()
    assert len(held) == 2
    buffers.close()
    assert buffers.take() is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_connections": 0}, "num_connections is 0; at least 1"),
        ({"archives_at_once": 0}, "archives_at_once is 0; at least 1"),
        ({"memory_bytes": BLOCK - 1}, "one block of 65536 has to fit"),
        ({"max_rate": 0.0}, "more than 0 is needed"),
    ],
    ids=["connections", "archives", "memory", "rate"],
)
def test_bounds_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


@pytest.mark.parametrize("memory", [1, 3], ids=["one-buffer", "three-buffers"])
def test_little_memory_is_slow_but_enough(server, data, tmp_path, memory):
    names = ["a.tar", "b.tar", "c.tar"]
    for name in names:
        write_archive(tmp_path / "source", name, 5 * BLOCK)
    results = copy_archives(
        [archive(server, name) for name in names], tmp_path / "to", settings=settings(memory_bytes=memory * BLOCK)
    )
    assert [result.state for result in results] == ["copied"] * 3


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]], ids=["up", "down", "mixed"])
def test_blocks_in_any_order_have_one_digest(order):
    blocks = [bytes([number]) * 10 for number in range(4)]
    released: list[int] = []
    digest = InOrderDigest(4, frozenset(), None, released.append)
    for number in order:
        digest.add(number, memoryview(blocks[number]), lambda number=number: released.append(number))
    assert digest.hexdigest == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert sorted(released) == [0, 1, 2, 3]


def test_a_digest_that_is_dropped_lets_go_of_everything():
    released: list[int] = []
    digest = InOrderDigest(3, frozenset(), None, released.append)
    digest.add(2, memoryview(b"c"), lambda: released.append(2))
    assert released == []
    digest.drop()
    digest.add(0, memoryview(b"a"), lambda: released.append(0))
    assert (released, digest.hexdigest) == ([2, 0], None)


class TestBlob:
    def test_an_archive_arrives_whole_and_checked(self, server, data, blob_container):
        events: list[CopyEvent] = []
        [result] = copy_archives(
            [archive(server)],
            blob_container / "sub",
            digests=digest_of(data),
            settings=settings(),
            on_event=events.append,
        )
        assert (result.state, result.checksum, result.target) == ("copied", "ok", f"{blob_container}/sub/{NAME}")
        assert blob_client(blob_container / "sub" / NAME).download_blob().readall() == data
        notes = [event.message for event in events if event.kind == "note"]
        assert len(notes) == 1
        assert notes[0].startswith("Azure does not fetch from the links itself (404 CannotVerifyCopySource)")

    def test_a_mismatch_is_remembered(self, server, blob_container):
        for state in ("copied", "present"):
            [result] = copy_archives([archive(server)], blob_container, digests={NAME: "0" * 64}, settings=settings())
            assert (result.state, result.checksum) == (state, "mismatch")

    def test_a_resumed_blob_is_not_checked(self, server, data, blob_container):
        target = BlobTarget(blob_container / NAME, plan_blocks(NAME, len(data), '"etag-1"', BLOCK))
        target.put(3, memoryview(data)[3 * BLOCK : 4 * BLOCK])
        [result] = copy_archives([archive(server)], blob_container, digests=digest_of(data), settings=settings())
        assert (result.state, result.checksum, result.moved_bytes) == ("copied", "not checked", len(data) - BLOCK)
        assert blob_client(blob_container / NAME).download_blob().readall() == data

    def test_azure_fetches_from_links_that_it_accepts(self, blob_container, azurite_env, monkeypatch):
        # Azurite fetches from itself only: the link is one to a blob of its own.
        monkeypatch.setenv("SSL_CERT_FILE", azurite_env["REQUESTS_CA_BUNDLE"])
        data = os.urandom(3 * BLOCK + 7)
        offered = MailArchive(link=Link(_signed_url(blob_container / "source" / NAME, data)), name=NAME)
        sent: list[int] = []
        monkeypatch.setattr(BlobTarget, "put", lambda *_: sent.append(1))
        events: list[CopyEvent] = []
        [result] = copy_archives(
            [offered], blob_container, digests=digest_of(data), settings=settings(), on_event=events.append
        )
        assert (result.state, result.checksum, result.moved_bytes) == ("copied", "not checked", len(data))
        assert blob_client(blob_container / NAME).download_blob().readall() == data
        assert not sent
        assert not [event for event in events if event.kind == "note"]

    def test_the_signature_is_in_no_log_of_azures_client(self, server, blob_container, caplog):
        caplog.set_level(logging.DEBUG)
        copy_archives([archive(server)], blob_container, settings=settings())
        assert any("x-ms-copy-source" in record.getMessage() for record in caplog.records)
        assert not signatures_in(caplog.text)

    def test_an_empty_archive_arrives(self, server, blob_container, tmp_path):
        write_archive(tmp_path / "source", size_bytes=0)
        [result] = copy_archives([archive(server)], blob_container, settings=settings())
        state = file_state(blob_container / NAME)
        assert (result.state, state and state.size_bytes) == ("copied", 0)


def _signed_url(path: BlobPath, data: bytes) -> str:
    """A link that Azurite signs, to a blob of these bytes."""
    from azure.storage.blob import generate_blob_sas

    client = blob_client(path)
    client.upload_blob(data)
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    signature = generate_blob_sas(
        ACCOUNT, path.container, path.key, account_key=ACCOUNT_KEY, permission="r", expiry=expires_at
    )
    return f"{client.url}?{signature}"
