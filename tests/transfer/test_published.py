"""Published digests are kept, and compared with what is there already."""

import hashlib
import json

import pytest
from transfer.copying import NAME, archive, digest_of, settings

from mrikit.errors import DataError, StorageError
from mrikit.storage import read_bytes, write_bytes
from mrikit.transfer.copying.copied import copied_before, hash_copied
from mrikit.transfer.copying.stream import copy_archives
from mrikit.transfer.published import note_published, published_digests
from mrikit.transfer.results import CopyEvent

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_an_archive_that_another_tool_brought_is_compared_where_a_digest_is_published(server, data, tmp_path):
    events: list[CopyEvent] = []
    for content, checksum in ((data, "ok"), (bytes(len(data)), "mismatch")):
        to = tmp_path / checksum
        to.mkdir()
        (to / NAME).write_bytes(content)
        [result] = copy_archives(
            [archive(server)], to, digests=digest_of(data), settings=settings(), on_event=events.append
        )
        assert (result.state, result.checksum) == ("present", checksum)
        assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert f"{NAME}: is there already; it is read to compare" in " ".join(event.message for event in events)


def test_what_was_compared_once_is_not_read_again(server, data, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / NAME).write_bytes(data)
    copy_archives([archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings())
    events: list[CopyEvent] = []
    [result] = copy_archives(
        [archive(server)], tmp_path / "to", digests=digest_of(data), settings=settings(), on_event=events.append
    )
    assert (result.checksum, [event.kind for event in events]) == ("ok", ["end"])


def test_reading_an_archive_ends_when_the_copy_is_stopped(tmp_path):
    (tmp_path / NAME).write_bytes(bytes(3 * 2**20))
    assert hash_copied(tmp_path, NAME, lambda: False) is None
    assert copied_before(tmp_path, NAME) is None


def test_an_archive_that_changes_while_it_is_read_is_not_taken_for_checked(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(bytes(3 * 2**20))

    def write_more():
        path.write_bytes(bytes(3 * 2**20 + 1))
        return True

    with pytest.raises(StorageError, match=f"{NAME}: was replaced or changed while it was read"):
        hash_copied(tmp_path, NAME, write_more)


@pytest.fixture(params=["folder", "blob"])
def place(request, tmp_path):
    """A folder, or a prefix in Blob."""
    if request.param == "folder":
        return tmp_path / "to"
    return request.getfixturevalue("blob_container") / "to"


def test_digests_are_kept_and_those_of_another_mail_added(place):
    assert published_digests(place) == {}
    note_published(place, {"a.tar": "A" * 64, "b.tar": "b" * 64})
    note_published(place, {"b.tar": "c" * 64, "c.tar": "d" * 64})
    found = {"a.tar": "a" * 64, "b.tar": "c" * 64, "c.tar": "d" * 64}
    assert published_digests(place) == found
    assert json.loads(read_bytes(place / ".mrikit" / "published.json")) == found


def test_where_nothing_is_new_nothing_is_written(tmp_path):
    note_published(tmp_path, {})
    assert not list(tmp_path.iterdir())
    note_published(tmp_path, {"a.tar": "a" * 64})
    before = (tmp_path / ".mrikit" / "published.json").stat().st_ino
    note_published(tmp_path, {"a.tar": "A" * 64})
    assert (tmp_path / ".mrikit" / "published.json").stat().st_ino == before


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a.tar": "abc"}', b'{"a.tar": 7}', b"\xff\xfe"])
def test_a_note_that_is_none_is_named_and_written_anew(place, content):
    write_bytes(place / ".mrikit" / "published.json", content)
    with pytest.raises(DataError, match=r"published\.json: no SHA256 digests by archive; delete it") as caught:
        published_digests(place)
    assert "\n" not in str(caught.value)
    note_published(place, {"a.tar": "a" * 64})
    assert published_digests(place) == {"a.tar": "a" * 64}


def test_what_another_machine_notes_at_the_same_time_is_kept(blob_container, monkeypatch):
    from mrikit.transfer import published

    num_calls = []

    def write_after_another(path, data, *, if_version):
        num_calls.append(1)
        if len(num_calls) == 1:
            note_published(blob_container, {"b.tar": "b" * 64})
        return write_bytes(path, data, if_version=if_version)

    monkeypatch.setattr(published, "write_bytes", write_after_another)
    note_published(blob_container, {"a.tar": "a" * 64})
    assert published_digests(blob_container) == {"a.tar": "a" * 64, "b.tar": "b" * 64}
    assert len(num_calls) == 3
