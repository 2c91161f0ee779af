"""Read ISMRMRD (MRD) raw data of 2-D Cartesian scans: acquisitions sorted into k-space."""

from dataclasses import replace

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.acquisitions import Acquisitions, Hdf5Acquisitions
from mrikit.volumes.geometry import Geometry, geometry_of
from mrikit.volumes.header import ScanHeader, read_header
from mrikit.volumes.mrd_slices import MrdSlices
from mrikit.volumes.volume import ScanInfo, Volume

SKIPPED_FLAGS = {
    19: "noise",
    20: "calibration",
    23: "navigation",
    24: "phase correction",
    26: "feedback",
    27: "dummy",
    28: "real-time feedback",
    29: "surface coil correction",
    30: "phase stabilization reference",
    31: "phase stabilization",
}
"""Acquisitions that are no part of the image, by the number of their flag (ISMRMRD counts from 1)."""
REVERSE_FLAG = 22
"""The readout ran backwards, as in every other line of an echo-planar scan."""
FURTHER_COUNTERS = ("kspace_encode_step_2", "contrast", "phase", "repetition", "set")
"""Counters that a single 2-D scan never advances."""


def find_group(file: h5py.File) -> str | None:
    """Name of the first group that holds MRD raw data, or None."""
    return next(
        (name for name, item in file.items() if isinstance(item, h5py.Group) and {"xml", "data"} <= set(item)), None
    )


def read_ismrmrd(path: Location, file: h5py.File, group: str) -> tuple[Volume, ...]:
    """Read an open MRD file; samples are read later, slice by slice.

    Raises:
        DataError: As `sort_acquisitions`; the message does not name the file.
    """
    opened = Hdf5Acquisitions(path=path, group=group, opened=file)
    closed = replace(opened, opened=None)
    return tuple(
        replace(volume, kspace=replace(volume.kspace, acquisitions=closed)) for volume in sort_acquisitions(opened)
    )


def sort_acquisitions(acquisitions: Acquisitions) -> tuple[Volume, ...]:
    """The volumes that acquisitions make, whatever container they come from.

    The k-space centre of the encoding limits comes to column matrix // 2. Noise scans and other acquisitions that
    are no part of the image, and those of any encoding but the first, are skipped; repeated lines are averaged. There
    is no reference.

    Raises:
        DataError: It is not one 2-D Cartesian scan, or its acquisitions differ; the message does not name the file.
    """
    header = read_header(acquisitions.xml)
    _check_cartesian(header)
    head = acquisitions.head
    # The header that is read, and so the matrix, is that of the first encoding.
    numbers = np.flatnonzero(~_has_flag(head, *SKIPPED_FLAGS) & (head["encoding_space_ref"] == 0))
    head = head[numbers]
    _check_frames(head)
    readout, phase, _ = header.encoded_matrix
    columns = head["idx"]["kspace_encode_step_1"].astype(np.int64) + phase // 2 - header.center_line
    if columns.min() < 0 or columns.max() >= phase:
        raise DataError(
            f"phase lines reach from column {columns.min()} to {columns.max()} of {phase}; the encoding limits of the "
            "header do not fit the acquisitions"
        )
    of_slice = [np.flatnonzero(head["idx"]["slice"] == number) for number in np.unique(head["idx"]["slice"])]
    mask = _sampled(header, [columns[rows] for rows in of_slice])
    first, last, first_sample = _placement(head[0], readout)
    kspace = MrdSlices(
        acquisitions=acquisitions,
        shape=(len(of_slice), int(head["active_channels"][0]), readout, phase),
        rows=tuple(numbers[rows] for rows in of_slice),
        columns=tuple(columns[rows] for rows in of_slice),
        first_sample=first_sample,
        kept=(first, last),
    )
    info = _info(acquisitions.path, header, geometry_of(head, header, of_slice))
    return (Volume(kspace=kspace, mask=mask, info=info),)


def _info(path: Location, header: ScanHeader, geometry: Geometry | None) -> ScanInfo:
    readout, phase, _ = header.encoded_matrix
    left, right = header.padding
    return ScanInfo(
        volume_id=path.stem,
        patient_id=header.patient_id,
        anatomy=header.body_part.lower() if header.body_part else None,
        acquisition=header.protocol,
        field_strength_t=header.field_strength_t,
        matrix=(readout, phase),
        recon_matrix=header.recon_matrix[:2],
        fov_mm=header.fov_mm,
        geometry=geometry,
        padding=(max(left, 0), min(right, phase)),
        source=path,
    )


def _check_cartesian(header: ScanHeader) -> None:
    if header.trajectory != "cartesian":
        raise DataError(f"the trajectory is {header.trajectory}; only Cartesian scans can be read")
    if header.encoded_matrix[2] > 1:
        raise DataError(
            f"a 3-D scan with {header.encoded_matrix[2]} partitions; only 2-D scans can be read. "
            "Transform it along its third axis and save each partition as a slice"
        )


def _has_flag(head: npt.NDArray[np.void], *flags: int) -> npt.NDArray[np.bool_]:
    """Which acquisitions carry any of the flags."""
    return np.asarray(head["flags"] & np.uint64(sum(1 << (flag - 1) for flag in flags)) != 0)


def _check_frames(head: npt.NDArray[np.void]) -> None:
    """All acquisitions must be alike and belong to one 2-D scan."""
    if not len(head):
        raise DataError("no acquisition is part of an image; is it a noise scan alone?")
    num_reversed = int(_has_flag(head, REVERSE_FLAG).sum())
    if num_reversed:
        raise DataError(
            f"{num_reversed} of {len(head)} lines are read out in reverse (flag {REVERSE_FLAG}), as in echo-planar "
            "scans; turning them round needs a phase correction. Correct the lines and clear the flag first"
        )
    for name in FURTHER_COUNTERS:
        found = np.unique(head["idx"][name])
        if len(found) > 1:
            raise DataError(f"{len(found)} values of {name} in one file; a single 2-D scan is needed. Split the file")
    for name in ("active_channels", "number_of_samples", "center_sample", "discard_pre", "discard_post"):
        found = np.unique(head[name])
        if len(found) > 1:
            raise DataError(f"acquisitions differ in {name}: found {found.tolist()}; all lines must be alike")


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


def _sampled(header: ScanHeader, columns_of_slice: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.bool_] | None:
    """(phase,) mask, or None if every line that the header promises is there."""
    phase = header.encoded_matrix[1]
    sampled = np.stack([np.isin(np.arange(phase), columns) for columns in columns_of_slice])
    if (sampled != sampled[0]).any():
        other = int(np.flatnonzero((sampled != sampled[0]).any(axis=1))[0])
        raise DataError(
            f"slices are sampled differently: slice 0 has {sampled[0].sum()} lines, slice {other} has "
            f"{sampled[other].sum()}; one mask for all slices is needed"
        )
    left, right = header.padding
    return None if sampled[0, max(left, 0) : right].all() else sampled[0]
