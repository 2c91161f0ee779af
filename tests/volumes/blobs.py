"""Volumes of every format as blobs, and what was requested to read them."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import h5py
import numpy as np
import requests

from mrikit.storage import BlobPath, write_bytes
from mrikit.volumes import write_fastmri, write_ismrmrd, write_snu
from tests.volumes.scans import make_volume, without_reference


class Request(NamedTuple):
    """One request as it went over the network."""

    method: str
    key: str
    """The blob, without its container; empty for a listing."""
    first: int | None
    """First byte of a ranged read."""
    count: int | None


def note_requests(monkeypatch, container: BlobPath) -> list[Request]:
    """Every request about a container from now on."""
    seen: list[Request] = []
    true_send = requests.adapters.HTTPAdapter.send

    def send_and_note(self, request, *args, **kwargs):
        _, _, place = unquote(urlsplit(request.url).path).partition(f"/{container.container}")
        if f"/{container.container}" in request.url:
            wanted = request.headers.get("x-ms-range") or request.headers.get("Range")
            first, last = map(int, wanted.removeprefix("bytes=").split("-")) if wanted else (None, None)
            seen.append(Request(request.method, place.lstrip("/"), first, last - first + 1 if wanted else None))
        return true_send(self, request, *args, **kwargs)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send_and_note)
    return seen


def upload(folder: Path, prefix: BlobPath) -> BlobPath:
    """Every file below a folder as a blob below a prefix."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            write_bytes(prefix / path.relative_to(folder).as_posix(), path.read_bytes())
    return prefix


def write_every_format(folder: Path) -> Path:
    """A folder with volumes of every format and layout; those called `full_...` could be trained on."""
    mask = np.arange(11) % 2 == 0
    full = make_volume(padding=(0, 11))
    write_fastmri(folder / "full_1.h5", full)
    write_fastmri(folder / "single.h5", make_volume(num_coils=1))
    write_fastmri(folder / "line.h5", without_reference(make_volume(mask=mask)))
    plane = np.random.default_rng(1).random((16, 11)) < 0.4
    write_fastmri(folder / "plane.h5", without_reference(make_volume(mask=plane, padding=(0, 11))))
    planned = replace(full, planned_mask=mask)
    write_snu(folder / "snu", "knee_1", planned, image_grappa=np.asarray(full.reference))
    applied = make_volume(mask=mask, padding=(0, 11), seed=2)
    write_snu(folder / "snu", "brain_acc4_1", applied, image_grappa=np.asarray(full.reference))
    write_ismrmrd(folder / "raw.mrd", without_reference(make_volume(mask=mask, padding=(0, 11))))
    (folder / "array.hdr").write_text("16 11 1 4 1 1 1 1 1 1 1 1 1 3\n")
    (folder / "array.cfl").write_bytes(make_volume(padding=(0, 11)).kspace.tobytes())
    layouts = {
        "chunked": {"chunks": (1, 1, 16, 11)},
        "scattered": {"chunks": (1, 2, 16, 11)},
        "gzip": {"chunks": (1, 2, 8, 11), "compression": 4, "shuffle": True},
        "lzf": {"compression": "lzf"},
    }
    for name, options in layouts.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            dataset = file.create_dataset("kspace", full.kspace.shape, full.kspace.dtype, **options)
            order = range(3) if name == "chunked" else (2, 0, 1)
            for slice_index in order:
                dataset[slice_index] = full.kspace[slice_index]
    return folder


def write_large(path: Path, num_slices: int = 3, num_coils: int = 4, **facts: object) -> Path:
    """A fastMRI file of a megabyte, so that its ends are not all of it."""
    matrix = (160, 120)
    volume = make_volume(num_slices=num_slices, num_coils=num_coils, matrix=matrix, recon_matrix=(80, 80), **facts)
    write_fastmri(path, volume)
    return path
