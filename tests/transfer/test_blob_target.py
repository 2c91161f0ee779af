"""Where the blocks of a blob go: what is there after a kill, whose blocks are whose, when a blob appears."""

import os

import pytest
from transfer.copying import NAME

from mrikit.errors import StorageError
from mrikit.storage import file_state, write_bytes
from mrikit.storage.blob import blob_client, container_client
from mrikit.transfer.copying import blob_target
from mrikit.transfer.copying.blob_target import BlobTarget
from mrikit.transfer.copying.blocks import BlockPlan
from mrikit.transfer.copying.copied import copied_before
from mrikit.transfer.copying.targets import open_target

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

BLOCK = 1000
DATA = os.urandom(3 * BLOCK + 500)


def plan(**changes) -> BlockPlan:
    facts = {"name": NAME, "size_bytes": len(DATA), "version": '"v1"', "block_bytes": BLOCK}
    return BlockPlan(**(facts | changes))


def block(number: int) -> memoryview:
    start, count = plan().span(number)
    return memoryview(DATA)[start : start + count]


def test_a_blob_gets_the_archive_in_any_order_of_blocks(blob_container):
    target = open_target(blob_container / "sub", plan())
    assert target.open() == frozenset()
    for number in (3, 0, 2, 1):
        target.put(number, block(number))
    target.commit("abcdef")
    path = blob_container / "sub" / NAME
    assert blob_client(path).download_blob().readall() == DATA
    state = file_state(path)
    assert state is not None
    assert state.metadata == {"mrikit_size": "3500", "sha256": "abcdef"}


def test_staged_blocks_are_there_at_the_next_start(blob_container):
    BlobTarget(blob_container / NAME, plan()).put(2, block(2))
    assert BlobTarget(blob_container / NAME, plan()).open() == {2}


def test_staged_blocks_of_another_size_or_version_are_not(blob_container):
    target = BlobTarget(blob_container / NAME, plan())
    target.put(2, block(2)[:10])
    BlobTarget(blob_container / NAME, plan(version='"v2"')).put(1, block(1))
    assert target.open() == frozenset()


def test_a_blob_of_the_right_size_is_complete(blob_container):
    write_bytes(blob_container / NAME, DATA)
    assert BlobTarget(blob_container / NAME, plan()).open() is None


def test_a_blob_of_another_size_stays(blob_container):
    write_bytes(blob_container / NAME, b"mine")
    with pytest.raises(StorageError, match="is there already with 4 bytes, but the archive has 3500; delete it"):
        BlobTarget(blob_container / NAME, plan()).open()


def test_two_that_commit_the_same_blocks_do_no_harm(blob_container):
    targets = [BlobTarget(blob_container / NAME, plan()) for _ in range(2)]
    for target in targets:
        for number in range(4):
            target.put(number, block(number))
    for target in targets:
        target.commit("abcdef")
    assert blob_client(blob_container / NAME).download_blob().readall() == DATA


def test_blocks_of_another_program_are_discarded(blob_container):
    blob_client(blob_container / NAME).stage_block("short", b"theirs")
    target = BlobTarget(blob_container / NAME, plan())
    assert target.open() == frozenset()
    for number in range(4):
        target.put(number, block(number))
    target.commit(None)
    assert blob_client(blob_container / NAME).download_blob().readall() == DATA


def test_a_kill_while_foreign_blocks_are_discarded_does_no_harm(blob_container):
    metadata = {"mrikit_discarding": "1"}
    blob_client(blob_container / NAME).commit_block_list([], metadata=metadata)
    assert BlobTarget(blob_container / NAME, plan()).open() == frozenset()
    assert file_state(blob_container / NAME) is None


def test_blocks_of_another_version_stay_where_they_are(blob_container):
    BlobTarget(blob_container / NAME, plan(version='"v2"')).put(1, block(1))
    assert BlobTarget(blob_container / NAME, plan()).open() == frozenset()
    assert BlobTarget(blob_container / NAME, plan(version='"v2"')).open() == {1}


def test_too_many_blocks_of_other_versions_are_discarded(blob_container, monkeypatch):
    monkeypatch.setattr(blob_target, "_MOST_STAGED", 4)
    BlobTarget(blob_container / NAME, plan(version='"v2"')).put(1, block(1))
    BlobTarget(blob_container / NAME, plan()).open()
    assert BlobTarget(blob_container / NAME, plan(version='"v2"')).open() == frozenset()


@pytest.mark.parametrize("content", [b"mine", DATA[::-1]], ids=["other-size", "same-size"])
def test_a_blob_that_appears_meanwhile_stays(blob_container, content):
    target = BlobTarget(blob_container / NAME, plan())
    for number in range(4):
        target.put(number, block(number))
    write_bytes(blob_container / NAME, content)
    with pytest.raises(StorageError, match="has appeared while it was copied"):
        target.commit(None)
    assert blob_client(blob_container / NAME).download_blob().readall() == content


def test_a_container_that_is_deleted_halfway_is_one_clear_line(blob_container):
    target = BlobTarget(blob_container / NAME, plan())
    target.put(0, block(0))
    container_client(blob_container.container).delete_container()
    with pytest.raises(StorageError, match="there is no container") as caught:
        target.put(1, block(1))
    assert "\n" not in str(caught.value)


def test_what_was_copied_is_known_without_asking(blob_container):
    write_bytes(blob_container / "by-others.tar", DATA)
    target = BlobTarget(blob_container / NAME, plan())
    for number in range(4):
        target.put(number, block(number))
    target.commit(None)
    copied = copied_before(blob_container, NAME)
    assert copied is not None
    assert (copied.size_bytes, copied.sha256) == (len(DATA), None)
    assert copied_before(blob_container, "by-others.tar") is None
