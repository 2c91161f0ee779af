"""Mask, crop and target of a slice as tensor code on any device."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mrikit.data.example import Example
from mrikit.errors import ConfigError, DataError
from mrikit.masks import MASK_KINDS, Mask, sample_mask, stored_mask, volume_rng, within_padding
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.volumes import ScanInfo, Volume

_MOST_ZEROS = 0.01  # share of samples of a full scan that may be exactly zero in every coil


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPlan:
    """How fully sampled volumes are undersampled: one fixed mask for each volume, seeded by its name."""

    kind: str = "equispaced_fraction"
    """A name of `mrikit.masks.MASK_KINDS`."""
    acceleration: float = 4.0
    """Nominal acceleration, at least 1."""
    center_fraction: float = 0.08
    """Share of columns that are fully sampled in the middle."""

    def __post_init__(self) -> None:
        if self.kind not in MASK_KINDS:
            raise ConfigError(f"no mask is called {self.kind!r}; there are {', '.join(MASK_KINDS)}")
        if not 1 <= self.acceleration < math.inf:
            raise ConfigError(f"an acceleration is a number from 1, found {self.acceleration:g}")
        if not 0 <= self.center_fraction <= 1:
            raise ConfigError(f"the centre fraction is a share in [0, 1], found {self.center_fraction:g}")


def choose_mask(volume: Volume, plan: MaskPlan | None) -> Mask:
    """The mask that a volume is reconstructed with.

    A volume that was acquired undersampled keeps its own; a fully sampled one is undersampled as planned, or kept full
    without a plan.

    Args:
        volume: The scan.
        plan: How to undersample a full scan, None to leave it as it is.

    Returns:
        A Mask without the columns that the scanner filled with zeros.

    Raises:
        ConfigError: The plan does not fit the width.
        DataError: The stored mask samples nothing.
    """
    info = volume.info
    width = info.matrix[1]
    stored = _stored_mask(volume)
    if plan is None or stored.kind != "full":
        return stored
    drawn = sample_mask(
        plan.kind,
        width=width,
        acceleration=plan.acceleration,
        center_fraction=plan.center_fraction,
        rng=volume_rng(info.volume_id),
    )
    return within_padding(drawn, info.padding)


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
    info = volume.info
    if mask.lines.shape[-1] != info.matrix[1]:
        found = f"a mask of {mask.lines.shape[-1]} columns for k-space of {info.matrix[1]}"
        raise DataError(f"{info.volume_id}: {found}; draw the mask for this volume")
    kspace = _stack([volume.kspace[index] for index in slice_index]).to(device)
    lines = torch.from_numpy(mask.lines).to(device)
    lines = lines.expand(len(slice_index), 1, lines.shape[0] if lines.ndim > 1 else 1, lines.shape[-1])
    reference = _reference(volume, slice_index, kspace) if has_reference else None
    return Example(
        # where() and not a product, which would leave -0.0 and so leak signs.
        masked_kspace=torch.where(lines, kspace, 0.0),
        mask=lines,
        num_center_lines=torch.full((len(slice_index),), mask.num_center_lines, device=device),
        reference=reference,
        data_range=_data_range(info, reference),
        crop=scored_window(info),
        volume_id=info.volume_id,
        slice_index=slice_index,
    )


def is_fully_sampled(volume: Volume) -> bool:
    """Whether every column that the scanner acquired was measured.

    A file that stores no mask is not believed: its middle slice must not hold more exact zeros than chance leaves.
    """
    if _stored_mask(volume).kind != "full":
        return False
    left, right = volume.info.padding
    middle = volume.kspace[len(volume.kspace) // 2][..., left:right]
    return bool((middle == 0).all(axis=0).mean() < _MOST_ZEROS)


def scored_window(info: ScanInfo) -> tuple[int, int]:
    """(y, x) size that is scored: the reconstruction matrix, or the field of view where that is smaller."""
    height, width = (min(recon, full) for recon, full in zip(info.recon_matrix, info.matrix, strict=True))
    return height, width


def center_crop(image: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """The middle of (..., y, x) images; the first row and column are (n - window) // 2.

    Raises:
        DataError: The window is larger than the image.
    """
    starts = [(size - wanted) // 2 for size, wanted in zip(image.shape[-2:], window, strict=True)]
    if min(starts) < 0:
        raise DataError(f"cannot crop {window} from an image of {tuple(image.shape[-2:])}; choose a smaller window")
    return image[..., starts[0] : starts[0] + window[0], starts[1] : starts[1] + window[1]]


def _stored_mask(volume: Volume) -> Mask:
    lines = np.ones(volume.info.matrix[1], np.bool_) if volume.mask is None else volume.mask
    return stored_mask(lines, volume.info.padding)


def _reference(volume: Volume, slice_index: tuple[int, ...], kspace: torch.Tensor) -> torch.Tensor:
    """(batch, y, x) float32 on the device of the k-space, in the scored window."""
    if volume.reference is not None:
        return _stack([volume.reference[index] for index in slice_index]).to(kspace.device)
    if not is_fully_sampled(volume):
        raise DataError(f"{volume.info.volume_id}: undersampled, and its file holds no reference to compare with")
    return center_crop(rss(ifft2c(kspace)), scored_window(volume.info))


def _data_range(info: ScanInfo, reference: torch.Tensor | None) -> torch.Tensor | None:
    if info.reference_max is None or reference is None:
        return None
    return torch.full((len(reference),), info.reference_max, device=reference.device)


def _stack(slices: list[npt.NDArray[np.generic]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(slices))
