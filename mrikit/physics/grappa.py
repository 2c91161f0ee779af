"""GRAPPA: unmeasured lines of k-space as sums over their measured neighbours in all coils."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mrikit.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gap:
    """Unmeasured lines between two measured ones, relative to the measured line before them."""

    sources: tuple[int, ...]
    """Offsets of the measured lines to sum over, ascending."""
    width: int
    """Offset of the measured line behind; the lines 1 .. width - 1 are missing."""


def grappa(
    kspace: torch.Tensor,
    mask: torch.Tensor,
    num_center_lines: int,
    kernel_size: tuple[int, int] = (5, 4),
    regularization: float = 1e-4,
) -> torch.Tensor:
    """Fill the gaps between the measured lines.

    Works for any line mask: gaps with the same measured neighbours at the same offsets share one set of weights, fitted
    on the fully sampled centre; a regular mask has one such set but for the rims of the centre and of k-space. Gaps so
    wide that their outer neighbours do not fit into the centre use fewer neighbours; gaps wider than the centre stay 0,
    with a warning, and so do lines outside the outermost measured ones: there is nothing to interpolate between.

    Args:
        kspace: (..., coil, readout, phase) complex64, masked.
        mask: (phase,) or (..., 1, 1, phase) bool, True where a line was measured.
        num_center_lines: Fully sampled lines in the middle.
        kernel_size: Readout samples (odd) and measured lines (even, half before and half behind) to sum over.
        regularization: Tikhonov weight relative to the mean energy of the sources.

    Returns:
        (..., coil, readout, phase) complex64; measured lines are kept exactly.

    Raises:
        ConfigError: The kernel has no middle.
        DataError: The mask is no line mask of this width, or its centre is too small to fit the weights.

    Source:
        Griswold et al., Generalized autocalibrating partially parallel acquisitions, MRM 47:1202 (2002).
    """
    num_samples, num_lines = kernel_size
    if num_samples % 2 == 0 or num_lines % 2 == 1 or min(kernel_size) < 1:
        raise ConfigError(f"the grappa kernel {kernel_size} has no middle; (odd, even) such as (5, 4) would do")
    if mask.shape[-1] != kspace.shape[-1] or any(n != 1 for n in mask.shape[-3:-1]):
        raise DataError(
            f"grappa fills lines; found a mask {tuple(mask.shape)} for k-space {tuple(kspace.shape)}; "
            f"(..., 1, 1, {kspace.shape[-1]}) would do"
        )
    masks = mask.expand(*kspace.shape[:-3], 1, 1, -1).reshape(-1, mask.shape[-1]).tolist()
    slices = kspace.to(torch.complex64).reshape(-1, *kspace.shape[-3:])
    filled = []
    for one, is_measured in zip(slices, masks, strict=True):
        kinds = _kinds_of_gaps(is_measured, num_center_lines, (one.shape[0], one.shape[1]), kernel_size)
        filled.append(_fill(one, kinds, num_center_lines, num_samples, regularization))
    return torch.stack(filled).reshape(kspace.shape)


def _fill(
    kspace: torch.Tensor, kinds: dict[_Gap, list[int]], num_center_lines: int, num_samples: int, regularization: float
) -> torch.Tensor:
    """(coil, readout, phase), filled."""
    lines = kspace.permute(2, 1, 0).contiguous()  # (phase, readout, coil): all coils of a sample are one run of memory
    start = (lines.shape[0] - num_center_lines + 1) // 2
    center = lines[start : start + num_center_lines]
    padded = torch.nn.functional.pad(lines, (0, 0, num_samples // 2, num_samples // 2))
    filled = kspace.clone()
    for gap, before in kinds.items():
        missing = _apply(padded, gap, before, num_samples, _fit(center, gap, num_samples, regularization))
        for offset in range(1, gap.width):
            filled[..., [line + offset for line in before]] = missing[:, :, offset - 1].permute(2, 1, 0)
    return filled


def _kinds_of_gaps(
    is_measured: list[bool], num_center_lines: int, size: tuple[int, int], kernel_size: tuple[int, int]
) -> dict[_Gap, list[int]]:
    """Every kind of gap with the measured lines that its occurrences follow; sources that do not fit the centre go."""
    num_coils, num_rows = size[0], size[1] - kernel_size[0] + 1
    reach = kernel_size[1] // 2
    measured = [line for line, is_in in enumerate(is_measured) if is_in]
    kinds = defaultdict(list)
    too_wide = []
    for i in range(len(measured) - 1):
        before, width = measured[i], measured[i + 1] - measured[i]
        if width == 1:
            continue
        sources = [line - before for line in measured[max(0, i + 1 - reach) : i + 1 + reach]]
        # a fit of barely as many equations as weights follows the noise: fewer, nearer sources then do better
        while len(sources) > 2 and _redundancy(sources, num_center_lines, num_coils * kernel_size[0], num_rows) < 10:
            sources = sources[1:] if -sources[0] >= sources[-1] - width else sources[:-1]
        if _redundancy(sources, num_center_lines, num_coils * kernel_size[0], num_rows) >= 1:
            kinds[_Gap(sources=tuple(sources), width=width)].append(before)
        else:
            too_wide.append(width - 1)
    if too_wide and not kinds:
        raise DataError(
            f"grappa cannot fit weights for gaps of {min(too_wide)} lines; found {num_center_lines} centre lines of "
            f"{size[1]} samples for {num_coils} coils; more centre lines, fewer coils or a lower acceleration would do"
        )
    if too_wide:
        warnings.warn("grappa leaves lines at 0 whose gaps are wider than its centre can calibrate", stacklevel=3)
    return kinds


def _redundancy(sources: list[int], num_center_lines: int, num_weights_per_line: int, num_rows: int) -> float:
    """Equations that the centre holds for each weight."""
    num_positions = max(num_center_lines - (sources[-1] - sources[0]), 0)
    return num_positions * num_rows / (len(sources) * num_weights_per_line)


def _fit(center: torch.Tensor, gap: _Gap, num_samples: int, regularization: float) -> torch.Tensor:
    """(readout sample x source line x coil, missing line x coil) weights from the centre (line, readout, coil).

    The readout counts as followed by zeros on both ends, as in `_apply`. So the product of two samples of a window
    depends on their distance only, and the normal equations need `num_samples` small products, not its square.
    """
    center = center.to(torch.complex128)  # products of k-space span more decades than float32 resolves
    positions = torch.arange(-gap.sources[0], center.shape[0] - gap.sources[-1], device=center.device)
    sources = _neighbours(center, positions, gap.sources)
    targets = _neighbours(center, positions, range(1, gap.width))
    by_distance = [_correlation(sources, sources, distance) for distance in range(num_samples)]
    blocks = [
        [by_distance[j - i] if j >= i else by_distance[i - j].mH for j in range(num_samples)]
        for i in range(num_samples)
    ]
    gram = torch.cat([torch.cat(row, dim=1) for row in blocks])
    rhs = torch.cat([_correlation(sources, targets, num_samples // 2 - i) for i in range(num_samples)])
    energy = gram.diagonal().real.mean()
    floor = torch.finfo(torch.float32).tiny  # an empty slice has weights 0, not NaN
    gram.diagonal().add_(regularization * energy + floor)
    return torch.cholesky_solve(rhs, torch.linalg.cholesky(gram)).to(torch.complex64)


def _correlation(left: torch.Tensor, right: torch.Tensor, distance: int) -> torch.Tensor:
    """Sum over positions and readout of conj(left[readout]) right[readout + distance], (left, right)."""
    if distance < 0:
        return _correlation(right, left, -distance).mH
    size = left.shape[1] - distance
    return left[:, :size].flatten(0, 1).mH @ right[:, distance:].flatten(0, 1)


def _neighbours(lines: torch.Tensor, positions: torch.Tensor, offsets: Sequence[int]) -> torch.Tensor:
    """(position, readout, offset x coil) copies of lines (line, readout, coil)."""
    index = positions[:, None] + torch.tensor(list(offsets), device=lines.device)
    return lines[index].permute(0, 2, 1, 3).flatten(2)


def _apply(padded: torch.Tensor, gap: _Gap, before: list[int], num_samples: int, weights: torch.Tensor) -> torch.Tensor:
    """(gap, readout, missing line, coil) from k-space (phase, padded readout, coil)."""
    sources = _neighbours(padded, torch.tensor(before, device=padded.device), gap.sources)
    windows = sources.unfold(1, num_samples, 1).transpose(-1, -2).flatten(2)
    return (windows @ weights).unflatten(-1, (gap.width - 1, padded.shape[-1]))
