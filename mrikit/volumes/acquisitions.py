"""Acquisitions: what any container of MRD raw data gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.storage import Location
from mrikit.volumes.blob_file import Signature, known_blob
from mrikit.volumes.hdf5 import read_hdf5, text
from mrikit.volumes.held import HeldFile


class Acquisitions(Protocol):
    """The acquisitions of one scan. A frozen dataclass that can be pickled, with the three fields below."""

    @property
    def path(self) -> Location:
        """The file."""
        ...

    @property
    def signature(self) -> Signature | None:
        """Size and version of a blob when it was opened; another one is not read. None for a local file."""
        ...

    @property
    def held(self) -> HeldFile | None:
        """The file where somebody keeps it open meanwhile."""
        ...

    @property
    def xml(self) -> bytes:
        """The ISMRMRD XML header."""
        ...

    @property
    def head(self) -> npt.NDArray[np.void]:
        """(acquisition,) headers, with the fields of `head` in ismrmrd's HDF5 files; read when they are asked for."""
        ...

    def samples(self, rows: npt.NDArray[np.int64]) -> Sequence[npt.NDArray[np.complex64]]:
        """(coil, sample) complex64 of each named acquisition, in the order of the numbers.

        Args:
            rows: (n,) numbers of acquisitions, ascending.

        Raises:
            DataError: The file is gone or damaged.
        """
        ...


class Walked(NamedTuple):
    """What one walk through a stream found."""

    xml: bytes
    head: npt.NDArray[np.void]
    starts: npt.NDArray[np.int64]
    """(acquisition,) byte where the samples begin."""
    notes: tuple[str, ...]
    """What was left out, a line each."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Hdf5Acquisitions:
    """The acquisitions of one group of an HDF5 file."""

    path: Location
    group: str
    """HDF5 group that holds `xml` and `data`."""
    signature: Signature | None = None
    held: HeldFile | None = None
    opened: h5py.File | None = None
    """The file while its reader has it open; not kept."""

    @property
    def xml(self) -> bytes:
        """The ISMRMRD XML header."""
        found: bytes = self._read(lambda file: text(file[self.group], "xml"))
        return found

    @property
    def head(self) -> npt.NDArray[np.void]:
        """(acquisition,) headers."""
        found: npt.NDArray[np.void] = self._read(lambda file: file[self.group]["data"].fields("head")[:])
        return found

    def samples(self, rows: npt.NDArray[np.int64]) -> Sequence[npt.NDArray[np.complex64]]:
        """(coil, sample) complex64 of each named acquisition.

        Raises:
            DataError: The file is gone or damaged.
        """

        def read(file: h5py.File) -> Sequence[npt.NDArray[np.complex64]]:
            data = file[self.group]["data"]
            # Of the header only what tells the channels apart: HDF5 picks it out itself.
            wanted = np.dtype([("head", [("active_channels", "<u2")]), ("data", data.dtype["data"])])
            found = data.astype(wanted)[rows]
            channels = found["head"]["active_channels"].tolist()
            return [
                samples.view(np.complex64).reshape(count, -1)
                for samples, count in zip(found["data"], channels, strict=True)
            ]

        lines: Sequence[npt.NDArray[np.complex64]] = self._read(read)
        return lines

    def _read(self, read: Any) -> Any:  # noqa: ANN401 - whatever `read` returns
        if self.opened is not None:
            return read(self.opened)
        if self.held is not None:
            return self.held.read_hdf5(read)
        return read_hdf5(self.path, read, known_blob(self.path, self.signature))
