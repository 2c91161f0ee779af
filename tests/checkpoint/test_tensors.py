import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mrikit
from mrikit.checkpoint import read_record, read_tensors, write_tensors
from mrikit.errors import CheckpointError, StorageError

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]
RECORD = {"step": 3, "note": 'quotes " and umlauts \u00e4', "nested": {"list": [1, None, 0.1]}}


def random_bytes(dtype, shape, seed=0):
    """Any bits of the type: NaN, infinity and subnormal numbers among them."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    num_bytes = torch.empty(shape, dtype=dtype).nbytes
    return torch.randint(0, 256, (num_bytes,), dtype=torch.uint8, generator=generator).view(dtype).reshape(shape)


def same_bits(first, second):
    assert (first.dtype, first.shape) == (second.dtype, second.shape)
    first, second = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (first, second))
    return torch.equal(first, second)


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)), min_size=1, max_size=6)
)
def test_any_tensors_come_back_bit_for_bit_and_safetensors_reads_the_same(tmp_path_factory, kinds):
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    tensors = {f"t{index}": random_bytes(*kind, seed=index) for index, kind in enumerate(kinds)}
    write_tensors(path, tensors, {})
    for found in (read_tensors(path), safetensors.torch.load_file(path)):
        assert found.keys() == tensors.keys()
        assert all(same_bits(found[name], tensors[name]) for name in tensors)


def test_the_record_comes_back_with_format_and_version(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"t": torch.ones(1)}, RECORD)
    expected = {**RECORD, "format": 1, "mrikit_version": mrikit.__version__}
    assert read_record(tmp_path / "a.safetensors") == expected


def test_the_digest_is_that_of_the_content_and_the_same_content_has_the_same(tmp_path):
    tensors = {"b": torch.ones(3), "a": torch.tensor(2), "c": torch.zeros(2, dtype=torch.complex64)}
    digest = write_tensors(tmp_path / "a.safetensors", tensors, RECORD)
    assert digest == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    again = dict(reversed(tensors.items()))
    assert write_tensors(tmp_path / "b.safetensors", again, RECORD) == digest
    assert write_tensors(tmp_path / "b.safetensors", tensors | {"a": torch.tensor(3)}, RECORD) != digest


def test_views_that_share_memory_and_parameters_are_written_as_they_look(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"base": base, "turned": base.T, "part": base[1:, ::2], "weight": torch.nn.Parameter(base + 1)}
    write_tensors(tmp_path / "a.safetensors", tensors, {})
    found = read_tensors(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_names_are_read_by_prefix(tmp_path):
    tensors = {"weights/a": torch.tensor(1), "weights/b.c": torch.tensor(2), "moments/a": torch.tensor(3)}
    write_tensors(tmp_path / "a.safetensors", tensors, {})
    assert read_tensors(tmp_path / "a.safetensors", "weights/") == {"a": tensors["weights/a"], "b.c": torch.tensor(2)}
    assert read_tensors(tmp_path / "a.safetensors", "ema/") == {}


def test_what_was_read_can_be_changed_without_changing_the_file(tmp_path):
    digest = write_tensors(tmp_path / "a.safetensors", {"t": torch.ones(3)}, {})
    read_tensors(tmp_path / "a.safetensors")["t"].zero_()
    assert hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest() == digest


def test_what_was_read_outlives_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"t": torch.full((100_000,), 7.0)}, {})
    found = read_tensors(path)["t"]
    write_tensors(path, {"t": torch.zeros(3)}, {})
    path.unlink()
    assert bool((found == 7).all())


def test_every_tensor_begins_where_its_type_may_lie_in_memory(tmp_path):
    path = tmp_path / "a.safetensors"
    for note in ("", "x", "xx", "xxx"):  # headers of all lengths
        write_tensors(path, {f"t{index}": torch.ones(3).to(dtype) for index, dtype in enumerate(DTYPES)}, {"n": note})
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        for name, entry in json.loads(content[8:start]).items():
            if name != "__metadata__":
                size = torch.empty(0, dtype=DTYPES[int(name[1:])]).element_size()
                assert (start + entry["data_offsets"][0]) % size == 0


def test_only_the_header_is_read_for_the_record(tmp_path):
    """1 TB of tensors is a hole in the file: reading it would take minutes."""
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"t": torch.zeros(4, dtype=torch.uint8)}, {"step": 7})
    size = 10**12
    header = path.read_bytes()[8:-4].rstrip().replace(b'"shape":[4]', b'"shape":[%d]' % size)
    header = header.replace(b"[0,4]", b"[0,%d]" % size)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    try:
        os.truncate(path, 8 + len(header) + size)
    except OSError:
        pytest.skip("this file system has no files of 1 TB")
    assert read_record(path)["step"] == 7


def test_writing_needs_hardly_more_memory_than_the_tensors(tmp_path):
    code = (
        "import pathlib, resource, sys, torch\n"
        "from mrikit.checkpoint import write_tensors\n"
        "def peak_kib(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "tensors = {f't{index}': torch.ones(2_500_000) for index in range(12)}\n"
        "write_tensors(folder / 'warm.safetensors', {'t': torch.ones(1)}, {})\n"
        "before = peak_kib()\n"
        "write_tensors(folder / 'a.safetensors', tensors, {})\n"
        "print(peak_kib() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000  # of 120 MB


def test_a_file_is_readable_by_those_who_may_read_its_neighbours(tmp_path):
    (tmp_path / "neighbour").write_text("")
    write_tensors(tmp_path / "a.safetensors", {"t": torch.ones(1)}, {})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "neighbour").stat().st_mode


def test_a_full_disk_is_refused_before_anything_is_written_and_the_old_file_stays(full_disk, monkeypatch):
    path = full_disk / "a.safetensors"
    digest = write_tensors(path, {"t": torch.ones(10)}, {})
    monkeypatch.setattr("mrikit.checkpoint.tensors._content", lambda _: pytest.fail("nothing may be written"))
    with pytest.raises(StorageError, match=r"a.safetensors: the disk is full; nothing was written") as caught:
        write_tensors(path, {"t": torch.ones(400_000)}, {})
    assert "\n" not in str(caught.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert list(full_disk.iterdir()) == [path]


def test_a_disk_that_fills_while_a_file_is_written_leaves_the_old_one(full_disk, monkeypatch):
    path = full_disk / "a.safetensors"
    digest = write_tensors(path, {"t": torch.ones(10)}, {})
    monkeypatch.setattr("mrikit.storage.local._require_space", lambda *_: None)  # as if another program took the space
    with pytest.raises(StorageError, match="the disk is full"):
        write_tensors(path, {"t": torch.ones(400_000)}, {})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert list(full_disk.iterdir()) == [path]


def test_a_kill_while_a_file_is_written_leaves_the_old_one_and_what_is_left_goes(tmp_path):
    path = tmp_path / "a.safetensors"
    digest = write_tensors(path, {"t": torch.ones(10)}, {})
    code = (
        "import os, pathlib, signal, sys, torch\n"
        "import mrikit.checkpoint.tensors as tensors\n"
        "content = tensors._content\n"
        "def die(tensor):\n"
        "    if tensor.numel() == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return content(tensor)\n"
        "tensors._content = die\n"
        "tensors.write_tensors(pathlib.Path(sys.argv[1]), {'a': torch.ones(99_999), 'b': torch.ones(5)}, {})"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    write_tensors(path, {"t": torch.ones(10)}, {})
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_whole_for_those_who_read_while_it_is_written(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"t": torch.full((200_000,), 0.0)}, {})
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            write_tensors(path, {"t": torch.full((200_000,), float(number))}, {})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            found = read_tensors(path)["t"]
            assert bool((found == found[0]).all())
    finally:
        stop.set()
        writer.join()


def damaged(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("num_bytes", [0, 5, 8, 30, -1])
def test_a_file_that_is_cut_off_is_named(tmp_path, num_bytes):
    write_tensors(tmp_path / "whole.safetensors", {"t": torch.ones(30)}, {})
    content = (tmp_path / "whole.safetensors").read_bytes()
    path = damaged(tmp_path, content[:num_bytes])
    expected = "damaged or cut off" if len(content[:num_bytes]) > 8 else "not a safetensors file"
    for read in (read_record, read_tensors):
        with pytest.raises(CheckpointError, match=rf"^{path}: {expected}") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_a_pickle_is_named_with_the_way_to_import_it(tmp_path, options):
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pt", **options)
    with pytest.raises(CheckpointError, match=r"a.pt: a PyTorch pickle, not a safetensors file; turn it into weights"):
        read_record(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"\x89HDF\r\n\x1a\n" + b"x" * 99, "an HDF5 file"), (b"text " * 30, "not a safetensors file")],
)
def test_another_kind_of_file_is_named(tmp_path, content, found):
    with pytest.raises(CheckpointError, match=rf"{found}.*; give weights"):
        read_record(damaged(tmp_path, content))


def test_safetensors_of_another_program_are_named(tmp_path):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt"})
    for read in (read_record, read_tensors):
        with pytest.raises(CheckpointError, match="safetensors of another program, without a record of mrikit"):
            read(tmp_path / "a.safetensors")


def test_a_file_of_a_newer_format_asks_for_an_update(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"t": torch.ones(1)}, {})
    path.write_bytes(path.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 2'))
    with pytest.raises(CheckpointError, match=r"has format 2 of mrikit .*, this mrikit .* reads 1; update mrikit"):
        read_record(path)


def test_a_file_that_is_missing_or_a_folder_or_closed_to_us_is_named(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r"a.safetensors: there is no such file; give weights or the folder of"):
        read_record(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        read_record(tmp_path)

    def refuse(*_args, **_options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = damaged(tmp_path, b"x" * 99)
    monkeypatch.setattr("mrikit.checkpoint.tensors.safe_open", refuse)  # root may read everything
    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(CheckpointError, match=r"a.safetensors: cannot be read: Permission denied"):
        read_record(path)


def test_a_number_that_json_does_not_know_is_our_own_mistake(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_tensors(tmp_path / "a.safetensors", {}, {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
