"""Read ISMRMRD (MRD) raw data of Cartesian scans: acquisitions sorted into k-space."""

from dataclasses import replace

import h5py
import numpy as np
import numpy.typing as npt

from mrikit.errors import DataError
from mrikit.storage import Location
from mrikit.volumes.acquisitions import Acquisitions, Hdf5Acquisitions
from mrikit.volumes.blob_file import Signature
from mrikit.volumes.geometry import geometry_of
from mrikit.volumes.mrd_grid import Grid, make_grid
from mrikit.volumes.mrd_select import VOLUME_COUNTERS, select_acquisitions, volumes_of
from mrikit.volumes.mrd_slices import MrdSlices
from mrikit.volumes.mrd_sort import geometry_across, say_phases, slab_of, slices_of
from mrikit.volumes.mrd_stack import MrdArray, MrdStack, center_of
from mrikit.volumes.mrd_stream import open_stream
from mrikit.volumes.sampling import judge
from mrikit.volumes.slice_array import SliceArray
from mrikit.volumes.volume import ScanInfo, Volume


def find_groups(file: h5py.File) -> list[str]:
    """Names of the groups that hold MRD raw data, the one with most acquisitions first."""
    found = [name for name, item in file.items() if isinstance(item, h5py.Group) and {"xml", "data"} <= set(item)]
    return sorted(found, key=lambda name: -len(file[name]["data"]))


def read_ismrmrd(path: Location, file: h5py.File, group: str | None = None) -> tuple[Volume, ...]:
    """Read an open MRD file; samples are read later, slice by slice.

    Args:
        path: Its path.
        file: The file.
        group: The HDF5 group of the scan; None for that with most acquisitions.

    Raises:
        DataError: There is no such group, or as `sort_acquisitions`; the message does not name the file.
    """
    groups = find_groups(file)
    group = group or groups[0]
    if group not in groups:
        raise DataError(f"no scan '{group}' in the file; found {groups}")
    others = [name for name in groups if name != group]
    notes = (f"scan '{group}' is read; left out are the other scans of the file: {', '.join(others)}",) * bool(others)
    opened = Hdf5Acquisitions(path=path, group=group, opened=file)
    return _closed(opened, replace(opened, opened=None), notes)


def read_mrd_stream(path: Location, size_bytes: int, version: int, signature: Signature | None) -> tuple[Volume, ...]:
    """Read an MRD stream; samples are read later, slice by slice.

    Args:
        path: The file.
        size_bytes: Its size.
        version: Of MRD, 1 or 2.
        signature: Of a blob.

    Raises:
        DataError: It ends early, is damaged or has another schema, or as `sort_acquisitions`.
    """
    opened = open_stream(path, size_bytes, version, signature)
    assert opened.walked is not None
    return _closed(opened, replace(opened, walked=None), opened.walked.notes)


def _closed(opened: Acquisitions, closed: Acquisitions, notes: tuple[str, ...]) -> tuple[Volume, ...]:
    """The volumes of acquisitions, to be read from a file that is opened again; with notes of their container."""
    return tuple(
        replace(
            volume,
            kspace=_read_from(volume.kspace, closed),
            info=replace(volume.info, notes=(*notes, *volume.info.notes)),
        )
        for volume in sort_acquisitions(opened)
    )


def _read_from(kspace: SliceArray, acquisitions: Acquisitions) -> MrdArray:
    if isinstance(kspace, MrdStack):
        return replace(kspace, lines=replace(kspace.lines, acquisitions=acquisitions))
    assert isinstance(kspace, MrdSlices)
    return replace(kspace, acquisitions=acquisitions)


def sort_acquisitions(acquisitions: Acquisitions) -> tuple[Volume, ...]:
    """The volumes that acquisitions make, whatever container they come from.

    Contrasts, phases, repetitions and sets are volumes of their own. The k-space centre comes to column matrix // 2.
    Repeated lines are averaged in phase. Slices are in the order of their positions. A 3-D scan becomes slices across
    its readout. There is no reference.

    Returns:
        One or more volumes; of several each has the stem of the file with a suffix as its id, such as `_contrast1`.
        What was left out, inferred or repaired stands in `info.notes`.

    Raises:
        DataError: It is no Cartesian scan, or cannot be sorted for sure; the message does not name the file.
    """
    head = acquisitions.head
    selection = select_acquisitions(acquisitions.xml, head)
    if selection.header.trajectory != "cartesian":
        raise DataError(f"the trajectory is {selection.header.trajectory}; only Cartesian scans can be read")
    grid = make_grid(acquisitions, head, selection)
    counters = (*VOLUME_COUNTERS, "slice") if grid.is_3d else VOLUME_COUNTERS
    parts = list(volumes_of(head, selection.numbers, counters))
    has_center = [bool(grid.is_center(head[numbers]).any()) for _, numbers in parts]
    notes = [*selection.notes, *grid.notes]
    if any(has_center) and not all(has_center):
        lost = [suffix[1:] for (suffix, _), is_there in zip(parts, has_center, strict=True) if not is_there]
        notes.append(f"{len(lost)} volumes are left out, which lack the k-space centre: {', '.join(lost)}")
        parts = [part for part, is_there in zip(parts, has_center, strict=True) if is_there]
    make = _volume_3d if grid.is_3d else _volume_2d
    volumes = [make(acquisitions, head, numbers, grid) for _, numbers in parts]
    stem = acquisitions.path.stem
    suffixes = [suffix for suffix, _ in parts] if len(parts) > 1 else [""]
    return tuple(
        replace(
            volume,
            info=replace(
                volume.info,
                volume_id=stem + suffix,
                study_id=stem if len(volumes) > 1 else None,
                notes=(*notes, *(f"{suffix[1:]}: {note}" if suffix else note for note in volume.info.notes)),
            ),
        )
        for volume, suffix in zip(volumes, suffixes, strict=True)
    )


def _volume_2d(
    acquisitions: Acquisitions, head: npt.NDArray[np.void], numbers: npt.NDArray[np.int64], grid: Grid
) -> Volume:
    """The slices of one contrast, repetition, ..."""
    header = grid.header
    kspace, mask, notes = slices_of(acquisitions, head, numbers, grid)
    (readout, phase, _), (rows, columns, _) = header.encoded_matrix, header.window
    info = replace(
        _info(acquisitions.path, grid, (readout, phase), (rows, columns), header.recon_matrix[:2]),
        fov_mm=header.fov_mm,
        geometry=geometry_of(head, header, kspace.rows),
        notes=(*notes, *say_phases(kspace, len(kspace) // 2, phase // 2)),
    )
    return Volume(kspace=kspace, mask=_of_acquired(mask, grid.padding), info=info)


def _volume_3d(
    acquisitions: Acquisitions, head: npt.NDArray[np.void], numbers: npt.NDArray[np.int64], grid: Grid
) -> Volume:
    """A slab as slices across its readout: partitions take the place of the readout."""
    header = grid.header
    kspace, mask = slab_of(acquisitions, head, numbers, grid)
    (_, phase, partitions), (_, columns, rows) = header.encoded_matrix, header.window
    shown = (header.recon_matrix[2], header.recon_matrix[1])
    info = replace(
        _info(acquisitions.path, grid, (partitions, phase), (rows, columns), shown),
        fov_mm=(header.slab_mm, header.fov_mm[1]) if header.fov_mm and header.slab_mm else None,
        geometry=geometry_across(geometry_of(head, header, kspace.lines.rows), header, kspace),
        notes=tuple(say_phases(kspace.lines, 0, center_of(kspace))),
    )
    # Partial Fourier and ellipses are whole scans, as they are where k-space itself has to tell.
    return Volume(kspace=kspace, mask=judge(mask, None, grid.padding).samples, info=info)


def _of_acquired(mask: npt.NDArray[np.bool_], padding: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """The (phase,) mask, or None if every line that the header promises is there."""
    return None if mask[slice(*padding)].all() else mask


def _info(
    path: Location, grid: Grid, matrix: tuple[int, int], window: tuple[int, int], shown: tuple[int, ...]
) -> ScanInfo:
    header = grid.header
    return ScanInfo(
        volume_id=path.stem,
        patient_id=header.patient_id,
        anatomy=header.body_part.lower() if header.body_part else None,
        acquisition=header.protocol,
        field_strength_t=header.field_strength_t,
        system=header.system,
        matrix=matrix,
        recon_matrix=window,
        interpolated_matrix=None if shown == window else (shown[0], shown[1]),
        padding=grid.padding,
        source=path,
    )
