"""Scan a template: deformed, with a contrast, coils, a phase and noise of its own, as a Volume."""

from math import ceil

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mrikit.randomness import generator
from mrikit.simulate.coils import array_positions, coil_maps, coil_positions
from mrikit.simulate.deformation import deformed
from mrikit.simulate.ellipse_coils import ellipse_coil_maps
from mrikit.simulate.noise import correlated_noise, noise_covariance
from mrikit.simulate.phantom import phase_map, pixel_positions
from mrikit.simulate.scan import TYPICAL_SIGNAL, SimulatedScan, centred_fft2, root_sum_of_squares
from mrikit.simulate.shapes import FloatArray
from mrikit.simulate.template import CLASSES, FIRST_MM, SHAPE, VOXEL_MM
from mrikit.simulate.template_study import TemplatePlan
from mrikit.volumes import ScanInfo, Volume

BRIGHTEST = 20.0
"""Contrasts are drawn between 0 and this; their mean becomes the signal that is typical of fastMRI's files."""
SNR = 100.0
"""Mean contrast over the standard deviation of the noise in one coil (real or imaginary part)."""
LOWEST_MM, HIGHEST_MM = 3.0, 61.5
"""First and last slice, above the origin of MNI space: 50 to 89 of the template."""
FOV_MM = (SHAPE[1] * VOXEL_MM, SHAPE[0] * VOXEL_MM)
"""(y, x) field of view, that of the template."""


def scan_template(plan: TemplatePlan, template: FloatArray) -> SimulatedScan:
    """Scan one volume. The same plan and template always give the same numbers.

    Args:
        plan: The volume.
        template: (class, x, y, z) float32 from `read_template`.
    """
    unit = TYPICAL_SIGNAL["brain"] / (BRIGHTEST / 2)
    tissue = np.tensordot(draw_contrast(plan) * np.float32(unit), template, axes=1)
    is_array = plan.coil_model == "array"
    positions = (
        array_positions(plan.num_coils, plan.key) if is_array else coil_positions("brain", plan.num_coils, plan.key)
    )
    covariance = noise_covariance(positions, TYPICAL_SIGNAL["brain"] / SNR, plan.key)
    kspace = np.empty((plan.num_slices, plan.num_coils, *plan.matrix), np.complex64)
    reference = np.empty((plan.num_slices, *plan.matrix), np.float32)
    for index, z in enumerate(slice_heights(plan.num_slices)):
        image = _slice(plan, tissue, z) * _coils(plan, positions, z)
        noise = correlated_noise(covariance, plan.matrix, generator(*plan.key, "noise", index))
        kspace[index] = centred_fft2(image) + noise
        reference[index] = root_sum_of_squares(kspace[index], plan.matrix)
    info = ScanInfo(
        volume_id=plan.volume_id,
        patient_id=plan.patient_id,
        anatomy="brain",
        acquisition="TEMPLATE",
        matrix=plan.matrix,
        recon_matrix=plan.matrix,
        fov_mm=FOV_MM,
        padding=(0, plan.matrix[1]),
        reference_max=float(reference.max()),
    )
    return SimulatedScan(volume=Volume(kspace=kspace, reference=reference, info=info), noise_covariance=covariance)


def draw_contrast(plan: TemplatePlan) -> FloatArray:
    """(class,) float32 signal of each tissue, from 0 to 20 in steps of 0.1; bone and air have none.

    Source:
        The brain simulator of the learned-sampling study: round(20 - 20 U, 1).
    """
    drawn = np.round(BRIGHTEST - BRIGHTEST * generator(*plan.key, "contrast").random(len(CLASSES)), 1)
    drawn[[CLASSES.index("skull"), CLASSES.index("air")]] = 0
    return np.asarray(drawn, np.float32)


def slice_heights(num_slices: int) -> list[float]:
    """Millimetres of each slice above the origin, evenly spaced; of one slice the middle."""
    if num_slices == 1:
        return [(LOWEST_MM + HIGHEST_MM) / 2]
    return [float(z) for z in np.linspace(LOWEST_MM, HIGHEST_MM, num_slices)]


def _slice(plan: TemplatePlan, tissue: FloatArray, z: float) -> npt.NDArray[np.complex64]:
    """(y, x) complex64 image of one slice, the front of the head up and its right side on the left."""
    pixels_mm = tuple(fov / size for fov, size in zip(FOV_MM, plan.matrix, strict=True))
    # Pixels larger than voxels are means of what they cover.
    multiples = tuple(ceil(pixel / VOXEL_MM - 1e-6) for pixel in pixels_mm)
    rows, columns = (
        pixel_positions(size, pixel, multiple)
        for size, pixel, multiple in zip(plan.matrix, pixels_mm, multiples, strict=True)
    )
    down, right, height = deformed(plan.key, rows, columns, z, plan.deformation_mm)
    middle = [first + (size // 2) * VOXEL_MM for first, size in zip(FIRST_MM, SHAPE, strict=True)]
    # (x, y, z) in the template grow to the right of the head, to its front and upwards.
    place = (middle[0] - right, middle[1] - down, height)
    voxels = [(one - first) / VOXEL_MM for one, first in zip(place, FIRST_MM, strict=True)]
    fine = ndimage.map_coordinates(tissue, voxels, order=1, mode="constant", output=np.float32)
    blocks = fine.reshape(plan.matrix[0], multiples[0], plan.matrix[1], multiples[1])
    rows, columns = (pixel_positions(size, pixel, 1) for size, pixel in zip(plan.matrix, pixels_mm, strict=True))
    phase = phase_map(plan.key, rows, columns, z)
    return np.asarray(blocks.mean(axis=(1, 3)) * np.exp(1j * phase), np.complex64)


def _coils(plan: TemplatePlan, positions: npt.NDArray[np.float64], z: float) -> npt.NDArray[np.complex64]:
    """(coil, y, x) complex64 sensitivities, of coils about the middle of the slices."""
    rows, columns = (pixel_positions(size, fov / size, 1) for size, fov in zip(plan.matrix, FOV_MM, strict=True))
    height = z - (LOWEST_MM + HIGHEST_MM) / 2
    if plan.coil_model == "ellipse":
        return ellipse_coil_maps(plan.num_coils, plan.key, rows, columns, height, FOV_MM)
    return coil_maps(positions, "brain", rows, columns, height)
