"""Read every slice of a volume: finite, not empty, and the image that its reference claims to be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mrikit.check.findings import UNREAD, Finding, in_ranges, make_finding, slices_in_words
from mrikit.check.headers import fits
from mrikit.errors import DataError
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import ifft1c
from mrikit.volumes import SliceArray, Volume
from mrikit.volumes.faults import DamageError, Fault, fault_of
from mrikit.volumes.layout import energy_center, energy_profiles, misplaced
from mrikit.volumes.mapped import MappedSlices
from mrikit.volumes.sampling import MIN_UNSAMPLED, can_be_full, judge

MOST_DIFFERENT = 1e-3
"""Relative error of a slice that is still rounding. Measured on real and simulated scans: 2e-7 where both are float32,
up to 8e-4 where the reference was once float16. The smallest real difference that was tried gives 3e-3 (one of 16 coils
or one of 368 columns lost); a window one pixel off or the image of the next slice give 0.16 and more."""
MOST_DIFFERENT_MAX = 1e-5
"""Relative error of a stored maximum that is still rounding."""

_COPY = DamageError.remedy


def check_slices(name: str, volume: Volume, on_slice: Callable[[], None] = lambda: None) -> list[Finding]:
    """Read a volume slice by slice; memory is that of about two slices of k-space.

    K-space and reference must be finite and not zero everywhere. The reference of a fully sampled volume must be the
    root sum of squares of its coil images (the magnitude, for a single coil) in the middle of the field of view, and
    its maximum what the file states. Undersampled k-space must have a mask. The energy must lie in the middle.

    Args:
        name: Of the file, for the findings.
        volume: An open volume.
        on_slice: Called after each slice.

    Returns:
        One finding for each kind of trouble, with its slices.

    Raises:
        StorageError: The network or the account fails; nothing is known about the file.
    """
    seen = _Seen(
        pattern=np.zeros(volume.info.matrix, np.bool_), is_compared=_is_comparable(volume), profiles=_none_yet(volume)
    )
    for slice_index in range(len(volume.kspace)):
        _look(volume, slice_index, seen)
        on_slice()
    return [
        *_bad_slices(name, seen),
        *_compared(name, seen),
        *_maximum(name, volume, seen),
        *_sampling(name, volume, seen),
        *_center(name, volume, seen),
    ]


@dataclass(kw_only=True, slots=True)
class _Seen:
    """What the slices so far have shown."""

    pattern: npt.NDArray[np.bool_]
    """(readout, phase) where any slice and coil holds a value other than zero."""
    is_compared: bool
    profiles: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    """Sums of the slices' energy along readout and phase."""
    bad: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Slices by kind of trouble and array."""
    reasons: dict[tuple[str, str], Fault] = field(default_factory=dict)
    """Why the first of them cannot be read."""
    errors: dict[int, float] = field(default_factory=dict)
    """Relative error of the reference, by slice."""
    scales: dict[int, tuple[float, float]] = field(default_factory=dict)
    """The factor that brings the image closest to the reference, and the relative error that is left, by slice."""
    largest: float = 0.0
    """Maximum of the reference slices."""
    num_references: int = 0
    """Reference slices that could be read."""


def _none_yet(volume: Volume) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    readout, phase = volume.info.matrix
    return np.zeros(readout), np.zeros(phase)


def _is_comparable(volume: Volume) -> bool:
    """Whether the reference must be the image of the k-space beside it."""
    if volume.reference is None or volume.mask is not None or not fits(volume):
        return False
    if isinstance(volume.kspace, MappedSlices) and "average" in volume.kspace.axes.names:
        return False  # nobody knows how the scanner combined the averages
    # fastMRI's single-coil k-space is made from many coils, and its RSS image still is that of all of them.
    is_of_all_coils = getattr(volume.reference, "key", None) == "reconstruction_rss"
    return not (is_of_all_coils and volume.kspace.shape[1] == 1)


def _look(volume: Volume, slice_index: int, seen: _Seen) -> None:
    kspace = _read(volume.kspace, "k-space", slice_index, seen)
    if kspace is not None and can_be_full(volume.mask, volume.info.padding):
        seen.pattern |= kspace.any(axis=0)
    if kspace is not None:
        rows, columns = energy_profiles(kspace)
        seen.profiles = seen.profiles[0] + rows, seen.profiles[1] + columns
    if volume.reference is None:
        return
    reference = _read(volume.reference, "the reference", slice_index, seen)
    if reference is None:
        return
    seen.largest = max(seen.largest, float(reference.max()))
    seen.num_references += 1
    if kspace is not None and seen.is_compared:
        _compare(torch.from_numpy(kspace), torch.from_numpy(reference), slice_index, seen)


def _read(slices: SliceArray, array: str, slice_index: int, seen: _Seen) -> npt.NDArray[Any] | None:
    """The slice, or None if it is unreadable, not finite or zero everywhere."""
    try:
        found = slices[slice_index]
    except DataError as error:
        # The readers let no such value through.
        kind = "not_finite" if "NaN or Inf" in str(error) else "unreadable"
        seen.bad.setdefault((kind, array), []).append(slice_index)
        seen.reasons.setdefault((kind, array), fault_of(error))
        return None
    if found.any():
        return found
    seen.bad.setdefault(("zero", array), []).append(slice_index)
    return None


def _compare(kspace: torch.Tensor, reference: torch.Tensor, slice_index: int, seen: _Seen) -> None:
    """Of a (coil, readout, phase) slice and its (y, x) reference."""
    rows, columns = reference.shape
    energy = torch.zeros(rows, columns)
    for coil in kspace:  # one at a time, because a slice may be large
        lines = center_crop(ifft1c(coil, dim=-2), (rows, coil.shape[-1]))
        energy += center_crop(ifft1c(lines, dim=-1), (rows, columns)).abs().square()
    image = energy.double().sqrt()
    expected = reference.double()
    norm = float(expected.norm())
    seen.errors[slice_index] = float((image - expected).norm()) / norm
    brightness = float(image.square().sum())
    scale = float((image * expected).sum()) / brightness if brightness else 0.0
    seen.scales[slice_index] = scale, float((scale * image - expected).norm()) / norm


def _bad_slices(name: str, seen: _Seen) -> list[Finding]:
    found = []
    for (kind, array), numbers in seen.bad.items():
        slices = f"{slices_in_words(numbers)} of {array}"
        if kind == "not_finite":
            found.append(make_finding("error", kind, (name,), f"{slices}: NaN or Inf", _COPY))
        elif kind == "zero":
            found.append(make_finding("error", kind, (name,), f"{slices}: zero everywhere", _COPY))
        else:
            fault = seen.reasons[kind, array]
            what = f"{slices} cannot be read: {fault.message.partition(': ')[2]}"
            found.append(make_finding("error", UNREAD if fault.passes else kind, (name,), what, fault.remedy))
    return found


def _compared(name: str, seen: _Seen) -> list[Finding]:
    """Slices whose reference is another image than that of k-space."""
    wrong = [slice_index for slice_index, error in seen.errors.items() if error > MOST_DIFFERENT]
    if not wrong:
        return []
    largest = max(seen.errors[slice_index] for slice_index in wrong)
    what = (
        f"{slices_in_words(wrong)}: the stored reconstruction is not that of k-space, relative error up to "
        f"{largest:.2g}"
    )
    factors = [seen.scales[slice_index][0] for slice_index in wrong]
    if all(seen.scales[slice_index][1] <= MOST_DIFFERENT for slice_index in wrong):
        between = sorted({f"{min(factors):.6g}", f"{max(factors):.6g}"})
        what += f"; it is the same image times {' to '.join(between)}"
        remedy = "scale the reference, or k-space, so that both have the scale of the data"
    else:
        remedy = "copy or unpack it again; do k-space and reference belong together?"
    return [make_finding("error", "reference_differs", (name,), what, remedy)]


def _maximum(name: str, volume: Volume, seen: _Seen) -> list[Finding]:
    stored = volume.info.reference_max
    if stored is None or volume.reference is None or seen.num_references < len(volume.reference):
        return []
    if abs(stored - seen.largest) <= MOST_DIFFERENT_MAX * seen.largest:
        return []
    what = f"the attribute 'max' is {stored:.6g}, but the largest value of the reference is {seen.largest:.6g}"
    return [make_finding("error", "max_differs", (name,), what, "write the maximum of the reference into the file")]


def _sampling(name: str, volume: Volume, seen: _Seen) -> list[Finding]:
    """Columns or points of what was acquired that are zero everywhere, in a file that calls itself full."""
    try:
        if not seen.pattern.any() or not can_be_full(volume.mask, volume.info.padding) or volume.is_fully_sampled:
            return []
    except DataError:  # a slice that was told already
        return []
    region = judge(seen.pattern, None, volume.info.padding).region
    left, right = region.columns
    columns = np.asarray((seen.pattern & region.samples()).any(axis=0))
    gaps = np.flatnonzero(~columns[left:right]) + left
    inside = region.samples()[:, columns]
    share = 1 - float(seen.pattern[:, columns][inside].mean())
    if len(gaps):
        missing = f"columns {in_ranges(gaps.tolist())} of the acquired {left}-{right - 1} are"
    elif share > MIN_UNSAMPLED:
        missing = f"{share:.0%} of the acquired samples are"
    else:
        missing = "rows, or samples of the middle slice, are"
    says = "has no mask" if volume.mask is None else "has a mask that leaves nothing out"
    what = f"{missing} exactly zero in every slice and coil, but the file {says}: it seems to be undersampled"
    return [
        make_finding(
            "warning", "undersampled", (name,), what, "store the mask in the file, or leave it out of training"
        )
    ]


def _center(name: str, volume: Volume, seen: _Seen) -> list[Finding]:
    """Energy that lies elsewhere than in the middle, which every reconstruction takes for the k-space centre."""
    center = energy_center(seen.profiles)
    what = None if center is None else misplaced(center, volume.info.matrix)
    if what is None:
        return []
    remedy = "shift k-space so that its centre lies at size // 2, or mend the encoding limits; or leave it out"
    return [make_finding("error", "center_differs", (name,), what, remedy)]
