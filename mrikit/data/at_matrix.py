"""Volumes at a smaller matrix: the scored window of the image, and of its k-space the centre."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data.sampler import BatchShape
from mrikit.data.window import scored_window
from mrikit.errors import DataError
from mrikit.physics.fft import fft1c, ifft1c
from mrikit.volumes import ScanInfo, Volume
from mrikit.volumes.geometry import centre_cropped
from mrikit.volumes.slice_array import ComputedSlices

Size = tuple[int, int]


def at_matrix(volume: Volume, matrix: Size) -> Volume:
    """The volume as if it had been scanned at a lower resolution, with no more around it than is scored.

    Its slices are computed when they are read. It has no reference: that is made from its k-space, before coils are
    compressed. Its image keeps the scale of the data.

    Args:
        volume: A fully sampled scan.
        matrix: (readout, phase) of the new k-space.

    Raises:
        DataError: It was acquired undersampled, or is smaller than the matrix.

    Source:
        Bakker et al., On learning adaptive acquisition policies for undersampled multi-coil MRI reconstruction, MIDL
        2022: crop the image to its reconstruction matrix, then k-space. Its scale of k-space is that of the crop.
    """
    info, window = volume.info, scored_window(volume.info)
    asked = " x ".join(map(str, matrix))
    if not volume.is_fully_sampled:
        raise DataError(
            f"{info.volume_id}: acquired undersampled, and only full k-space can be cropped to a matrix of {asked}; "
            f"name full data, or weights without data.matrix"
        )
    if any(wanted > size for wanted, size in zip(matrix, window, strict=True)):
        found = " x ".join(map(str, window))
        raise DataError(
            f"{info.volume_id}: its window of {found} pixels is smaller than the matrix of {asked} that is asked for; "
            f"a smaller data.matrix would do"
        )
    region = volume.acquired.at_matrix(window, matrix)
    kspace = ComputedSlices(
        source=volume.kspace,
        shape=(*volume.kspace.shape[:2], *matrix),
        compute=partial(_crop_slice, window=window, matrix=matrix),
    )
    return volume.rescanned(kspace, _info_at_matrix(info, window, matrix, region.columns), region)


def shape_at_matrix(shape: BatchShape, matrix: Size) -> BatchShape:
    """The shape of a volume's slices at that matrix."""
    return replace(shape, kspace=(shape.kspace[0], *matrix), window=matrix, reference=None)


def crop_to_matrix(kspace: torch.Tensor, window: Size, matrix: Size) -> torch.Tensor:
    """K-space of the window of an image, and of that the centre.

    Args:
        kspace: (..., readout, phase) complex64, full.
        window: (y, x) of what is kept of the image, its middle.
        matrix: (readout, phase) of what is kept of its k-space.

    Returns:
        (..., readout, phase) complex64 of the size of `matrix`; its image has the scale of the given one.
    """
    for dim, size, wanted in zip((-2, -1), window, matrix, strict=True):
        full = kspace.shape[dim]
        if size < full:
            kspace = fft1c(ifft1c(kspace, dim).narrow(dim, (full - size) // 2, size), dim)
        # Not (size - wanted) // 2: the centre lies at n // 2 before and after.
        kspace = kspace.narrow(dim, size // 2 - wanted // 2, wanted) * (wanted / size) ** 0.5
    return kspace


def _crop_slice(kspace: npt.NDArray[Any], window: Size, matrix: Size) -> npt.NDArray[np.complex64]:
    found: npt.NDArray[np.complex64] = crop_to_matrix(torch.from_numpy(np.asarray(kspace)), window, matrix).numpy()
    return np.ascontiguousarray(found)


def _info_at_matrix(info: ScanInfo, window: Size, matrix: Size, columns: tuple[int, int]) -> ScanInfo:
    """The facts of a scan that are others at that matrix."""
    geometry = info.geometry
    if geometry is not None:
        geometry = centre_cropped(geometry, info.matrix, window)
        if geometry.pixel_mm is not None:
            geometry = replace(geometry, pixel_mm=_scaled(geometry.pixel_mm, window, matrix))
    return replace(
        info,
        matrix=matrix,
        recon_matrix=matrix,
        interpolated_matrix=None,
        fov_mm=None if info.fov_mm is None else _scaled(info.fov_mm, window, info.matrix),
        padding=columns,
        reference_max=None,
        acceleration=None,
        num_center_lines=None,
        geometry=geometry,
    )


def _scaled(lengths: tuple[float, float], numerator: Size, denominator: Size) -> tuple[float, float]:
    first, second = (one * up / down for one, up, down in zip(lengths, numerator, denominator, strict=True))
    return first, second
