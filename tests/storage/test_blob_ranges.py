"""Ranges of blobs on a real Azurite, by the pipeline of azure-core."""

import numpy as np
import pytest
from azure.core.exceptions import IncompleteReadError
from azure.core.rest._requests_basic import RestRequestsTransportResponse
from urllib3.exceptions import SSLError

from mrikit.errors import StorageError
from mrikit.storage import remove, write_bytes
from mrikit.storage.blob_ranges import read_range_into

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

DATA = np.random.default_rng(0).bytes(3_000_000)


def read(path, start, count, version) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: read_range_into(path, start, memoryview(buffer), if_version=version)])


@pytest.mark.parametrize(("start", "count"), [(0, 1), (5, 2_500_000), (0, 3_000_000), (2_999_999, 1), (7, 0)])
def test_a_range_is_what_was_written_there(blob_container, start, count):
    version = write_bytes(blob_container / "a", DATA).version
    assert read(blob_container / "a", start, count, version) == DATA[start : start + count]


def test_a_range_ends_where_the_blob_ends(blob_container):
    version = write_bytes(blob_container / "a", DATA).version
    assert read(blob_container / "a", 2_999_990, 100, version) == DATA[-10:]


@pytest.mark.parametrize("name", ["a b+c.h5", "100%25.h5", "b\u00e9b\u00e9/#1?.h5"])
def test_names_of_any_characters_are_found(blob_container, name):
    version = write_bytes(blob_container / name, DATA).version
    assert read(blob_container / name, 3, 5, version) == DATA[3:8]


def test_another_version_is_refused_and_so_is_a_blob_that_is_gone(blob_container):
    path = blob_container / "a"
    old = write_bytes(path, DATA).version
    new = write_bytes(path, DATA).version
    with pytest.raises(StorageError, match=r"^az://\S+/a: it was changed by someone else meanwhile"):
        read(path, 0, 1, old)
    remove(path)
    with pytest.raises(StorageError, match=r"^az://\S+/a: "):
        read(path, 0, 1, new)


def break_reading(monkeypatch, num_breaks: int, how: str) -> list[int]:
    """Let so many answers end after their first piece; returns the length of what is read of each."""
    pieces, true_iter = [], RestRequestsTransportResponse.iter_raw

    def iter_raw(self):
        for piece in true_iter(self):
            pieces.append(len(piece))
            yield piece
            if len(pieces) <= num_breaks:
                if how != "silently":
                    raise SSLError("broken") if how == "of TLS" else IncompleteReadError("broken")
                return

    monkeypatch.setattr(RestRequestsTransportResponse, "iter_raw", iter_raw)
    return pieces


@pytest.mark.parametrize("how", ["error", "of TLS", "silently"])
def test_a_connection_that_breaks_goes_on_where_it_broke(blob_container, monkeypatch, how):
    version = write_bytes(blob_container / "a", DATA).version
    pieces = break_reading(monkeypatch, 3, how)
    assert read(blob_container / "a", 1, 2_000_000, version) == DATA[1:2_000_001]
    assert sum(pieces) == 2_000_000


@pytest.mark.parametrize("how", ["error", "of TLS"])
def test_a_connection_that_always_breaks_is_given_up(blob_container, monkeypatch, how):
    version = write_bytes(blob_container / "a", DATA).version
    break_reading(monkeypatch, 100, how)
    with pytest.raises(StorageError, match=r"^az://\S+/a: "):
        read(blob_container / "a", 0, 3_000_000, version)
