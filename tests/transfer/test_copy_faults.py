"""What goes wrong while copying: nothing is lost, nothing comes twice without need, nothing leaks."""

import copy
import hashlib
import json
import logging
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from transfer.archive_server import CANARY
from transfer.copying import BLOCK, NAME, archive, settings, signatures_in, traces_of, write_archive
from waiting import HANG_S

from mrikit.storage import list_files
from mrikit.storage.blob import blob_client, container_client
from mrikit.transfer.copying.stream import copy_archives, plan_copy
from mrikit.transfer.digests import fetch_digests
from mrikit.transfer.mail import read_mail
from mrikit.transfer.results import CopyEvent

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

NEW = "new+canary+Sig/nature1="


@pytest.mark.parametrize(
    "faults",
    [
        {"reset_every": 3, "reset_after": 10_000},
        {"truncate_every": 4, "truncate_after": 30_000},
        {"wrong_range_every": 3},
        {"busy_every": 2, "busy_status": 503},
        {"busy_every": 2, "busy_status": 429, "retry_after": "0"},
        {"ignores_range": True},
        {"ignores_range": True, "reset_every": 2, "reset_after": 400_000},
        {"etag": None},
        {"clock_skew_s": -400 * 86400},
        {"latency_s": 0.02},
    ],
    ids=["reset", "truncate", "wrong-range", "503", "429", "no-range", "no-range-reset", "no-etag", "skew", "slow"],
)
def test_an_archive_arrives_in_spite_of(server, data, tmp_path, faults):
    vars(server.faults).update(faults)
    digests = {NAME: hashlib.sha256(data).hexdigest()}
    [result] = copy_archives([archive(server)], tmp_path / "to", digests=digests, settings=settings())
    assert (result.state, result.checksum) == ("copied", "ok")
    assert (tmp_path / "to" / NAME).read_bytes() == data


def test_a_server_that_ignores_ranges_is_resumed_by_skipping(server, data, tmp_path):
    server.faults.ignores_range, server.faults.reset_every, server.faults.reset_after = True, 1, 10 * BLOCK + 5
    [result] = copy_archives([archive(server)], tmp_path, settings=settings())
    assert result.state == "failed"
    server.faults.reset_every = 0
    [result] = copy_archives([archive(server)], tmp_path, settings=settings())
    assert (result.state, result.checksum) == ("copied", "unpublished")
    assert result.moved_bytes < len(data)
    assert (tmp_path / NAME).read_bytes() == data


def test_a_link_that_expires_halfway_is_resumed_by_a_new_mail(server, data, tmp_path):
    write_archive(tmp_path / "source", "other.tar", 4 * BLOCK)
    server.signatures |= {NEW, "forever"}
    server.faults.expire_after = {CANARY: 10}
    # Two archives: the one with the good link is not held up.
    offered = [archive(server), archive(server, "other.tar", signature="forever")]
    expired, copied = copy_archives(offered, tmp_path / "to", settings=settings(num_connections=2))
    assert (expired.state, copied.state) == ("expired", "copied")
    assert "the link expired, its server says, before the time in it" in expired.message
    assert "the same command with it goes on from here" in expired.message
    sent = server.bytes_sent
    offered = [archive(server, signature=NEW), archive(server, "other.tar", signature=NEW)]
    digests = {NAME: hashlib.sha256(data).hexdigest()}
    results = copy_archives(offered, tmp_path / "to", digests=digests, settings=settings())
    assert [(result.state, result.checksum) for result in results] == [("copied", "ok"), ("present", "unpublished")]
    assert expired.moved_bytes + results[0].moved_bytes == len(data)
    assert server.bytes_sent - sent == results[0].moved_bytes + 1


def test_a_new_mail_resumes_the_same_blob(server, data, blob_container):
    server.signatures.add(NEW)
    server.faults.expire_after = {CANARY: 10}
    [expired] = copy_archives([archive(server)], blob_container, settings=settings(num_connections=2))
    [copied] = copy_archives([archive(server, signature=NEW)], blob_container, settings=settings())
    assert (expired.state, copied.state) == ("expired", "copied")
    assert expired.moved_bytes + copied.moved_bytes == len(data)
    assert blob_client(blob_container / NAME).download_blob().readall() == data


def test_a_source_that_changed_since_is_copied_anew(server, data, tmp_path):
    server.faults.expire_after = {CANARY: 10}
    copy_archives([archive(server)], tmp_path / "to", settings=settings())
    server.faults.expire_after = {}
    server.faults.etag = '"etag-2"'
    changed = write_archive(tmp_path / "source")
    [result] = copy_archives([archive(server)], tmp_path / "to", settings=settings())
    assert result.moved_bytes == len(data)
    assert (tmp_path / "to" / NAME).read_bytes() == changed


def test_a_disk_that_fills_up_is_one_line_and_resumed(server, tmp_path, full_disk):
    data = write_archive(tmp_path / "source", size_bytes=10 * BLOCK)
    taken = full_disk / "taken"

    def fill(event: CopyEvent) -> None:
        if event.kind == "moved" and not taken.exists():
            with taken.open("wb") as file:
                file.write(bytes(500_000))

    [result] = copy_archives([archive(server)], full_disk, settings=settings(num_connections=1), on_event=fill)
    assert result.state == "failed"
    assert "the disk is full; " in result.message
    assert "free some space and give the same command again" in result.message
    taken.unlink()
    [again] = copy_archives([archive(server)], full_disk, settings=settings())
    assert (again.state, again.moved_bytes + result.moved_bytes) == ("copied", len(data))
    assert (full_disk / NAME).read_bytes() == data


def test_a_container_that_is_deleted_halfway_is_one_clear_line(server, blob_container):
    def delete(event: CopyEvent) -> None:
        if event.kind == "moved" and len(moved) == 3:
            container_client(blob_container.container).delete_container()
        moved.extend([event] if event.kind == "moved" else [])

    moved: list[CopyEvent] = []
    [result] = copy_archives([archive(server)], blob_container, settings=settings(), on_event=delete)
    assert result.state == "failed"
    assert f"there is no container '{blob_container.container}'" in result.message
    assert "\n" not in result.message


def test_of_two_copies_into_a_folder_one_is_told_who_works(server, data, tmp_path):
    server.faults.throttle = 3e5
    results = _at_once(lambda: copy_archives([archive(server)], tmp_path / "to", settings=settings()))
    assert sorted(result.state for result in results) == ["copied", "failed"]
    message = next(result.message for result in results if result.state == "failed")
    assert "is copying it; wait until it ends, or stop it" in message
    assert (tmp_path / "to" / NAME).read_bytes() == data


def test_two_copies_into_a_container_do_no_harm(server, data, blob_container):
    server.faults.throttle = 3e5
    results = _at_once(lambda: copy_archives([archive(server)], blob_container, settings=settings()))
    assert {result.state for result in results} <= {"copied", "present"}
    assert blob_client(blob_container / NAME).download_blob().readall() == data


def test_one_archive_at_a_time_is_finished_before_the_next_begins(server, data, tmp_path):
    names = [f"a{number}.tar" for number in range(3)]
    for name in names:
        write_archive(tmp_path / "source", name, 5 * BLOCK)
    events: list[CopyEvent] = []
    copy_archives(
        [archive(server, name) for name in names],
        tmp_path / "to",
        settings=settings(archives_at_once=1),
        on_event=events.append,
    )
    ends = [(event.kind, event.name) for event in events if event.kind != "moved"]
    assert ends == [(kind, name) for name in names for kind in ("begin", "end")]


def test_digests_come_from_the_mail(server, data, tmp_path):
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "source" / "fastMRI_SHA256").write_text(f"{digest.upper()}  v2.0/{NAME}\n\nnot a line\n")
    offered = read_mail(server.mail(NAME, "fastMRI_SHA256"))
    assert fetch_digests(offered) == {NAME: digest}


def test_digests_are_found_by_the_end_of_the_links_path(server, tmp_path):
    listed = f"{'a' * 64}  knee/train.tar\n{'b' * 64}  brain/train.tar\n"
    (tmp_path / "source" / "fastMRI_SHA256").write_text(listed)
    links = [server.url("fastMRI_SHA256"), *(server.url(name) for name in ("knee/train.tar", "brain/train.tar"))]
    offered = read_mail("\n".join(links))
    assert fetch_digests(offered) == {"v2.0_knee_train.tar": "a" * 64, "v2.0_brain_train.tar": "b" * 64}


def test_without_digests_copying_goes_on(server):
    said: list[str] = []
    offered = read_mail(server.mail(NAME, "fastMRI_SHA256"))
    assert fetch_digests(offered, on_failure=said.append) == {}
    assert "fastMRI_SHA256: does not exist at the source" in said[0]
    assert said[0].endswith("no digests are compared")


def test_an_endless_list_of_digests_is_not_read(server, tmp_path):
    (tmp_path / "source" / "fastMRI_SHA256").write_bytes(bytes(2**20 + 1))
    said: list[str] = []
    fetch_digests(read_mail(server.mail("fastMRI_SHA256")), on_failure=said.append)
    assert "are no list of digests" in said[0]


def test_nothing_that_is_written_holds_the_signature(server, data, tmp_path, caplog, blob_container):
    caplog.set_level(logging.DEBUG)
    server.faults.expire_after = {CANARY: 12}
    server.faults.busy_every = 5
    said: list[str] = []
    results = []
    for to in (tmp_path / "to", blob_container):
        server.num_gets.clear()
        offered = [archive(server), archive(server, "missing.tar"), archive(server, expires_at=5)]
        plan = plan_copy(offered[:2], to, settings=settings()) + plan_copy(offered[2:], to, settings=settings())
        said += [repr(plan), *(traces_of(one.error) for one in plan)]
        events: list[CopyEvent] = []
        results += copy_archives(offered[:2], to, settings=settings(), on_event=events.append)
        said.append(repr(events))
    said += [repr(results), pickle.dumps(results).decode("latin-1")]
    for name in list_files(tmp_path / "to"):
        said.append((tmp_path / "to" / name).read_bytes().decode("latin-1"))
    listed = container_client(blob_container.container).list_blobs(include=["metadata", "uncommittedblobs"])
    said += [repr(dict(blob)) for blob in listed]
    assert {result.state for result in results} == {"expired", "failed"}
    assert caplog.text
    assert not signatures_in("\n".join([*said, caplog.text]))


def test_a_copy_that_logs_everything_does_not_print_the_signature(server, data, tmp_path):
    (tmp_path / "mail.txt").write_text(server.mail(NAME, "missing.tar"))
    options = {
        "mail": str(tmp_path / "mail.txt"),
        "to": str(tmp_path / "to"),
        "settings": {"block_bytes": BLOCK},
        "debug": True,
    }
    (tmp_path / "options.json").write_text(json.dumps(options))
    command = [sys.executable, str(Path(__file__).with_name("copy_child.py")), str(tmp_path / "options.json")]
    child = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True)
    assert "DEBUG:urllib3" in child.stderr
    assert not signatures_in(child.stdout + child.stderr)


def test_what_failed_cannot_carry_the_link_away(server):
    [plan] = plan_copy([archive(server, signature="wrong+canary+Sig")], Path("nowhere"), settings=settings())
    assert plan.error is not None
    assert not signatures_in(pickle.dumps(plan.error).decode("latin-1"))
    with pytest.raises(TypeError):
        pickle.dumps(plan)
    assert not signatures_in(repr(copy.copy(plan)))


def _at_once(run) -> list:
    """The results of two calls that overlap."""
    results: list = []
    threads = [threading.Thread(target=lambda: results.extend(run())) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(HANG_S)
    return results
