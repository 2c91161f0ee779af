"""One volume to its reconstruction, slice by slice or several slices at a time."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from mrikit.data import (
    Example,
    MaskPlan,
    ScanBatch,
    at_matrix,
    choose_mask,
    choose_transposed_mask,
    cropped_shape,
    in_window,
    make_scan,
    scored_window,
    transpose,
    undersample,
    window_before,
    with_uncounted_center,
)
from mrikit.errors import DataError, JobError
from mrikit.masks import Mask, center_lines
from mrikit.models.precision import real_float32
from mrikit.parallel import map_on_cores
from mrikit.randomness import generator
from mrikit.reconstruct.acquire import acquire_slices, adaptive_mask, is_scan_method
from mrikit.reconstruct.dither import dither
from mrikit.reconstruct.forward_clock import ForwardClock
from mrikit.reconstruct.largest import largest_reference
from mrikit.reconstruct.learned import mask_to_choose
from mrikit.reconstruct.method import Method, describe_method
from mrikit.reconstruct.shared_slices import HeldSlices, Readers
from mrikit.reconstruct.slices import Slice, reconstruct_slices
from mrikit.volumes import ScanInfo, Volume
from mrikit.volumes.decisions import join_decisions
from mrikit.volumes.geometry import centre_cropped
from mrikit.volumes.reconstruction import Reconstruction, Timing

OnSlice = Callable[[str, int], None]
"""Called after every slice with the volume and its number of slices."""
Read = Example | ScanBatch
"""What a method is given: what is measured of slices, or full k-space to be measured."""

_T = TypeVar("_T")
_R = TypeVar("_R")
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
        plan: How a fully sampled volume is undersampled; None keeps it full. A learned one is that of the weights, and
            of a network that chooses its lines itself, each slice is measured line by line.
        device: Where to compute.
        slices_at_a_time: Slices that a model is given together; 0 for 1 on each core of a CPU, and several on a GPU, or
            fewer where its memory does not suffice.
        clock: Times each slice alone, with nothing beside it; then they are given to the model one by one.
        on_slice: Called after every slice with the volume and its number of slices.

    Raises:
        ConfigError: The weights have no such learned mask.
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
    _warn_of_rows(info, method)
    # Of a method that chooses its lines itself no mask is known before.
    is_measured = method.is_adaptive and plan is not None and plan.is_learned and volume.is_fully_sampled
    mask = None if is_measured else _mask(volume, method, plan)
    num_slices = len(held)
    readers = Readers(num_slices, method.num_adjacent)
    largest = None
    if is_measured and is_scan_method(method):
        largest = largest_reference(volume)
        for read_slices in (held, source):
            read_slices.let_go(range(num_slices))

    def read(indices: tuple[int, ...]) -> Read:
        with _named(volume_id, indices):
            found = _read(volume, indices, mask, method, device, largest)
        finished = readers.finish(indices)
        for slices in (held, source):
            slices.let_go(finished)
        return found

    def compute(found: Read) -> list[Slice]:
        with _named(volume_id, tuple(facts.slice_index for facts in found.facts)):
            if isinstance(found, Example):
                made = reconstruct_slices(found, method, clock)
                return [one.transposed for one in made] if method.transposed else made
            assert plan is not None  # that of the network
            made = acquire_slices(found, method, center_lines(found.shape[1], plan.center_fraction), clock)
            are_filmed = [facts.slice_index == num_slices // 2 for facts in found.facts]
            return [one if is_kept else one.without_film for one, is_kept in zip(made, are_filmed, strict=True)]

    slices: list[Slice] = []
    with real_float32():
        size = 1 if clock else slices_at_a_time
        for done in _in_groups(read, compute, num_slices, size, device, is_alone=clock is not None):
            slices += done
            for _ in done:
                on_slice(volume_id, num_slices)
    return _reconstruction(volume, method, plan, mask, slices, clock.finish_volume() if clock else None)


def _mask(volume: Volume, method: Method, plan: MaskPlan | None) -> Mask:
    choose = choose_transposed_mask if method.transposed else choose_mask
    return choose(volume, mask_to_choose(method, plan), cropped_shape(volume.info, method.max_readout))


def _read(
    volume: Volume,
    indices: tuple[int, ...],
    mask: Mask | None,
    method: Method,
    device: torch.device | str,
    largest: float | None = None,
) -> Read:
    """Slices undersampled by a mask, or full ones where the method itself is to measure them.

    Given the largest value of the volume's reference, that is beside them.
    """
    has_reference = largest is not None or (volume.reference is None and volume.is_fully_sampled)
    seen = {"num_adjacent": method.num_adjacent, "max_readout": method.max_readout, "num_coils": method.num_coils}
    scan = make_scan(volume, indices, device, has_reference=has_reference, **seen)
    if mask is None:
        return (
            scan if largest is None else replace(scan, data_range=torch.full((len(indices),), largest, device=device))
        )
    shown = with_uncounted_center(mask) if method.counts_stored_center else mask
    keeps_full = method.gives_kspace and volume.is_fully_sampled
    window = window_before(volume.info)
    if method.transposed:
        scan, window = transpose(scan, [True] * len(indices)), (window[1], window[0])
    example = undersample(scan, [shown] * len(indices), keeps_full=keeps_full)
    return in_window(example, window) if method.crops_before else example


def _reconstruction(
    volume: Volume,
    method: Method,
    plan: MaskPlan | None,
    mask: Mask | None,
    slices: Sequence[Slice],
    timing: Timing | None,
) -> Reconstruction:
    info = volume.info
    acquired = [done.acquired for done in slices if done.acquired is not None]
    lines = None
    if mask is None:
        assert plan is not None  # that of the network, which chose
        mask, lines = adaptive_mask([one.lines for one in acquired], plan, volume.acquired)
    energies = [done.energies for done in slices if done.energies is not None]
    has_reference = volume.reference is None and volume.is_fully_sampled
    image = np.stack([done.image for done in slices])
    return Reconstruction(
        image=dither(image, method.dither, generator(info.volume_id, "dither")),
        zero_filled=np.stack([done.zero_filled for done in slices]),
        reference=np.stack([done.reference for done in slices]) if has_reference else None,
        volume_id=info.volume_id,
        acquisition=info.acquisition,
        geometry=None if info.geometry is None else centre_cropped(info.geometry, info.matrix, scored_window(info)),
        mask=mask,
        masks=lines,
        chances=np.stack([one.chances for one in acquired]) if acquired else None,
        decisions=join_decisions([one.decisions for one in acquired]) if acquired else None,
        kspace_energies=np.array(energies, np.float32) if energies else None,
        model=method.name,
        weights_sha256=method.weights.sha256 if method.weights else None,
        config=describe_method(method, plan),
        timing=timing,
    )


def _in_groups(
    read: Callable[[tuple[int, ...]], Read],
    compute: Callable[[Read], list[Slice]],
    num_slices: int,
    size: int,
    device: torch.device | str,
    *,
    is_alone: bool,
) -> Iterator[list[Slice]]:
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
