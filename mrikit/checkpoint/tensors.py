"""Named tensors with a JSON record as one safetensors file, written whole or not at all."""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from mrikit import __version__
from mrikit.errors import CheckpointError
from mrikit.storage import atomic_path

_FORMAT = 1
_RECORD_KEY = "mrikit"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_MAGIC = {
    b"PK\x03\x04": "a PyTorch pickle",
    b"\x80\x02": "a PyTorch pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x89HDF": "an HDF5 file",
}


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> str:
    """Write tensors and a record as one safetensors file, whole or not at all.

    The bytes depend on tensors, record and version only. safetensors' own writer is not used: what a kill leaves of
    it nobody removes, other users may not read its files, and a digest would need to read 1 GB again.

    Args:
        path: The file to write, `.safetensors`.
        tensors: Name to tensor of any device; tensors that share memory are written one by one.
        record: Any JSON.

    Returns:
        The sha256 of the file's content.

    Raises:
        StorageError: The path cannot be written or the disk is full; an old file is untouched then.
    """
    # Large elements first keeps every tensor aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header = _header({name: tensors[name] for name in names}, record)
    num_bytes = len(header) + sum(tensors[name].nbytes for name in names)
    digest = hashlib.sha256()
    with atomic_path(path, num_bytes) as temporary, temporary.open("wb") as file:
        for block in itertools.chain([memoryview(header)], (_content(tensors[name]) for name in names)):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def read_record(path: Path) -> dict[str, Any]:
    """The record of a file that `write_tensors` wrote; its tensors are not read.

    Raises:
        CheckpointError: There is no such file, or it is damaged or another kind of file.
    """
    # For torch the file would be mapped as memory that may be written to, which a large one can exceed.
    with _opened(path, "numpy") as file:
        return _record(path, file)


def read_tensors(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """The tensors whose names begin with a prefix, under their names without it, on the CPU.

    Raises:
        CheckpointError: There is no such file, or it is damaged or another kind of file.
    """
    with _opened(path, "pt") as file:
        _record(path, file)
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - no mapping, has no iterator
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}


def _header(tensors: Mapping[str, torch.Tensor], record: Mapping[str, Any]) -> bytes:
    """Length and JSON that a safetensors file begins with, padded with spaces to a multiple of 8 bytes."""
    facts = {**record, "format": _FORMAT, "mrikit_version": __version__}
    entries: dict[str, Any] = {"__metadata__": {_RECORD_KEY: json.dumps(facts, allow_nan=False)}}
    start = 0
    for name, tensor in tensors.items():
        stop = start + tensor.nbytes
        entries[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _content(tensor: torch.Tensor) -> memoryview:
    array = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return array.data


@contextlib.contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file; give weights or the folder of a training run") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {_explain(path, error)}") from error


def _explain(path: Path, error: OSError | SafetensorError) -> str:
    """What a file is that cannot be read as safetensors, and what would do."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as unreadable:
        return f"cannot be read: {unreadable.strerror}"
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            advice = "turn it into weights with `mrikit weights import`" if "pickle" in kind else "give weights"
            return f"{kind}, not a safetensors file; {advice}"
    if start.endswith(b"{") and len(start) == 9:
        return f"damaged or cut off ({path.stat().st_size} bytes); copy it again or take another checkpoint"
    return f"not a safetensors file ({error}); give weights, a checkpoint or the folder of a training run"


def _record(path: Path, file: Any) -> dict[str, Any]:  # noqa: ANN401 - safetensors has no types
    text = (file.metadata() or {}).get(_RECORD_KEY)
    if text is None:
        raise CheckpointError(
            f"{path}: safetensors of another program, without a record of mrikit; try `mrikit weights import`"
        )
    record: dict[str, Any] = json.loads(text)
    if record["format"] != _FORMAT:
        found = f"format {record['format']} of mrikit {record['mrikit_version']}"
        raise CheckpointError(f"{path}: has {found}, this mrikit {__version__} reads {_FORMAT}; update mrikit")
    return record
