"""Archives of small random members, made by the programs that everybody makes them with."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mrikit.storage import BlobPath, list_files, read_bytes
from mrikit.transfer.source import FileSource
from mrikit.transfer.unpacking.unpack import UnpackSettings, unpack

KB = 1000


def require_programs(*names: str) -> None:
    """CI fails without them, elsewhere the test skips."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def random_members(sizes: list[int], seed: int = 0, folder: str = "knee") -> dict[str, bytes]:
    """Members whose bytes hardly compress, as k-space hardly does."""
    rng = np.random.default_rng(seed)
    return {f"{folder}/file{seed}_{number:03}.h5": rng.bytes(size) for number, size in enumerate(sizes)}


def tar_of(members: dict[str, bytes], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """A plain tar."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tar_format) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def compress(data: bytes, *command: str) -> bytes:
    """What a program makes of its standard input."""
    require_programs(command[0])
    return subprocess.run([*command, "-c"], input=data, capture_output=True, check=True).stdout


COMPRESSIONS: dict[str, tuple[str, ...]] = {
    "xz in one block": ("xz", "-0", "-T1"),
    "xz in blocks": ("xz", "-0", "-T2", "--block-size=20000"),
    "gz": ("gzip", "-1"),
    "zst": ("zstd", "-q"),
    "bz2": ("bzip2", "-1"),
}


def compressed(data: bytes, kind: str) -> bytes:
    """A tar in one of the ways above, or plain, or in two units one after the other."""
    if kind == "plain":
        return data
    if kind.endswith(" twice"):
        half = len(data) // 2
        return b"".join(compressed(part, kind.removesuffix(" twice")) for part in (data[:half], data[half:]))
    return compress(data, *COMPRESSIONS[kind])


KINDS = ("plain", *COMPRESSIONS, *(f"{kind} twice" for kind in COMPRESSIONS))


def unpack_bytes(data: bytes, folder: Path, name: str = "a.tar.xz", **options):
    """Unpack an archive of these bytes into `folder / "out"`."""
    path = folder / name
    if not path.exists() or path.read_bytes() != data:  # written again it would be another version
        path.write_bytes(data)
    fields = ("num_workers", "memory_bytes", "max_expansion", "num_volumes")
    settings = {key: options.pop(key) for key in fields if key in options}
    return unpack(
        FileSource(path),
        folder / "out",
        settings=UnpackSettings(num_workers=2) if not settings else UnpackSettings(**{"num_workers": 2} | settings),
        **options,
    )


def files_in(folder: Path | BlobPath) -> dict[str, bytes]:
    """Every file but the manifests."""
    return {name: read_bytes(folder / name) for name in list_files(folder) if not name.startswith(".mrikit/")}


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()
