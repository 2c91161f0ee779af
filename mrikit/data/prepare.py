"""Mask, crop and target of slices as batched tensor code on any device."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data.dataset import SliceBatch
from mrikit.data.example import Example
from mrikit.data.undersample import is_fully_sampled
from mrikit.data.window import center_crop, scored_window
from mrikit.errors import DataError
from mrikit.masks import Mask
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.volumes import ScanInfo, Volume


class SampleId(NamedTuple):
    """What random numbers of a sample are keyed by, together with seed, epoch and purpose."""

    volume_id: str
    slice_index: int


Augment: TypeAlias = Callable[[torch.Tensor, Sequence[SampleId]], torch.Tensor]
"""Full k-space (batch, slice, coil, readout, phase) complex64 and whose it is, to new k-space of the same shape.

Columns that the scanner filled with zeros are masked afterwards where they lay before."""


def prepare_batch(
    batch: SliceBatch,
    infos: Sequence[ScanInfo],
    masks: Sequence[Mask],
    device: torch.device | str = "cpu",
    *,
    augment: Augment | None = None,
) -> Example:
    """Put slices on the device, augment and undersample them, and make what they are compared with.

    Args:
        batch: Fully sampled slices of one shape.
        infos: Facts of the volume of each batch element.
        masks: Lines to keep of each batch element.
        device: Where the tensors are made.
        augment: Changes full k-space; the reference is then made from the changed k-space of the middle slice.

    Returns:
        An Example with a reference: the file's own, or RSS of full k-space; its data range is that of the volume, or
        of the slice alone where the file does not say. Without neighbours it has no slice axis.

    Raises:
        DataError: A mask does not fit.
    """
    slice_index = tuple(key.slice_index for key in batch.keys)
    kspace = _move(batch.kspace, device)
    reference = None if batch.reference is None or augment else _move(batch.reference, device)
    if reference is not None:
        reference = _cut(reference, infos[0])
    if augment:
        kspace = augment(
            kspace, [SampleId(info.volume_id, index) for info, index in zip(infos, slice_index, strict=True)]
        )
    if reference is None:
        reference = _root_sum_of_squares(kspace[:, kspace.shape[1] // 2], infos[0])
    return _undersample(kspace, reference, infos, masks, slice_index, _data_ranges(infos, reference))


def make_example(
    volume: Volume,
    slice_index: tuple[int, ...],
    mask: Mask,
    device: torch.device | str = "cpu",
    *,
    has_reference: bool = True,
) -> Example:
    """Read slices, put them on the device and undersample them.

    Args:
        volume: The scan; only the named slices are read.
        slice_index: Slices to read, one for each batch element.
        mask: Lines to keep.
        device: Where the tensors are made.
        has_reference: Whether to read the reference too, or to make it from the k-space of a volume that is full but
            has none.

    Raises:
        DataError: The mask does not fit, a slice is damaged, or an undersampled volume has no reference.
    """
    infos, masks = [volume.info] * len(slice_index), [mask] * len(slice_index)
    kspace = _stack([volume.kspace[index] for index in slice_index]).unsqueeze(1).to(device)
    reference = _reference(volume, slice_index, kspace[:, 0]) if has_reference else None
    is_known = reference is not None and volume.info.reference_max is not None
    data_range = _data_ranges(infos, reference) if reference is not None and is_known else None
    return _undersample(kspace, reference, infos, masks, slice_index, data_range)


def _undersample(
    kspace: torch.Tensor,
    reference: torch.Tensor | None,
    infos: Sequence[ScanInfo],
    masks: Sequence[Mask],
    slice_index: tuple[int, ...],
    data_range: torch.Tensor | None,
) -> Example:
    """(batch, slice, coil, readout, phase) full k-space to an Example; a slice axis of size 1 is dropped."""
    lines = _lines(infos, masks).to(kspace.device, non_blocking=True)
    if kspace.shape[1] == 1:
        kspace = kspace[:, 0]
    else:
        lines = lines.unsqueeze(1)
    return Example(
        masked_kspace=_keep(lines, kspace),
        mask=lines,
        num_center_lines=torch.tensor([mask.num_center_lines for mask in masks], device=kspace.device),
        reference=reference,
        data_range=data_range,
        crop=scored_window(infos[0]),
        volume_ids=tuple(info.volume_id for info in infos),
        slice_index=slice_index,
    )


def _keep(lines: torch.Tensor, kspace: torch.Tensor) -> torch.Tensor:
    """K-space where the lines are, +0.0 elsewhere: where() and not a product, whose -0.0 would leak signs."""
    if kspace.device.type == "cpu":
        # numpy takes its memory in huge pages, and does not wait for torch's threads while others read.
        return torch.from_numpy(np.where(lines.numpy(), kspace.numpy(), np.complex64(0)))
    return torch.where(lines, kspace, 0.0)


def _lines(infos: Sequence[ScanInfo], masks: Sequence[Mask]) -> torch.Tensor:
    """(batch, 1, 1, phase) bool, or (batch, 1, readout, phase) if any is a 2-D pattern."""
    for info, mask in zip(infos, masks, strict=True):
        if mask.lines.shape[-1] != info.matrix[1]:
            found = f"a mask of {mask.lines.shape[-1]} columns for k-space of {info.matrix[1]}"
            raise DataError(f"{info.volume_id}: {found}; draw the mask for this volume")
    rows = max(mask.lines.shape[0] if mask.lines.ndim > 1 else 1 for mask in masks)
    return _stack([np.broadcast_to(mask.lines, (1, rows, mask.lines.shape[-1])) for mask in masks])


def _move(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """To the device; to a GPU from pinned memory, so that Python does not wait for the copy."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _reference(volume: Volume, slice_index: tuple[int, ...], kspace: torch.Tensor) -> torch.Tensor:
    """(batch, y, x) float32 on the device of the k-space, in the scored window."""
    if volume.reference is not None:
        stored = _stack([volume.reference[index] for index in slice_index]).to(kspace.device)
        return _cut(stored, volume.info)
    if not is_fully_sampled(volume):
        raise DataError(f"{volume.info.volume_id}: undersampled, and its file holds no reference to compare with")
    return _root_sum_of_squares(kspace, volume.info)


def _cut(reference: torch.Tensor, info: ScanInfo) -> torch.Tensor:
    """A stored reference without what lies outside a field of view that is narrower."""
    height, width = (min(sizes) for sizes in zip(reference.shape[-2:], scored_window(info), strict=True))
    return center_crop(reference, (height, width))


def _root_sum_of_squares(kspace: torch.Tensor, info: ScanInfo) -> torch.Tensor:
    """(batch, coil, readout, phase) full k-space to (batch, y, x) float32 in the scored window."""
    return center_crop(rss(ifft2c(kspace)), scored_window(info))


def _data_ranges(infos: Sequence[ScanInfo], reference: torch.Tensor) -> torch.Tensor:
    """(batch,) float32: maximum of the volume, of the slice where that is not known."""
    known = [info.reference_max for info in infos]
    of_volume = torch.tensor([torch.nan if largest is None else largest for largest in known])
    of_volume = of_volume.to(reference.device, non_blocking=True)
    return of_volume if None not in known else torch.where(of_volume.isnan(), reference.amax((-2, -1)), of_volume)


def _stack(slices: Sequence[npt.NDArray[np.generic]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(slices))
