"""The decoded stream: the same bytes as the programs give, going forward, skipping, in bounded memory."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer.archives import KINDS, compressed, random_members, sha256, tar_of

from mrikit.errors import TransferError
from mrikit.transfer.unpacking.archive_digest import ArchiveDigest
from mrikit.transfer.unpacking.damage import ArchiveError, LimitError
from mrikit.transfer.unpacking.decode import open_decoded
from mrikit.transfer.unpacking.pieces import RAW_BYTES

TAR = tar_of(random_members([90_000, 20_000]))
ENCODED = {}


class Bytes:
    """A source in memory."""

    name = "a"
    version = "1"

    def __init__(self, data, is_ranged=True):
        self.data, self.is_ranged = data, is_ranged
        self.reads = []

    @property
    def size_bytes(self):
        return len(self.data)

    def read(self, start, count):
        assert 0 <= start <= start + count <= len(self.data)
        self.reads.append((start, count))
        return self.data[start : start + count]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


def encoded(kind):
    return ENCODED.setdefault(kind, compressed(TAR, kind))


def opened(source, pool, *, is_wanted=False, memory_bytes=10**8, max_bytes=10**9, digest=None):
    return open_decoded(
        source,
        pool=pool,
        num_workers=2,
        memory_bytes=memory_bytes,
        max_bytes=max_bytes,
        digest=digest or ArchiveDigest(source, is_wanted=is_wanted),
    )


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(KINDS), steps=st.lists(st.tuples(st.booleans(), st.integers(0, 60_000)), max_size=8))
def test_reading_and_skipping_in_any_order_gives_the_bytes_that_lie_there(pool, kind, steps):
    stream = opened(Bytes(encoded(kind)), pool)
    position = 0
    for is_skip, count in steps:
        count = min(count, len(TAR) - position)
        if is_skip:
            stream.skip(count)
        else:
            assert stream.read(count) == TAR[position : position + count]
        position += count
        assert stream.tell() == position
    assert stream.read(10**6) == TAR[position:]
    assert stream.read(1) == b""
    stream.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_is_where_all_is_used_and_verified(pool, kind):
    source = Bytes(encoded(kind))
    stream = opened(source, pool)
    stream.read(10**6)
    assert stream.verified_position >= len(TAR)
    assert len(source.data) - 400 < stream.compressed_position <= len(source.data)
    stream.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_is_that_of_the_archive(pool, kind):
    source = Bytes(encoded(kind))
    digest = ArchiveDigest(source, is_wanted=False)
    stream = opened(source, pool, digest=digest)
    stream.read(10**6)
    stream.close()
    assert digest.finish() == sha256(source.data)


@pytest.mark.parametrize("is_wanted", [False, True])
def test_a_digest_covers_skipped_bytes_only_if_it_is_wanted(pool, is_wanted):
    source = Bytes(encoded("xz in blocks"))
    digest = ArchiveDigest(source, is_wanted=is_wanted)
    stream = opened(source, pool, digest=digest)
    stream.skip(80_000)
    stream.read(10**6)
    stream.close()
    assert digest.finish() == (sha256(source.data) if is_wanted else None)


def test_skipping_in_blocks_and_in_plain_files_reads_nothing_between(pool):
    plain = Bytes(bytes(12 * RAW_BYTES))
    plain.data = TAR[:512] + plain.data
    stream = opened(plain, pool)
    stream.skip(11 * RAW_BYTES)
    stream.read(1)
    stream.close()
    assert sum(count for _, count in plain.reads) <= 3 * RAW_BYTES + 512


def test_a_server_that_ignores_ranges_is_read_in_order(pool):
    source = Bytes(encoded("xz in blocks"), is_ranged=False)
    stream = opened(source, pool)
    assert stream.read(10**6) == TAR
    stream.close()
    starts = [start for start, _ in source.reads]
    assert starts == sorted(starts)


def test_going_past_the_end_is_truncation(pool):
    for kind in ("plain", "xz in blocks", "gz"):
        stream = opened(Bytes(encoded(kind)), pool)
        with pytest.raises(ArchiveError, match="truncated: it ends at byte"):
            stream.skip(len(TAR) + 1)
        stream.close()


def test_more_than_the_bound_is_taken_for_a_bomb(pool):
    stream = opened(Bytes(encoded("gz")), pool, max_bytes=len(TAR) - 1)
    with pytest.raises(LimitError, match="a bomb"):
        stream.read(10**6)
    stream.close()


@pytest.mark.parametrize("kind", ["plain", "xz in blocks", "gz"])
def test_an_error_of_the_source_reaches_the_reader(pool, kind):
    source = Bytes(encoded(kind))
    stream = opened(source, pool)

    def fail(start, count):
        raise TransferError("the link has expired")

    stream.close()
    head = source.data[:512]
    source.read = lambda start, count: head if (start, count) == (0, 512) else fail(start, count)
    with pytest.raises(TransferError, match="the link has expired"):
        opened(source, pool, memory_bytes=1).read(1)


def test_blocks_in_flight_stay_within_the_memory(pool):
    source = Bytes(encoded("xz in blocks"))
    stream = opened(source, pool, memory_bytes=61_000)  # one block of 20 kB as it is and decoded
    stream.read(1)
    starts = len([count for _, count in source.reads if count > 15_000])
    assert starts <= 2  # the one that is read, and the next
    stream.close()


@pytest.mark.parametrize(("kind", "verified"), [("xz in blocks", 80_000), ("gz", 0), ("bz2", 0)])
def test_only_parts_with_checks_of_their_own_count_as_verified_when_they_are_skipped(pool, kind, verified):
    stream = opened(Bytes(encoded(kind)), pool)
    stream.skip(80_000)
    assert stream.verified_position == verified
    stream.close()
