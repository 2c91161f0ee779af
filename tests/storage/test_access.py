"""Files and blobs by the same verbs; the blobs lie on a real Azurite."""

import subprocess
import sys
import threading

import pytest
from estates import example_estate

from mrikit.errors import ConfigError, StorageError
from mrikit.storage import (
    NOT_THERE,
    BlobPath,
    estate,
    file_state,
    list_files,
    read_bytes,
    read_range,
    remove,
    write_bytes,
    write_stream,
)
from mrikit.storage.blob import blob_endpoint, container_client

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture(params=["folder", "blob"])
def place(request, tmp_path):
    return tmp_path / "data" if request.param == "folder" else request.getfixturevalue("blob_container") / "data"


def test_what_was_written_is_read_back_and_listed(place):
    write_bytes(place / "b/two.h5", b"0123456789")
    write_bytes(place / "a.h5", b"")
    write_bytes(place / ".mrikit/x.jsonl", b"x")
    assert read_bytes(place / "b/two.h5") == b"0123456789"
    assert {name: state.size_bytes for name, state in list_files(place).items()} == {
        ".mrikit/x.jsonl": 1,
        "a.h5": 0,
        "b/two.h5": 10,
    }
    assert list_files(place)["b/two.h5"].version == file_state(place / "b/two.h5").version


def test_a_range_is_read_and_ends_with_the_file(place):
    write_bytes(place / "a", b"0123456789")
    assert read_range(place / "a", 3, 4) == b"3456"
    assert read_range(place / "a", 8, 5) == b"89"
    assert read_range(place / "a", 3, 0) == b""
    assert read_range(place / "a", 10, 5) == b""
    write_bytes(place / "empty", b"")
    assert read_range(place / "empty", 0, 5) == b""
    assert read_bytes(place / "empty") == b""


def test_a_prefix_is_not_a_longer_name(place):
    write_bytes(place / "train/a", b"x")
    write_bytes(place.parent / "data2/a", b"x")
    assert list(list_files(place)) == ["train/a"]


def test_nothing_there_is_an_empty_listing_and_no_state(place):
    assert list_files(place) == {}
    assert file_state(place / "a") is None
    remove(place / "a")


def test_a_removed_file_is_gone(place):
    write_bytes(place / "a", b"x")
    remove(place / "a")
    assert file_state(place / "a") is None


def test_an_error_among_the_pieces_leaves_the_old_file(place):
    def pieces():
        yield bytes(2**24)
        raise RuntimeError("stop")

    old = write_bytes(place / "a", b"old")
    with pytest.raises(RuntimeError, match="stop"):
        write_stream(place / "a", pieces())
    assert read_bytes(place / "a") == b"old"
    assert file_state(place / "a").version == old.version


def test_many_pieces_of_any_size_arrive_in_order(place):
    pieces = [bytes([number % 251]) * (1 + 37 * number % 200_000) for number in range(200)]
    state = write_stream(place / "a", (memoryview(piece) for piece in pieces))
    assert read_bytes(place / "a") == b"".join(pieces)
    assert state.size_bytes == sum(map(len, pieces))
    assert state == file_state(place / "a")


def test_reading_what_is_not_there_names_it(place):
    with pytest.raises(StorageError, match=f"{place}/a: (no such blob|cannot be read: No such file)"):
        read_bytes(place / "a")
    with pytest.raises(StorageError, match=f"{place}/a: (no such blob|cannot be read: No such file)"):
        read_range(place / "a", 0, 1)


def test_a_blob_keeps_notes(blob_container):
    write_stream(blob_container / "a", [b"x"], metadata={"sha256": "ab"})
    assert file_state(blob_container / "a").metadata == {"sha256": "ab"}
    assert list_files(blob_container)["a"].metadata == {"sha256": "ab"}


def test_a_blob_that_changed_is_not_read_as_the_old_one(blob_container):
    old = write_bytes(blob_container / "a", b"old")
    assert read_range(blob_container / "a", 0, 3, if_version=old.version) == b"old"
    write_bytes(blob_container / "a", b"new")
    with pytest.raises(StorageError, match=r"az://.*/a: it was changed by someone else meanwhile"):
        read_range(blob_container / "a", 0, 3, if_version=old.version)


def test_a_blob_that_changed_is_not_overwritten(blob_container):
    old = write_bytes(blob_container / "a", b"old", if_version=NOT_THERE)
    with pytest.raises(StorageError, match="changed by someone else"):
        write_bytes(blob_container / "a", b"mine", if_version=NOT_THERE)
    write_bytes(blob_container / "a", b"theirs")
    with pytest.raises(StorageError, match="changed by someone else"):
        write_bytes(blob_container / "a", b"mine", if_version=old.version)
    assert read_bytes(blob_container / "a") == b"theirs"


def test_what_was_never_there_is_not_deleted(blob_container):
    write_bytes(blob_container / "a", b"theirs")
    remove(blob_container / "a", if_version=NOT_THERE)
    assert read_bytes(blob_container / "a") == b"theirs"


def test_a_version_that_is_none_is_not_read_as_any(blob_container):
    write_bytes(blob_container / "a", b"theirs")
    with pytest.raises(StorageError, match="changed by someone else"):
        read_range(blob_container / "a", 0, 3, if_version=NOT_THERE)


def test_a_leased_blob_says_so(blob_container):
    write_bytes(blob_container / "a", b"x")
    with container_client(blob_container.container).get_blob_client("a") as client:
        lease = client.acquire_lease()
        with pytest.raises(StorageError, match=r"a lease or an immutability policy holds it \(LeaseIdMissing\)"):
            write_bytes(blob_container / "a", b"y")
        lease.release()


def test_a_missing_container_is_named(blob_container):
    for act in (list_files, read_bytes, file_state, remove, lambda path: write_bytes(path, b"x")):
        with pytest.raises(StorageError, match="there is no container 'elsewhere' at https://127"):
            act(BlobPath("elsewhere", "a"))


def test_an_account_that_cannot_be_reached_is_named(blob_container, monkeypatch):
    monkeypatch.setenv("MRIKIT_BLOB_ENDPOINT", "https://127.0.0.1:9/account")
    monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's own attempts
    with pytest.raises(
        StorageError, match=r"https://127.0.0.1:9/account cannot be reached: the connection was refused; is the"
    ):
        read_bytes(blob_container / "a")


def test_without_a_login_the_message_says_how(blob_container, monkeypatch):
    from mrikit.storage import blob

    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.delenv("IDENTITY_HEADER")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    blob._credential.cache_clear()
    blob._service.cache_clear()
    try:
        with pytest.raises(StorageError, match="not logged in to Azure; run `az login`"):
            read_bytes(blob_container / "a")
    finally:
        blob._credential.cache_clear()
        blob._service.cache_clear()


def test_an_account_must_be_named(monkeypatch, tmp_path):
    for name in ("MRIKIT_BLOB_ENDPOINT", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MRIKIT_ESTATE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="no storage account is known; set AZURE_STORAGE_ACCOUNT"):
        list_files(BlobPath("container"))


def test_the_linked_estate_is_read_once(monkeypatch, tmp_path):
    for name in ("MRIKIT_BLOB_ENDPOINT", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    estate.save_estate(example_estate(blob_endpoint="https://mydata.blob.core.windows.net"))
    assert blob_endpoint("raw") == "https://mydata.blob.core.windows.net"
    monkeypatch.setattr(estate, "load_estate", None)
    assert blob_endpoint("raw") == "https://mydata.blob.core.windows.net"


@pytest.mark.parametrize(
    ("variables", "runs"),
    [
        ({}, "https://mrikitdevruns.blob.core.windows.net"),
        ({"AZURE_STORAGE_ACCOUNT": "mine"}, "https://mine.blob.core.windows.net"),
        ({"MRIKIT_BLOB_ENDPOINT": "https://mine"}, "https://mine"),
        ({"MRIKIT_BLOB_ENDPOINT": "https://mine", "MRIKIT_RUNS_ENDPOINT": "https://runs/"}, "https://runs"),
    ],
)
def test_runs_lie_in_an_account_of_their_own_unless_the_environment_names_one(monkeypatch, tmp_path, variables, runs):
    for name in ("MRIKIT_BLOB_ENDPOINT", "MRIKIT_RUNS_ENDPOINT", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    estate.save_estate(example_estate())
    assert blob_endpoint("runs") == runs
    others = runs if variables.keys() - {"MRIKIT_RUNS_ENDPOINT"} else "https://mrikitdev.blob.core.windows.net"
    assert blob_endpoint("datasets") == others.replace("//runs", "//mine")


@pytest.mark.parametrize("variable", ["MRIKIT_BLOB_ENDPOINT", "MRIKIT_RUNS_ENDPOINT"])
def test_an_endpoint_without_https_is_named_as_it_was_given(monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:1/a?sig=secret")
    with pytest.raises(ConfigError, match=rf"{variable}: tokens travel over https only; found 'http://127.0.0.1:1/a'$"):
        blob_endpoint("runs")


def test_an_account_needs_https(monkeypatch):
    monkeypatch.setenv("MRIKIT_BLOB_ENDPOINT", "http://127.0.0.1:1/a?sig=secret")
    with pytest.raises(ConfigError, match=r"https only; found 'http://127.0.0.1:1/a'"):
        list_files(BlobPath("container"))


def test_an_account_has_its_public_endpoint(monkeypatch):
    monkeypatch.delenv("MRIKIT_BLOB_ENDPOINT", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "mydata")
    assert blob_endpoint("raw") == "https://mydata.blob.core.windows.net"


def test_many_threads_read_at_once(blob_container):
    write_bytes(blob_container / "a", bytes(range(256)) * 64)
    found = {}

    def read(start):
        found[start] = read_range(blob_container / "a", start, 100)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(0, 16_000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = bytes(range(256)) * 64
    assert all(found[start] == whole[start : start + 100] for start in range(0, 16_000, 500))


def test_a_forked_child_reads_by_connections_of_its_own(blob_container):
    code = (
        "import multiprocessing, sys\n"
        "from mrikit.storage import parse_location, read_bytes\n"
        "path = parse_location(sys.argv[1])\n"
        "expected = read_bytes(path)\n"
        "def same(_): return read_bytes(path) == expected\n"
        "with multiprocessing.get_context('fork').Pool(4) as pool:\n"
        "    print(all(pool.map(same, range(40))))\n"
    )
    write_bytes(blob_container / "a", bytes(range(256)) * 1000)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(blob_container / "a")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr
