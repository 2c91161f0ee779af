"""Grid: where the acquisitions of an MRD scan go in its matrix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.volumes.acquisitions import Acquisitions
from mrikit.volumes.header import ScanHeader
from mrikit.volumes.layout import energy_of_lines
from mrikit.volumes.mrd_center import find_center
from mrikit.volumes.mrd_select import VOLUME_COUNTERS, Selection, volumes_of
from mrikit.volumes.mrd_slices import read_lines

_STEPS = ("kspace_encode_step_1", "kspace_encode_step_2")
_TOLD_LINE, _TOLD_PARTITION = 5, 6
"""Places in `idx.user` where Siemens converters leave the central line and partition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Where the acquisitions of a scan go in its encoded matrix."""

    header: ScanHeader
    is_3d: bool
    """Whether partitions were counted."""
    center_line: int
    """Number of the line that holds the k-space centre."""
    center_partition: int
    padding: tuple[int, int]
    """[left, right) phase columns that were acquired."""
    kept: tuple[int, int]
    """[first, last) samples of an acquisition that are kept."""
    first_sample: int
    """Readout position of the first of them."""
    noise: npt.NDArray[np.int64] | None
    """Numbers of the acquisitions of the noise scan; None if there is none."""
    notes: tuple[str, ...]
    """What was inferred or repaired, a line each."""

    def columns(self, head: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
        """The phase column of each acquisition."""
        return _counter(head, 0) + self.header.encoded_matrix[1] // 2 - self.center_line

    def partitions(self, head: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
        """The partition of each acquisition, the k-space centre at matrix // 2; zeros for a 2-D scan."""
        if not self.is_3d:
            return np.zeros(len(head), np.int64)
        return _counter(head, 1) + self.header.encoded_matrix[2] // 2 - self.center_partition

    def is_center(self, head: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Which acquisitions hold the k-space centre."""
        is_line = self.columns(head) == self.header.encoded_matrix[1] // 2
        middle = self.header.encoded_matrix[2] // 2 if self.is_3d else 0
        return np.asarray(is_line & (self.partitions(head) == middle))


def make_grid(acquisitions: Acquisitions, head: npt.NDArray[np.void], selection: Selection) -> Grid:
    """Find out where the acquisitions of a selection go.

    Raises:
        DataError: They do not fit the matrix of the header; the message does not name the file.
    """
    header = selection.header
    _, phase, num_partitions = header.encoded_matrix
    largest = max((numbers for _, numbers in volumes_of(head, selection.numbers, VOLUME_COUNTERS)), key=len)
    is_3d, notes = _has_partitions(head[selection.numbers], num_partitions)
    center_partition = 0
    if is_3d:
        center_partition, said = _center(acquisitions, head, largest, num_partitions, 1, header.center_partition)
        notes += said
    center_line, said = _center(acquisitions, head, largest, phase, 0, header.center_line)
    notes += said
    first, last, first_sample = _placement(head[selection.numbers[0]], header.encoded_matrix[0])
    return Grid(
        header=header,
        is_3d=is_3d,
        center_line=center_line,
        center_partition=center_partition,
        padding=_padding(header, center_line, np.unique(_counter(head[selection.numbers], 0))),
        kept=(first, last),
        first_sample=first_sample,
        noise=selection.noise if len(selection.noise) else None,
        notes=tuple(notes),
    )


def _counter(head: npt.NDArray[np.void], step: int) -> npt.NDArray[np.int64]:
    return np.asarray(head["idx"][_STEPS[step]].astype(np.int64))


def _has_partitions(head: npt.NDArray[np.void], num_partitions: int) -> tuple[bool, list[str]]:
    last = int(_counter(head, 1).max())
    if last and num_partitions == 1:
        raise DataError(
            f"acquisitions count partitions up to {last}, but the encoded matrix of the header has one; mend its "
            "<matrixSize> z"
        )
    if num_partitions > 1 and not last:
        said = f"the header has {num_partitions} partitions, but the acquisitions count none; taken as a 2-D scan"
        return False, [said]
    return num_partitions > 1, []


def _center(
    acquisitions: Acquisitions,
    head: npt.NDArray[np.void],
    numbers: npt.NDArray[np.int64],
    size: int,
    step: int,
    declared: int | None,
) -> tuple[int, list[str]]:
    """The central line (step 0) or partition (step 1)."""
    part = head[numbers]
    counter, other = _counter(part, step), _counter(part, 1 - step)
    told = np.unique(part["idx"]["user"][:, (_TOLD_LINE, _TOLD_PARTITION)[step]])
    # Of each line that acquisition is looked at which lies most in the middle of everything else.
    aside = np.abs(part["idx"]["slice"] - np.median(part["idx"]["slice"])) * 1e6 + np.abs(other - np.median(other))
    order = np.lexsort((aside, counter))
    lines, first = np.unique(counter[order], return_index=True)
    rows = numbers[order[first]]

    def measure(wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        chosen = rows[np.searchsorted(lines, wanted)]
        ascending = np.argsort(chosen)
        energy = np.empty(len(wanted))
        energy[ascending] = energy_of_lines(read_lines(acquisitions, chosen[ascending]))
        return energy

    found, said = find_center(
        lines,
        size,
        declared=declared,
        told=int(told[0]) if len(told) == 1 and told[0] else None,
        measure=measure,
        name=("line", "partition")[step],
    )
    return found, [] if said is None else [said]


def _padding(header: ScanHeader, center: int, lines: npt.NDArray[np.int64]) -> tuple[int, int]:
    """[left, right) columns that the header promises, and all that were acquired."""
    phase = header.encoded_matrix[1]
    first, last = int(lines[0]), int(lines[-1])
    if header.last_line is not None:
        first, last = min(first, header.first_line), max(last, header.last_line)
    shift = phase // 2 - center
    return max(first + shift, 0), min(last + shift + 1, phase)


def _placement(head: np.void, readout: int) -> tuple[int, int, int]:
    """[first, last) samples to keep and where the first goes, so that the centre sample comes to readout // 2."""
    num_samples = int(head["number_of_samples"])
    first, last = int(head["discard_pre"]), num_samples - int(head["discard_post"])
    # A full readout has only one place to go; converters often leave its centre sample at 0.
    start = first if num_samples == readout else readout // 2 - int(head["center_sample"]) + first
    if start < 0 or start + last - first > readout or first >= last:
        raise DataError(
            f"{num_samples} samples with their centre at {int(head['center_sample'])} do not fit a readout of {readout}"
        )
    return first, last, start
