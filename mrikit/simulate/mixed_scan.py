"""Scan photographs, brains and discs: rendered finely, cut to the matrix in k-space, with noise in the reference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from mrikit.randomness import generator
from mrikit.simulate.fields import random_field
from mrikit.simulate.mixed_coils import mixed_coil_maps, mixed_coil_positions
from mrikit.simulate.mixed_shapes import PLANES, Grid, brain_plane, discs, mixed_tissue, photograph
from mrikit.simulate.mixed_study import MixedPlan
from mrikit.simulate.noise import correlated_noise, noise_covariance
from mrikit.simulate.scan import centred_fft2, root_sum_of_squares
from mrikit.simulate.shapes import FloatArray
from mrikit.volumes import ScanInfo, Volume

FINER = 2
"""Points of the rendered image for each pixel and axis. What the matrix leaves out of its k-space is partial volume
and Gibbs ringing."""
MARGIN = 16
"""Samples around the matrix that are kept until phase and coils are applied, which move k-space by a few."""
FADE = 0.25
"""Share of the window, at either end of an oversampled readout, over which the signal fades."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What mixed volumes are made of."""

    photographs: Mapping[str, npt.NDArray[np.uint8]]
    """From `read_photographs`."""
    template: FloatArray
    """(class, x, y, z) from `read_template`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedScan:
    """A volume and what only a simulation knows about it."""

    volume: Volume
    """Fully sampled, with its reference, which has the noise of k-space."""
    noise_covariance: npt.NDArray[np.complex128]
    """(coil, coil) E[n n^H] of the noise in k-space."""
    made_of: str
    """Kind and names of what the slices show."""


def scan_mixed(plan: MixedPlan, sources: Sources) -> MixedScan:
    """Scan one volume. The same plan and sources always give the same numbers."""
    shape = tuple(scipy.fft.next_fast_len(size + 2 * MARGIN) for size in plan.matrix)
    grid = _grid(plan, (shape[0], shape[1]))
    show, names = _painter(plan, sources)
    images = np.stack([_image(plan, show, index, grid) for index in range(plan.num_slices)])
    positions = mixed_coil_positions(plan.num_coils, plan.key)
    maps = mixed_coil_maps(positions, plan.coil_reach, plan.key, grid.y, grid.x)
    seen = np.abs(images) * np.sqrt(np.sum(maps.real**2 + maps.imag**2, axis=0))
    is_shown = (np.abs(grid.y) <= 1)[:, None] & (np.abs(grid.x) <= 1)[None, :]
    images *= np.float32(plan.intensity / seen[:, is_shown].max())

    sigma = plan.noise_level * plan.intensity / (2 * plan.num_coils) ** 0.5
    half_mm = plan.recon_matrix[0] * plan.pixel_mm[0] / 2
    covariance = noise_covariance(positions * half_mm, sigma, plan.key)
    kspace = np.empty((plan.num_slices, plan.num_coils, *plan.matrix), np.complex64)
    reference = np.empty((plan.num_slices, *plan.recon_matrix), np.float32)
    for index, image in enumerate(images):
        noise = correlated_noise(covariance, plan.matrix, generator(*plan.key, index, "noise"))
        kspace[index] = _cropped(centred_fft2(maps * image), plan.matrix) + noise
        reference[index] = root_sum_of_squares(kspace[index], plan.recon_matrix)
    info = ScanInfo(
        volume_id=plan.volume_id,
        patient_id=plan.patient_id,
        anatomy="mixed",
        acquisition=plan.kind,
        matrix=plan.matrix,
        recon_matrix=plan.recon_matrix,
        fov_mm=(plan.matrix[0] * plan.pixel_mm[0], plan.matrix[1] * plan.pixel_mm[1]),
        padding=(0, plan.matrix[1]),
        reference_max=float(reference.max()),
    )
    made_of = " ".join((plan.kind.lower(), *names))
    volume = Volume(kspace=kspace, reference=reference, info=info)
    return MixedScan(volume=volume, noise_covariance=covariance, made_of=made_of)


def _painter(plan: MixedPlan, sources: Sources) -> tuple[Callable[[int, Grid], FloatArray], list[str]]:
    """What paints a slice, and the names of what it paints, to which it may add."""
    if plan.kind == "DISCS":
        return lambda index, grid: discs(plan.key, index, grid), []
    if plan.kind == "TEMPLATE":
        tissue, axis = mixed_tissue(sources.template, plan.key)
        half_mm = (
            plan.recon_matrix[0] * plan.pixel_mm[0] / 2,
            plan.recon_matrix[1] * plan.pixel_mm[1] / 2,
        )
        return lambda index, grid: brain_plane(tissue, axis, plan.key, index, grid, half_mm), [PLANES[axis]]
    names: list[str] = []

    def paint(index: int, grid: Grid) -> FloatArray:
        image, name = photograph(sources.photographs, plan.key, index, grid)
        names.append(name)
        return image

    return paint, names


def _grid(plan: MixedPlan, shape: tuple[int, int]) -> Grid:
    """So many points over the field of view, point n // 2 in its middle."""
    y, x = (
        ((np.arange(size) - size // 2) * (2 * matrix / window / size)).astype(np.float32)
        for size, matrix, window in zip(shape, plan.matrix, plan.recon_matrix, strict=True)
    )
    return Grid(y=y, x=x)


def _image(
    plan: MixedPlan, show: Callable[[int, Grid], FloatArray], index: int, grid: Grid
) -> npt.NDArray[np.complex64]:
    """(y, x) complex64 image of one slice on a grid somewhat finer than the matrix."""
    shape = len(grid.y), len(grid.x)
    fine = _grid(plan, (_fast_even(FINER * plan.matrix[0], shape[0]), _fast_even(FINER * plan.matrix[1], shape[1])))
    fade = np.cos(np.pi / 2 * np.clip((np.abs(fine.y) - 1) / FADE, 0, 1)) ** 2
    spectrum = centred_fft2(show(index, fine) * fade[:, None].astype(np.float32))
    # The lowest frequency of an even size lacks its positive twin, which leaves a trace of an imaginary part.
    image = _inverse(_cropped(spectrum, shape)).real
    return np.asarray(image * np.exp(1j * _phase(plan, index, grid)), np.complex64)


def _phase(plan: MixedPlan, index: int, grid: Grid) -> FloatArray:
    """(y, x) radians: a constant, ramps as eddy currents and B0 leave them, a curve, and a smooth field."""
    rng, own = generator(*plan.key, "phase"), generator(*plan.key, index, "phase")
    slopes, curves = np.pi * np.clip(rng.normal(0, 0.5, 2), -2, 2), rng.normal(0, 0.6, 2)
    strength, scale = abs(rng.normal(0, 0.6)), rng.uniform(0.4, 1.2)
    slopes = slopes + own.normal(0, 0.2, 2)
    y, x = (
        slope * place + curve * place * place
        for slope, curve, place in zip(slopes, curves, (grid.y, grid.x), strict=True)
    )
    smooth = random_field((*plan.key, "phase field"), grid.y, grid.x, 0.1 * index, scale=(1.0, scale, scale))
    plane = (y + own.uniform(0, 2 * np.pi))[:, None] + x[None, :]
    return np.asarray(plane + np.float32(strength) * smooth, np.float32)


def _cropped(kspace: npt.NDArray[np.complex64], shape: tuple[int, int]) -> npt.NDArray[np.complex64]:
    """The middle of k-space, sample n // 2 in its own, by a factor that keeps the brightness of the image."""
    rows, columns = kspace.shape[-2:]
    top, left = rows // 2 - shape[0] // 2, columns // 2 - shape[1] // 2
    middle = kspace[..., top : top + shape[0], left : left + shape[1]]
    return np.asarray(middle * np.float32((shape[0] * shape[1] / (rows * columns)) ** 0.5))


def _inverse(kspace: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """(y, x) image, the inverse of `centred_fft2`."""
    shifted = scipy.fft.ifftshift(kspace, axes=(-2, -1))
    return np.asarray(scipy.fft.fftshift(scipy.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1)))


def _fast_even(size: int, least: int) -> int:
    """An even size of at least these, of which the transform is fast."""
    return 2 * int(scipy.fft.next_fast_len(-(-max(size, least) // 2)))
