"""Blocks of .xz files: found from the end, decoded alone, checked by liblzma."""

import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer.archives import compress

from mrikit.transfer.unpacking.xz_blocks import PIECE_BYTES, decode_block, read_blocks

DATA = np.random.default_rng(0).bytes(50_000)
BLOCKS = ("xz", "-0", "-T2", "--block-size=10000")


class Bytes:
    """A source in memory that counts what is read."""

    name = "a.xz"

    def __init__(self, data: bytes) -> None:
        self.data, self.num_bytes = data, 0

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, start: int, count: int) -> bytes:
        assert 0 <= start <= start + count <= len(self.data)
        self.num_bytes += count
        return self.data[start : start + count]


def decoded(data: bytes) -> bytes:
    return b"".join(
        b"".join(decode_block(memoryview(data)[block.start : block.stop], block)) for block in read_blocks(Bytes(data))
    )


@pytest.mark.parametrize("check", ["none", "crc32", "crc64", "sha256"])
def test_blocks_decoded_alone_are_the_whole(check):
    data = compress(DATA, *BLOCKS, f"--check={check}")
    assert len(read_blocks(Bytes(data))) == 5
    assert decoded(data) == DATA


def test_blocks_of_several_streams_with_padding_between_follow_each_other():
    data = compress(DATA, *BLOCKS) + bytes(8) + compress(DATA[::-1], "xz", "-0") + bytes(4)
    blocks = read_blocks(Bytes(data))
    assert decoded(data) == DATA + DATA[::-1]
    assert [block.output_start for block in blocks] == [0, 10_000, 20_000, 30_000, 40_000, 50_000]


def test_an_empty_stream_has_no_block():
    assert read_blocks(Bytes(compress(b"", "xz"))) == ()


def test_only_the_ends_of_a_file_are_read_for_its_blocks():
    source = Bytes(compress(DATA, "xz", "-0"))
    read_blocks(source)
    assert source.num_bytes < 4300


def test_pieces_are_of_bounded_size():
    data = compress(bytes(5_000_000), "xz", "-0", "-T1")  # from 5.6 on it takes all cores, with a block for each
    (block,) = read_blocks(Bytes(data))
    pieces = decode_block(memoryview(data)[block.start : block.stop], block)
    assert max(map(len, pieces)) == PIECE_BYTES
    assert b"".join(pieces) == bytes(5_000_000)


@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d + b"x", lambda d: d[:-13] + b"x" + d[-12:]])
def test_a_file_that_does_not_end_as_it_has_to_has_no_blocks(spoil):
    assert read_blocks(Bytes(spoil(compress(DATA, *BLOCKS)))) is None


def test_an_index_that_promises_more_than_a_block_holds_is_seen():
    from dataclasses import replace

    data = compress(DATA, *BLOCKS)
    block = read_blocks(Bytes(data))[1]
    for size in (block.size_bytes - 1, block.size_bytes + 1):
        with pytest.raises(lzma.LZMAError):
            decode_block(memoryview(data)[block.start : block.stop], replace(block, size_bytes=size))


def test_every_flipped_byte_of_a_block_is_seen():
    data = bytearray(compress(DATA[:300], "xz", "-0"))
    (block,) = read_blocks(Bytes(bytes(data)))
    for position in range(block.start, block.start + block.unpadded_size):
        data[position] ^= 0x10
        with pytest.raises(lzma.LZMAError):
            decode_block(memoryview(data)[block.start : block.stop], block)
        data[position] ^= 0x10


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_end_of_a_file_says_nothing_outside_it_is_read(data):
    good = SMALL
    spoiled = bytearray(good)
    for position in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=4)):
        spoiled[position] = data.draw(st.integers(0, 255))
    blocks = read_blocks(Bytes(bytes(spoiled)))
    assert blocks is None or all(0 < block.start < block.stop <= len(good) for block in blocks)


SMALL = lzma.compress(b"abc" * 50) + bytes(4) + lzma.compress(b"")
