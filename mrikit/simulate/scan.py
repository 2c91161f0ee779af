"""Scan a phantom: coil images, noise, readout oversampling and zero-filled columns, as a Volume."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from mrikit.physics.crop import center_crop
from mrikit.randomness import Key, generator
from mrikit.simulate.coils import coil_maps, coil_positions
from mrikit.simulate.contrast import ACQUISITIONS, signal
from mrikit.simulate.noise import correlated_noise, noise_covariance
from mrikit.simulate.phantom import phase_map, render_magnitude, slice_positions
from mrikit.simulate.shapes import FloatArray
from mrikit.simulate.tissue import patient_tissues
from mrikit.volumes import ScanInfo, Volume

FIELD_OF_VIEW_MM = {"brain": 220.0, "knee": 140.0}
"""Height of the scored window, unless the plan has one of its own."""
NARROWEST_MM = {"brain": 185.0, "knee": 134.0}
"""Least width of the whole field of view: the body must not wrap around."""
BODY_TISSUES = {"brain": ("gray_matter", "white_matter"), "knee": ("muscle", "yellow_marrow")}
"""The signal to noise ratio of an acquisition refers to their mean signal."""
TYPICAL_SIGNAL = {"brain": 3.0e-4, "knee": 1.2e-4}
"""Image value of that mean signal: fastMRI's files are of this order."""
RENDERED_SHARE = 1.25
"""Rendered rows over scored rows. The signal fades to 0 over the rows outside the window, as at the end of a coil."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanPlan:
    """Everything that decides one simulated volume."""

    seed: int
    anatomy: str
    patient: int
    """Number of the patient, from 0; its anatomy is the same in all its volumes."""
    acquisition: str
    """A name of `ACQUISITIONS`."""
    num_coils: int
    num_slices: int
    matrix: tuple[int, int]
    """(readout, phase), readout oversampling included."""
    recon_matrix: tuple[int, int]
    """(y, x) of the scored window, centred."""
    num_acquired: int
    """Phase columns that the scanner acquires; the rest, on both sides, is zero filling."""
    field_of_view_mm: float = 0.0
    """Height of the scored window; 0 for that of the anatomy."""
    noise: float = 1.0
    """Factor on the standard deviation of the noise that the protocol has."""
    volume_id: str
    patient_id: str

    @property
    def padding(self) -> tuple[int, int]:
        """[left, right) acquired columns, around the k-space centre."""
        left = self.matrix[1] // 2 - self.num_acquired // 2
        return left, left + self.num_acquired

    @property
    def patient_key(self) -> Key:
        """Names the patient in every draw that its volumes share."""
        return (self.seed, self.anatomy, self.patient)

    @property
    def size_bytes(self) -> int:
        """Bytes of k-space and reference."""
        kspace = self.num_slices * self.num_coils * self.matrix[0] * self.matrix[1] * 8
        return kspace + self.num_slices * self.recon_matrix[0] * self.recon_matrix[1] * 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedScan:
    """A volume and what only a simulation knows about it."""

    volume: Volume
    """Fully sampled, with its reference."""
    noise_covariance: npt.NDArray[np.complex128]
    """(coil, coil) E[n n^H] of the noise in the acquired k-space samples."""


def simulate_scan(plan: ScanPlan) -> SimulatedScan:
    """Scan one volume. The same plan always gives the same numbers."""
    acquisition = ACQUISITIONS[plan.acquisition]
    rng = generator(*plan.patient_key, "patient")
    field_strength_t = float(rng.choice((1.5, 3.0)))
    tissues = patient_tissues(field_strength_t, rng)
    signals = {name: signal(tissue, acquisition) for name, tissue in tissues.items()}
    body = float(np.mean([signals[name] for name in BODY_TISSUES[plan.anatomy]]))
    level = TYPICAL_SIGNAL[plan.anatomy] * float(np.exp(generator(*_volume_key(plan), "level").normal(0, 0.3)))
    signals = {name: value * level / body for name, value in signals.items()}

    positions = coil_positions(plan.anatomy, plan.num_coils, plan.patient_key)
    # The ratio of signal to noise goes with the root of the field strength: by itself it would be in proportion to it,
    # but protocols at 1.5 tesla win about half of the loss back with a narrower bandwidth.
    sigma = plan.noise * level / acquisition.snr * (3.0 / field_strength_t) ** 0.5
    covariance = noise_covariance(positions, sigma, _volume_key(plan))
    kspace = np.zeros((plan.num_slices, plan.num_coils, *plan.matrix), np.complex64)
    reference = np.empty((plan.num_slices, *plan.recon_matrix), np.float32)
    for slice_index, z in enumerate(slice_positions(plan.anatomy, plan.num_slices, plan.patient_key)):
        left, right = plan.padding
        image = _coil_images(plan, signals, positions, z)
        noise_rng = generator(*_volume_key(plan), "noise", slice_index)
        noise = correlated_noise(covariance, (plan.matrix[0], plan.num_acquired), noise_rng)
        kspace[slice_index, :, :, left:right] = _acquire(image, plan) + noise
        reference[slice_index] = root_sum_of_squares(kspace[slice_index], plan.recon_matrix)
    info = ScanInfo(
        volume_id=plan.volume_id,
        patient_id=plan.patient_id,
        anatomy=plan.anatomy,
        acquisition=plan.acquisition,
        field_strength_t=field_strength_t,
        matrix=plan.matrix,
        recon_matrix=plan.recon_matrix,
        fov_mm=(plan.matrix[0] * pixel_size_mm(plan), plan.matrix[1] * pixel_size_mm(plan)),
        padding=plan.padding,
        reference_max=float(reference.max()),
    )
    return SimulatedScan(volume=Volume(kspace=kspace, reference=reference, info=info), noise_covariance=covariance)


def pixel_size_mm(plan: ScanPlan) -> float:
    """Distance of the pixels, the same along both axes."""
    height_mm = plan.field_of_view_mm or FIELD_OF_VIEW_MM[plan.anatomy]
    return max(height_mm / plan.recon_matrix[0], NARROWEST_MM[plan.anatomy] / plan.matrix[1])


def num_rendered_rows(plan: ScanPlan) -> int:
    """Rows, in the middle of the oversampled readout, that hold signal."""
    return min(plan.matrix[0], 2 * round(RENDERED_SHARE * plan.recon_matrix[0] / 2))


def root_sum_of_squares(kspace: npt.NDArray[np.complex64], window: tuple[int, int]) -> FloatArray:
    """The magnitude image over all coils in a centred window.

    Args:
        kspace: (coil, readout, phase) complex64.
        window: (y, x) size.

    Returns:
        (y, x) float32.
    """
    lines = center_crop(_centred(scipy.fft.ifft, kspace, 1), (window[0], kspace.shape[2]))
    images = center_crop(_centred(scipy.fft.ifft, lines, 2), window)
    return np.asarray(np.sqrt(np.sum(images.real**2 + images.imag**2, axis=0)))


def centred_fft2(images: npt.NDArray[Any]) -> npt.NDArray[np.complex64]:
    """(..., y, x) images to (..., readout, phase) complex64 k-space, as `mrikit.physics.fft.fft2c`."""
    return _centred(scipy.fft.fft, _centred(scipy.fft.fft, images.astype(np.complex64), -1), -2)


def _volume_key(plan: ScanPlan) -> Key:
    return (*plan.patient_key, plan.acquisition)


def _coil_images(
    plan: ScanPlan, signals: dict[str, float], positions: npt.NDArray[np.float64], z: float
) -> npt.NDArray[np.complex64]:
    """(coil, rendered row, phase) what each coil sees of one slice."""
    pixel_mm = pixel_size_mm(plan)
    shape = num_rendered_rows(plan), plan.matrix[1]
    magnitude = render_magnitude(plan.anatomy, plan.patient_key, signals, shape=shape, pixel_mm=pixel_mm, z=z)
    rows = ((np.arange(shape[0]) - shape[0] // 2) * pixel_mm).astype(np.float32)
    columns = ((np.arange(shape[1]) - shape[1] // 2) * pixel_mm).astype(np.float32)
    phase = phase_map(_volume_key(plan), rows, columns, z)
    beyond = np.clip(2 * np.abs(rows) / (plan.recon_matrix[0] * pixel_mm) - 1, 0, None) / (RENDERED_SHARE - 1)
    fade = np.cos(np.pi / 2 * np.clip(beyond, 0, 1)).astype(np.float32) ** 2
    image = (magnitude * fade[:, None] * np.exp(1j * phase)).astype(np.complex64)
    return np.asarray(coil_maps(positions, plan.anatomy, rows, columns, z) * image)


def _acquire(images: npt.NDArray[np.complex64], plan: ScanPlan) -> npt.NDArray[np.complex64]:
    """(coil, rendered row, phase) images to (coil, readout, acquired column) k-space."""
    left, right = plan.padding
    lines = _centred(scipy.fft.fft, images, 2)[:, :, left:right]
    full = np.zeros((len(images), plan.matrix[0], plan.num_acquired), np.complex64)
    start = plan.matrix[0] // 2 - images.shape[1] // 2
    full[:, start : start + images.shape[1]] = lines
    return _centred(scipy.fft.fft, full, 1)


def _centred(transform: Callable[..., Any], signals: npt.NDArray[np.complex64], axis: int) -> npt.NDArray[np.complex64]:
    """One axis of the transform of `mrikit.physics.fft`, here without torch.

    The bytes of a simulated file must not depend on the number of threads; torch's transform promises no such thing.
    """
    shifted = scipy.fft.ifftshift(signals, axes=axis)
    return np.asarray(scipy.fft.fftshift(transform(shifted, axis=axis, norm="ortho"), axes=axis))
