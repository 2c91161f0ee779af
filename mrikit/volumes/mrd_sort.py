"""Acquisitions of one MRD volume as slices or as a slab, and what of them is sampled."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mrikit.physics.averages import NEAR_CENTER, phases_of
from mrikit.volumes.acquisitions import Acquisitions
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.header import ScanHeader
from mrikit.volumes.mrd_grid import Grid
from mrikit.volumes.mrd_order import common_lines, in_space
from mrikit.volumes.mrd_slices import MrdSlices
from mrikit.volumes.mrd_stack import MrdStack


def slices_of(
    acquisitions: Acquisitions, head: npt.NDArray[np.void], numbers: npt.NDArray[np.int64], grid: Grid
) -> tuple[MrdSlices, npt.NDArray[np.bool_], list[str]]:
    """The slices of a 2-D volume in the order of their positions.

    Args:
        acquisitions: Where the samples lie.
        head: All acquisition headers.
        numbers: Ascending numbers of the acquisitions of the volume.
        grid: Where they go.

    Returns:
        K-space, the (phase,) mask of its lines, and what was left out, a line each.

    Raises:
        DataError: Slices share too few lines.
    """
    part = head[numbers]
    columns, phase = grid.columns(part), grid.header.encoded_matrix[1]
    rows = [np.flatnonzero(part["idx"]["slice"] == number) for number in np.unique(part["idx"]["slice"])]
    rows, moved = in_space(part, rows)
    sampled = np.stack([np.isin(np.arange(phase), columns[one]) for one in rows])
    kept, mask, left_out = common_lines(sampled)
    rows = [rows[place][mask[columns[rows[place]]]] for place in kept]
    kspace = _arrange(acquisitions, part, numbers, grid, rows, [columns[one] for one in rows], phase)
    return kspace, mask, [*moved, *left_out]


def slab_of(
    acquisitions: Acquisitions, head: npt.NDArray[np.void], numbers: npt.NDArray[np.int64], grid: Grid
) -> tuple[MrdStack, npt.NDArray[np.bool_]]:
    """A 3-D volume as slices across its readout.

    Args:
        acquisitions: Where the samples lie.
        head: All acquisition headers.
        numbers: Ascending numbers of the acquisitions of the volume.
        grid: Where they go.

    Returns:
        K-space and its (partition, phase) mask.
    """
    part = head[numbers]
    readout, phase, num_partitions = grid.header.encoded_matrix
    cells = grid.partitions(part) * phase + grid.columns(part)
    every = [np.arange(len(numbers))]
    lines = _arrange(acquisitions, part, numbers, grid, every, [cells], num_partitions * phase)
    num_slices = min(grid.header.window[0], readout)
    mask = np.isin(np.arange(num_partitions * phase), cells).reshape(num_partitions, phase)
    return MrdStack(
        lines=lines,
        shape=(num_slices, lines.shape[1], num_partitions, phase),
        first_slice=(readout - num_slices) // 2,
    ), mask


def geometry_across(slab: Geometry | None, header: ScanHeader, kspace: MrdStack) -> Geometry | None:
    """The geometry of slices across the readout, from that of their slab.

    Their y runs along the partitions, their x along the phase encoding, and the slices along the readout.
    """
    if slab is None or slab.pixel_mm is None or slab.slice_thickness_mm is None:
        return None
    step_mm, column_mm = slab.pixel_mm
    sizes = Geometry(
        pixel_mm=(slab.slice_thickness_mm, column_mm), slice_thickness_mm=step_mm, slice_spacing_mm=step_mm
    )
    if slab.positions_mm is None or slab.read_dir is None:
        return sizes
    steps = np.arange(len(kspace)) + kspace.first_slice - header.encoded_matrix[0] // 2
    places = np.asarray(slab.positions_mm[0]) + np.outer(steps * step_mm, slab.read_dir)
    return replace(
        sizes,
        positions_mm=tuple((float(x), float(y), float(z)) for x, y, z in places),
        read_dir=slab.slice_dir,
        phase_dir=slab.phase_dir,
        slice_dir=slab.read_dir,
        patient_position=slab.patient_position,
    )


def say_phases(kspace: MrdSlices, slice_index: int, center: int) -> list[str]:
    """A line about averages that are out of phase in a slice; nothing where there are none.

    Args:
        kspace: Only lines around the k-space centre of the slice are read.
        slice_index: The slice.
        center: Column of the k-space centre.

    Raises:
        DataError: The file is damaged.
    """
    if kspace.averages is None:
        return []
    columns = kspace.columns[slice_index]
    near = np.flatnonzero(np.abs(columns - center) <= NEAR_CENTER)
    averages = kspace.averages[slice_index][near]
    phases = phases_of(kspace.lines_of(slice_index, near, is_checked=False), columns[near], averages, center)
    largest = max(abs(phase) for phase in phases.values())
    if not largest:
        return []
    return [f"averages differ in phase, by up to {largest:.2g} rad; each is turned back before they are averaged"]


def _arrange(
    acquisitions: Acquisitions,
    part: npt.NDArray[np.void],
    numbers: npt.NDArray[np.int64],
    grid: Grid,
    rows: list[npt.NDArray[np.int64]],
    columns: list[npt.NDArray[np.int64]],
    num_columns: int,
) -> MrdSlices:
    labels = [
        _labels(part["idx"]["average"][one].astype(np.int64), column) for one, column in zip(rows, columns, strict=True)
    ]
    return MrdSlices(
        acquisitions=acquisitions,
        shape=(len(rows), int(part["active_channels"][0]), grid.header.encoded_matrix[0], num_columns),
        rows=tuple(numbers[one] for one in rows),
        columns=tuple(columns),
        averages=tuple(labels) if any(np.ptp(one) for one in labels) else None,
        first_sample=grid.first_sample,
        kept=grid.kept,
        noise=grid.noise,
    )


def _labels(averages: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which average each line belongs to; lines that one average repeats count as further averages."""
    order = np.lexsort((columns, averages))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(averages[order]) != 0) | (np.diff(columns[order]) != 0)
    starts = np.flatnonzero(is_first)
    repeat = np.empty(len(order), np.int64)
    repeat[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    _, numbers = np.unique(averages, return_inverse=True)
    return np.asarray(numbers.reshape(-1) * (repeat.max() + 1) + repeat)
