"""Count how often files are opened, whoever opens them."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import pytest


@dataclass(frozen=True)
class Opened:
    """How often each file was opened, by its name below the folder."""

    as_hdf5: Counter[str] = field(default_factory=Counter)
    """By HDF5, which reads its structure each time; `h5py.File` ends here too."""
    for_bytes: Counter[str] = field(default_factory=Counter)
    """To read samples at known bytes."""


@contextlib.contextmanager
def counted_openings(folder: Path) -> Iterator[Opened]:
    """Count the openings of files below a folder, hidden ones left out."""
    opened = Opened()

    def noting(true_open, counts):
        def open_and_note(path, *args, **kwargs):
            if isinstance(path, str | bytes | os.PathLike):
                place = Path(os.fsdecode(path))
                if folder in place.parents and not place.name.startswith("."):
                    counts[place.relative_to(folder).as_posix()] += 1
            return true_open(path, *args, **kwargs)

        return open_and_note

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(h5py.h5f, "open", noting(h5py.h5f.open, opened.as_hdf5))
        patch.setattr(os, "open", noting(os.open, opened.for_bytes))
        yield opened


def num_open_files() -> int:
    """Descriptors that this process holds."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
