"""Banding: structure along one axis only, where there is little signal.

Regular undersampling leaves two kinds of it. *Bands* are what was not unfolded: copies at multiples of the width over
the acceleration, whose edges are stripes along readout. *Streaks* are noise of which data consistency keeps the middle
of k-space and some lines beside it: smooth along the phase axis, rough along readout. A stripe is the same along one
axis and changes along the other, so the energy of bands lies along the phase axis of the spectrum, that of streaks
along its readout axis. Noise without direction has as much along both.
"""

from typing import Final

import torch

from mrikit.errors import DataError

BANDING_WINDOW: Final = 32
"""Side of a window, pixels."""
_STRIDE: Final = BANDING_WINDOW // 2
# Below two cycles a window are shades of the anatomy; beyond twelve, scanners often fill k-space with zeros.
_LOWEST, _HIGHEST = 2, 12
_WEDGE: Final = 0.2
_LOW_SIGNAL: Final = 0.15
_LARGEST_DIRECTION_DB: Final = 3.0
_FLOOR: Final = 1e-3
_FEWEST_WINDOWS: Final = 4


def directional_excess(
    image: torch.Tensor, reference: torch.Tensor, *, phase_dim: int = -1
) -> tuple[float | None, ...]:
    """How much more an image is banded than its reference.

    Windows of 32 x 32 pixels lie every 16 around the middle, under a Hann taper along each axis. The direction of a
    window is the energy of its spectrum in the wedge |k_readout| <= k_phase / 5 over that in the wedge |k_phase| <=
    k_readout / 5, in decibel, both from 2 to 12 cycles a window: periods from 16 to 2.7 pixels. A slice scores the
    mean, over the windows that count, of the direction of the image less that of the reference in the same window.

    A window counts where the reference has little signal and no direction of its own: a root mean square of at most
    0.15 of the largest of any window of the volume, and at most 3 dB either way, which edges of the anatomy exceed.
    Each energy is added to that of white noise of 0.001 of that largest root mean square: what nobody can see does not
    count, and a window of zeros has a direction of 0 dB.

    More than 0 are bands, less are streaks, and 0 is no more of either than the reference has; an image equal to its
    reference scores 0 exactly, and neither noise nor blurring without direction moves it far. Limits: bands and streaks
    in one place cancel; stripes further apart than 16 pixels count by their edges only, and oblique ones do not; bright
    tissue and edges of the anatomy are not looked at; aliased anatomy counts as bands, because it is that; and decibels
    are relative to what else a window holds, so that a stripe weighs less in noise than in a smooth image.

    Args:
        image: (slice, y, x) float magnitude, in the scale of the reference.
        reference: (slice, y, x) float magnitude of one volume, fully sampled.
        phase_dim: The undersampled axis: 2 or -1 for x, 1 or -2 for y.

    Returns:
        (slice,) dB; None for a slice with fewer than four windows that count.

    Raises:
        DataError: The shapes differ, a side is shorter than a window, the axis is none of an image's, a value is not
            finite, or the reference is zero everywhere.
    """
    _check(image, reference, phase_dim)
    if phase_dim in (1, -2):
        image, reference = image.mT, reference.mT
    taper = _taper(reference.device)
    # Of float32 squares, those of scales far from 1 would be lost.
    loudest = reference.abs().amax().float()
    levels = [(_windows(one.float() / loudest) * taper).square().mean((-2, -1)).sqrt() for one in reference]
    top = torch.stack([level.amax() for level in levels]).amax()
    return tuple(
        _slice_excess(one.float() / loudest / top, other.float() / loudest / top, level <= _LOW_SIGNAL * top, taper)
        for one, other, level in zip(image, reference, levels, strict=True)
    )


def _check(image: torch.Tensor, reference: torch.Tensor, phase_dim: int) -> None:
    if image.shape != reference.shape or image.ndim != 3 or min(image.shape[1:]) < BANDING_WINDOW or not len(image):
        found = f"{tuple(image.shape)} and {tuple(reference.shape)}"
        raise DataError(
            f"banding needs two images of one shape (slice, y, x), sides at least {BANDING_WINDOW}; found {found}"
        )
    if phase_dim not in (1, 2, -1, -2):
        raise DataError(f"the phase axis of images (slice, y, x) is -1 for x or -2 for y; found {phase_dim}")
    for name, values in (("image", image), ("reference", reference)):
        if not values.isfinite().all():
            raise DataError(f"the {name} holds NaN or Inf, which have no banding; reconstruct it again")
    if not reference.any():
        raise DataError("the reference is zero everywhere; banding is measured where it has little signal, not none")


def _slice_excess(
    image: torch.Tensor, reference: torch.Tensor, is_low: torch.Tensor, taper: torch.Tensor
) -> float | None:
    """The mean over windows that count of (y, x) images, in units in which the floor is a number."""
    if is_low.sum() < _FEWEST_WINDOWS:
        return None
    own = _direction(_windows(reference)[is_low] * taper)
    counts = own.abs() <= _LARGEST_DIRECTION_DB
    if counts.sum() < _FEWEST_WINDOWS:
        return None
    excess = _direction(_windows(image)[is_low][counts] * taper) - own[counts]
    return float(excess.double().mean())


def _windows(image: torch.Tensor) -> torch.Tensor:
    """(y, x) to (window, 32, 32), as many on one side of the middle as on the other."""
    top, left = ((side - BANDING_WINDOW) % _STRIDE // 2 for side in image.shape)
    windows = image[top:, left:].unfold(0, BANDING_WINDOW, _STRIDE).unfold(1, BANDING_WINDOW, _STRIDE)
    return windows.flatten(0, 1)


def _taper(device: torch.device) -> torch.Tensor:
    """(32, 32) float32 Hann window of mean square 1, which leaves the energy of white noise as it is."""
    hann = torch.hann_window(BANDING_WINDOW, device=device)
    return hann[:, None] * hann / hann.square().mean()


def _direction(windows: torch.Tensor) -> torch.Tensor:
    """(window,) dB of tapered (window, readout, phase) windows; more than 0 along phase."""
    energy = torch.fft.rfft2(windows, norm="ortho").abs().square()
    along_readout = torch.fft.fftfreq(BANDING_WINDOW, 1 / BANDING_WINDOW, device=windows.device).abs()[:, None]
    along_phase = torch.arange(BANDING_WINDOW // 2 + 1, device=windows.device)[None]
    # A real image has the other half of the spectrum twice over, except where that half is its own mirror.
    shares = torch.where(along_phase == 0, 1.0, 2.0)
    wedges = [
        shares * ((along >= _LOWEST) & (along <= _HIGHEST) & (across <= _WEDGE * along))
        for along, across in ((along_phase, along_readout), (along_readout, along_phase))
    ]
    phase, readout = ((energy * wedge).sum((-2, -1)) + _FLOOR**2 * wedge.sum() for wedge in wedges)
    return 10 * torch.log10(phase / readout)
