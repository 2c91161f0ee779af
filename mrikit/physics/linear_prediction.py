"""How well unmeasured k-space follows from what is measured near it: a mask's error before any network is trained."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from mrikit.errors import ConfigError

_PADDINGS = {"zero": "constant", "circular": "circular"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictionConfig:
    """Settings of a linear prediction."""

    kernel: tuple[int, ...] = (5, 5)
    """Samples along the readout and along the phase axis that a sample is predicted from, odd; one number for both."""
    padding: str = "circular"
    """What lies outside k-space: `zero`, or `circular`, the other side."""
    regularization: float = 1e-4
    """Tikhonov weight relative to the mean energy of the samples."""

    def __post_init__(self) -> None:
        if len(self.kernel) not in (1, 2) or not all(size >= 1 and size % 2 for size in self.kernel):
            found = ",".join(map(str, self.kernel)) or "nothing"
            raise ConfigError(f"prediction.kernel is odd rows and columns, such as 5,5; found {found}")
        if self.padding not in _PADDINGS:
            raise ConfigError(f"prediction.padding is {' or '.join(_PADDINGS)}, found {self.padding!r}")
        if not 0 < self.regularization < float("inf"):
            raise ConfigError(f"prediction.regularization is more than 0, found {self.regularization:g}")


class LinearPrediction:
    """Energy of unmeasured k-space that no linear kernel predicts from measured neighbours in all coils.

    Samples with the same pattern of measured neighbours share one kernel, as in GRAPPA. It is fitted, in closed form,
    on all places of full k-space, which needs no centre in the mask; the error is then counted at the places where the
    kernel is used, so a sample in the middle counts as much as it holds. A network that repeats such kernels, as
    `spirit_net`, reaches less error, but errs where this errs: the order of masks is what this is for.

    Args:
        kspace: (slice, coil, readout, phase) complex64, full. Each slice counts with energy 1.
        config: Settings.

    Raises:
        ConfigError: Circular padding larger than k-space.
    """

    def __init__(self, kspace: torch.Tensor, config: PredictionConfig) -> None:
        rows, columns = (config.kernel * 2)[:2]
        if config.padding == "circular" and (rows // 2 > kspace.shape[-2] or columns // 2 > kspace.shape[-1]):
            raise ConfigError(f"prediction.kernel {rows} x {columns} is larger than k-space; a smaller one would do")
        self._size = (rows, columns)
        self._padding = _PADDINGS[config.padding]
        energy = kspace.abs().square().sum((-3, -2, -1), keepdim=True)
        kspace = kspace / torch.where(energy > 0, energy, 1.0).sqrt()
        self._num_slices, self._num_coils = kspace.shape[:2]
        self._padded = torch.view_as_complex(
            torch.stack([self._pad(kspace.real), self._pad(kspace.imag)], dim=-1).contiguous()
        )
        self._gram = self._normal_matrix()
        self._gram.diagonal().add_(config.regularization * self._gram.diagonal().real.mean() + 1e-30)

    def error(self, mask: torch.Tensor) -> float:
        """Mean over the slices of error energy over energy of k-space.

        Args:
            mask: (readout, phase) bool.
        """
        padded = self._pad(mask[None, None].float())[0, 0] > 0
        windows = padded.unfold(0, self._size[0], 1).unfold(1, self._size[1], 1).flatten(2)
        places = torch.nonzero(~mask)
        if not len(places):
            return 0.0
        patterns, kinds = torch.unique(windows[~mask], dim=0, return_inverse=True)
        order = torch.argsort(kinds, stable=True)
        groups = torch.split(places[order], torch.bincount(kinds, minlength=len(patterns)).tolist())
        found = sum(self._residual(pattern, group) for pattern, group in zip(patterns, groups, strict=True))
        return float(found) / self._num_slices

    def _residual(self, pattern: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Error energy at these (place, 2) samples, whose measured neighbours are the pattern's."""
        targets = self._samples(places, torch.tensor([len(pattern) // 2], device=places.device))
        taps = torch.nonzero(pattern)[:, 0]
        if not len(taps):
            return targets.abs().square().sum()
        num_taps = len(pattern)
        coils = torch.arange(self._num_coils, device=places.device)[:, None] * num_taps
        sources, own = (coils + taps).flatten(), coils[:, 0] + num_taps // 2
        # The kernel: normal equations of these sources alone.
        factor = torch.linalg.cholesky(self._gram[sources[:, None], sources])
        weights = torch.cholesky_solve(self._gram[sources[:, None], own], factor).to(targets.dtype)
        return (targets - self._samples(places, taps) @ weights).abs().square().sum()

    def _samples(self, places: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
        """(slice x place, coil x tap) complex64 neighbours of places of k-space."""
        rows = places[:, :1] + taps // self._size[1]  # the padding moves each window's corner to its middle
        columns = places[:, 1:] + taps % self._size[1]
        return self._padded[:, :, rows, columns].permute(0, 2, 1, 3).flatten(0, 1).flatten(1)

    def _normal_matrix(self) -> torch.Tensor:
        """(coil x tap, coil x tap) complex128, the sum over all slices and places of conj(source) times source."""
        gram = sum(windows.mH @ windows for windows in self._windows())
        assert isinstance(gram, torch.Tensor)
        return gram

    def _windows(self) -> Iterator[torch.Tensor]:
        """(place, coil x tap) complex128 of one slice after the other."""
        for one in self._padded:
            windows = one.unfold(1, self._size[0], 1).unfold(2, self._size[1], 1)  # (coil, readout, phase, taps)
            yield windows.permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1).to(torch.complex128)

    def _pad(self, real: torch.Tensor) -> torch.Tensor:
        """(..., readout, phase) float32, with what lies outside on all sides."""
        rows, columns = (size // 2 for size in self._size)
        return torch.nn.functional.pad(real, (columns, columns, rows, rows), mode=self._padding)
