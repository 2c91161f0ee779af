"""One volume to its reconstruction, slice by slice or several slices at a time."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data import (
    Example,
    MaskPlan,
    at_matrix,
    center_crop,
    choose_mask,
    cropped_shape,
    in_window,
    make_example,
    network_inputs,
    scored_window,
    window_before,
    with_uncounted_center,
)
from mrikit.errors import DataError, JobError
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.models.precision import autocast, real_float32
from mrikit.parallel import map_on_cores
from mrikit.reconstruct.flips import FLIPS, mirror, mirror_inputs
from mrikit.reconstruct.forward_clock import ForwardClock
from mrikit.reconstruct.method import Method, describe_method
from mrikit.reconstruct.shared_slices import HeldSlices, Readers
from mrikit.volumes import ScanInfo, Volume
from mrikit.volumes.geometry import centre_cropped
from mrikit.volumes.reconstruction import Reconstruction

OnSlice = Callable[[str, int], None]
"""Called after every slice with the volume and its number of slices."""
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Masked k-space, mask and number of centre lines, as models take them."""

_T = TypeVar("_T")
_R = TypeVar("_R")
_ZERO_FILLED = ZeroFilled(ZeroFilledConfig())
_SLICES_ON_GPU = 4


def reconstruct_volume(
    volume: Volume,
    method: Method,
    plan: MaskPlan | None,
    *,
    device: torch.device | str = "cpu",
    slices_at_a_time: int = 0,
    clock: ForwardClock | None = None,
    on_slice: OnSlice = lambda _volume_id, _num_slices: None,
) -> Reconstruction:
    """Undersample and reconstruct every slice of a volume; each is read once.

    Where a network was trained at a smaller matrix, so is it given the volume: image and reference are of that matrix.

    Args:
        volume: The scan, read slice by slice.
        method: The model, on the device.
        plan: How a fully sampled volume is undersampled; None keeps it full.
        device: Where to compute.
        slices_at_a_time: Slices that a model is given together; 0 for 1 on each core of a CPU, and several on a GPU, or
            fewer where its memory does not suffice.
        clock: Times each slice alone, with nothing beside it; then they are given to the model one by one.
        on_slice: Called after every slice with the volume and its number of slices.

    Raises:
        DataError: A slice is damaged, or the mask does not suit the model.
        JobError: The memory of the device does not suffice for one slice.
    """
    source = held = volume.kspace if isinstance(volume.kspace, HeldSlices) else HeldSlices(volume.kspace)
    volume = volume.replaced(kspace=held)
    _require_centred(volume)
    if method.matrix:
        volume = at_matrix(volume, method.matrix)
        held = HeldSlices(volume.kspace)
        volume = volume.replaced(kspace=held)
    info, volume_id = volume.info, volume.info.volume_id
    mask = choose_mask(volume, plan, cropped_shape(info, method.max_readout))
    _warn_of_rows(info, method)
    shown = with_uncounted_center(mask) if method.counts_stored_center else mask
    has_reference = volume.reference is None and volume.is_fully_sampled
    num_slices = len(held)
    readers = Readers(num_slices, method.num_adjacent)

    def read(indices: tuple[int, ...]) -> Example:
        with _named(volume_id, indices):
            example = make_example(
                volume,
                indices,
                shown,
                device,
                has_reference=has_reference,
                num_adjacent=method.num_adjacent,
                max_readout=method.max_readout,
                num_coils=method.num_coils,
            )
        finished = readers.finish(indices)
        for slices in (held, source):
            slices.let_go(finished)
        return in_window(example, window_before(volume.info)) if method.crops_before else example

    def compute(example: Example) -> list[_Slice]:
        with _named(volume_id, tuple(facts.slice_index for facts in example.facts)):
            return _reconstruct_slices(example, method, clock)

    slices: list[_Slice] = []
    with real_float32():
        size = 1 if clock else slices_at_a_time
        for done in _in_groups(read, compute, num_slices, size, device, is_alone=clock is not None):
            slices += done
            for _ in done:
                on_slice(volume_id, num_slices)
    return Reconstruction(
        image=np.stack([done.image for done in slices]),
        zero_filled=np.stack([done.zero_filled for done in slices]),
        reference=np.stack([done.reference for done in slices]) if has_reference else None,
        volume_id=volume_id,
        acquisition=info.acquisition,
        geometry=None if info.geometry is None else centre_cropped(info.geometry, info.matrix, scored_window(info)),
        mask=mask,
        model=method.name,
        weights_sha256=method.weights.sha256 if method.weights else None,
        config=describe_method(method, plan),
        timing=clock.finish_volume() if clock else None,
    )


def _in_groups(
    read: Callable[[tuple[int, ...]], Example],
    compute: Callable[[Example], "list[_Slice]"],
    num_slices: int,
    size: int,
    device: torch.device | str,
    *,
    is_alone: bool,
) -> "Iterator[list[_Slice]]":
    """All slices in order: on the cores of a CPU at once, on a GPU while the next are read, or one after the other."""
    is_on_cpu = torch.device(device).type == "cpu"
    size = size or (1 if is_on_cpu else _SLICES_ON_GPU)
    groups = [tuple(range(first, min(first + size, num_slices))) for first in range(0, num_slices, size)]
    if is_alone:
        return (compute(read(group)) for group in groups)
    if is_on_cpu:
        return map_on_cores(lambda group: compute(read(group)), groups)
    return map(compute, one_ahead(read, groups))


def _require_centred(volume: Volume) -> None:
    """Refuse k-space with its centre in the corner, and say where it is elsewhere off the middle."""
    if volume.misplaced is None:
        return
    if "corner" in volume.misplaced:
        raise DataError(
            f"{volume.info.volume_id}: {volume.misplaced}; shift k-space so that its centre lies at size // 2"
        )
    what = f"{volume.info.volume_id}: {volume.misplaced}"
    warnings.warn(f"{what}; is its header right? See `mrikit data check --deep`", stacklevel=2)


def one_ahead(work: Callable[[_T], _R], items: Sequence[_T]) -> Iterator[_R]:
    """`work(item)` of every item, in order, the next one in another thread while this one is being used."""
    with ThreadPoolExecutor(1) as pool:
        following = [pool.submit(work, item) for item in items[:1]]
        for position in range(len(items)):
            done = following.pop().result()
            following += [pool.submit(work, item) for item in items[position + 1 : position + 2]]
            yield done


def _warn_of_rows(info: ScanInfo, method: Method) -> None:
    """Say so where more rows are scored than the network was trained to see."""
    rows = scored_window(info)[0]
    if 0 < method.max_readout < rows:
        warnings.warn(
            f"{info.volume_id}: {rows} rows of the image are asked for, and the network was trained to see "
            f"{method.max_readout} at most; it sees all of them",
            stacklevel=3,
        )


class _Slice(NamedTuple):
    """(y, x) float32 of one slice in the scored window."""

    image: npt.NDArray[np.float32]
    zero_filled: npt.NDArray[np.float32]
    reference: npt.NDArray[np.float32]
    """Empty unless it was asked for."""


@contextlib.contextmanager
def _named(volume_id: str, indices: tuple[int, ...]) -> Iterator[None]:
    """Errors in the block name the volume and the slices."""
    what = f"slice {indices[0]}" if len(indices) == 1 else f"slices {indices[0]} to {indices[-1]}"
    try:
        yield
    except (DataError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        raise DataError(f"{volume_id}, {what}: {error}") from error
    except torch.OutOfMemoryError as error:
        raise JobError(
            f"{volume_id}, {what}: the memory of the device does not suffice for one slice; try --precision bf16, or "
            f"--device cpu"
        ) from error


@torch.inference_mode()
def _reconstruct_slices(example: Example, method: Method, clock: ForwardClock | None) -> list[_Slice]:
    inputs = network_inputs(example, crops_before=method.crops_before)

    def forward() -> torch.Tensor:
        images = [mirror(_image(method, mirror_inputs(inputs, dims)), dims) for dims in _flips(method)]
        return torch.stack(images).mean(0)

    image, zero_filled = (
        center_crop(full, example.crop).cpu().numpy()
        for full in (
            clock.time(forward) if clock else forward(),
            _ZERO_FILLED(*_without_neighbours(network_inputs(example))),
        )
    )
    reference = None if example.reference is None else example.reference.cpu().numpy()
    return [
        _Slice(
            image=image[position],
            zero_filled=zero_filled[position],
            reference=np.empty(0, np.float32) if reference is None else reference[position],
        )
        for position in range(len(image))
    ]


def _flips(method: Method) -> tuple[tuple[int, ...], ...]:
    return FLIPS if method.flips else FLIPS[:1]


def _image(method: Method, inputs: Inputs) -> torch.Tensor:
    """(batch, y, x) float32; where memory does not suffice, of half as many slices at a time, down to one."""
    size = len(inputs[0])
    while True:
        try:
            # Each thread needs its own: autocast belongs to one.
            with autocast(inputs[0].device, method.precision):
                parts = zip(*(tensor.split(size) for tensor in inputs), strict=True)
                return torch.cat([method.model(*part).float() for part in parts])
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = (size + 1) // 2


def _without_neighbours(inputs: Inputs) -> Inputs:
    """The slices themselves, without a slice axis."""
    masked_kspace, mask, num_center_lines = inputs
    if masked_kspace.ndim == 4:
        return inputs
    return masked_kspace[:, masked_kspace.shape[1] // 2], mask[:, 0], num_center_lines
