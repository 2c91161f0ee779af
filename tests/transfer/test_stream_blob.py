"""Copying archives into Blob: what arrives, what Azure does by itself, how archives share memory."""

import logging
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceResponseTimeoutError
from azurite import ACCOUNT, ACCOUNT_KEY
from transfer.archive_server import CANARY
from transfer.copying import BLOCK, NAME, archive, digest_of, settings, signatures_in, write_archive
from waiting import HANG_S

from mrikit.storage import BlobPath, file_state
from mrikit.storage.blob import blob_client
from mrikit.transfer.copying.blob_target import BlobTarget, Refusal, _refusal
from mrikit.transfer.copying.blocks import plan_blocks
from mrikit.transfer.copying.stream import copy_archives
from mrikit.transfer.link import Link
from mrikit.transfer.mail import MailArchive
from mrikit.transfer.results import CopyEvent
from mrikit.transfer.source import HttpSource

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_an_archive_arrives_whole_and_checked(server, data, blob_container):
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


def test_a_mismatch_is_remembered(server, blob_container):
    for state in ("copied", "present"):
        [result] = copy_archives([archive(server)], blob_container, digests={NAME: "0" * 64}, settings=settings())
        assert (result.state, result.checksum) == (state, "mismatch")


def test_a_resumed_blob_is_not_checked(server, data, blob_container):
    target = BlobTarget(blob_container / NAME, plan_blocks(NAME, len(data), '"etag-1"', BLOCK))
    target.put(3, memoryview(data)[3 * BLOCK : 4 * BLOCK])
    [result] = copy_archives([archive(server)], blob_container, digests=digest_of(data), settings=settings())
    assert (result.state, result.checksum, result.moved_bytes) == ("copied", "not checked", len(data) - BLOCK)
    assert blob_client(blob_container / NAME).download_blob().readall() == data


def test_azure_fetches_from_links_that_it_accepts(blob_container, azurite_env, monkeypatch):
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


def test_the_signature_is_in_no_log_of_azures_client(server, blob_container, caplog):
    caplog.set_level(logging.DEBUG)
    copy_archives([archive(server)], blob_container, settings=settings())
    assert any("x-ms-copy-source" in record.getMessage() for record in caplog.records)
    assert not signatures_in(caplog.text)


def test_a_slow_block_does_not_hold_up_other_archives(server, tmp_path, blob_container, monkeypatch):
    names = ["slow.tar", "quick.tar"]
    for name in names:
        write_archive(tmp_path / "source", name, 8 * BLOCK)
    is_quick_over, read_into, waited = threading.Event(), HttpSource.read_into, []

    def read(source, start, view):
        if source.name == "slow.tar" and start == 0:
            waited.append(is_quick_over.wait(HANG_S))
        read_into(source, start, view)

    monkeypatch.setattr(HttpSource, "read_into", read)
    results = copy_archives(
        [archive(server, name) for name in names],
        blob_container,
        settings=settings(memory_bytes=4 * BLOCK, archives_at_once=2, num_connections=4, is_server_side=False),
        on_result=lambda result: is_quick_over.set() if result.name == "quick.tar" else None,
    )
    assert [result.state for result in results] == ["copied", "copied"]
    assert waited == [True]


def test_a_busy_service_costs_one_block_its_help(server, data, blob_container, monkeypatch):
    asked: list[int] = []

    def put_from(target, _link, number):
        asked.append(number)
        if number % 2:
            return Refusal(reason="503 ServerBusy", is_for_good=False)
        target.put(number, memoryview(data)[number * BLOCK : (number + 1) * BLOCK])
        return None

    monkeypatch.setattr(BlobTarget, "put_from", put_from)
    events: list[CopyEvent] = []
    [result] = copy_archives([archive(server)], blob_container, settings=settings(), on_event=events.append)
    assert (result.state, sorted(asked)) == ("copied", list(range(21)))
    assert not [event for event in events if event.kind == "note"]
    assert blob_client(blob_container / NAME).download_blob().readall() == data


def test_a_signed_link_that_azure_refuses_is_streamed_and_that_is_said_once(server, data, blob_container, monkeypatch):
    refusal = Refusal(reason="403 CannotVerifyCopySource", is_for_good=True)
    monkeypatch.setattr(BlobTarget, "put_from", lambda *_: refusal)
    events: list[CopyEvent] = []
    [result] = copy_archives([archive(server)], blob_container, settings=settings(), on_event=events.append)
    assert (result.state, blob_client(blob_container / NAME).download_blob().readall()) == ("copied", data)
    (note,) = [event.message for event in events if event.kind == "note"]
    assert note.startswith(
        "Azure does not fetch from the links itself (403 CannotVerifyCopySource); the bytes go through"
    )


@pytest.mark.parametrize("status", [500, 503, 429, None], ids=str)
def test_what_may_pass_is_no_refusal_for_good(status):
    assert _refusal(error_of(status)).is_for_good is False


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_what_does_not_pass_is_a_refusal_for_good(status):
    assert _refusal(error_of(status)).is_for_good is True


def test_an_expired_link_is_no_refusal_of_the_service(server, blob_container, monkeypatch):
    server.faults.expire_after = {CANARY: 1}
    refusal = Refusal(reason="403 CannotVerifyCopySource", is_for_good=True)
    monkeypatch.setattr(BlobTarget, "put_from", lambda *_: refusal)
    events: list[CopyEvent] = []
    [result] = copy_archives([archive(server)], blob_container, settings=settings(), on_event=events.append)
    assert result.state == "expired"
    assert not [event for event in events if event.kind == "note"]


@pytest.mark.parametrize("changes", [{"max_rate": 1e9}, {"is_server_side": False}], ids=["rate", "not-allowed"])
def test_the_service_is_not_asked_where_the_bytes_must_come_through(server, blob_container, monkeypatch, changes):
    monkeypatch.setattr(BlobTarget, "put_from", lambda *_: pytest.fail("was asked"))
    [result] = copy_archives([archive(server)], blob_container, settings=settings(**changes))
    assert result.state == "copied"


def test_a_source_that_changes_while_the_service_fetches_becomes_no_blob(server, data, blob_container, monkeypatch):
    def put_from(target, _link, number):
        target.put(number, memoryview(data)[number * BLOCK : (number + 1) * BLOCK])
        server.faults.etag = '"etag-2"'

    monkeypatch.setattr(BlobTarget, "put_from", put_from)
    [result] = copy_archives([archive(server)], blob_container, settings=settings())
    assert (result.state, file_state(blob_container / NAME)) == ("failed", None)
    assert "changed at the source" in result.message


def test_an_empty_archive_arrives(server, blob_container, tmp_path):
    write_archive(tmp_path / "source", size_bytes=0)
    [result] = copy_archives([archive(server)], blob_container, settings=settings())
    state = file_state(blob_container / NAME)
    assert (result.state, state and state.size_bytes) == ("copied", 0)


def error_of(status: int | None) -> AzureError:
    """What Azure's client raises."""
    if status is None:
        return ServiceResponseTimeoutError("timed out")
    error = HttpResponseError("refused")
    error.status_code = status
    return error


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
