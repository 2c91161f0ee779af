"""An asymmetric phantom of soft balls, measured from where they lie in the patient, and its reconstruction."""

import ismrmrd
import numpy as np

from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes.geometry import Geometry
from mrikit.volumes.header import make_header
from mrikit.volumes.volume import ScanInfo

MATRIX, WINDOW, FOV_MM = (60, 45), (30, 37), (120.0, 67.5)  # the readout is oversampled, phase and window are odd
PIXEL_MM, NUM_SLICES, SPACING_MM, THICKNESS_MM = (2.0, 1.5), 9, 3.5, 3.0
BALLS = ((1.0, (4.0, -9.0, 2.0)), (0.6, (-13.0, 6.0, -3.0)), (0.4, (8.0, 11.0, 6.0)))
"""Height of each, and millimetres from the middle of the slab along readout, phase and slice."""
WIDTH_MM = 2.6
OBLIQUE = np.linalg.qr([[0.9, 0.3, -0.2], [-0.3, 0.8, 0.5], [0.35, -0.4, 0.85]])[0].T
CENTRE_MM = np.array([-21.0, 34.5, 58.25])


def ball_places(frame=OBLIQUE, centre=CENTRE_MM):
    """LPS millimetres of each ball, the brightest first."""
    return [centre + np.array(place) @ frame for _, place in BALLS]


def write_phantom(path, frame=OBLIQUE, centre=CENTRE_MM, *, is_descending=False, is_placed=True):
    """An MRD file whose k-space is the Fourier integral of the balls at their places, by the ismrmrd package.

    The phase of a sample is that of its frequency at the place of a ball, from the slice's position: k counts cycles
    per millimetre along the directions that the header names.
    """
    kx, ky = ((np.arange(n) - n // 2) / fov for n, fov in zip(MATRIX, FOV_MM, strict=True))
    info = ScanInfo(
        volume_id="a", matrix=MATRIX, recon_matrix=WINDOW, padding=(0, MATRIX[1]), fov_mm=FOV_MM, acquisition="AXT2",
        patient_id="Doe^Jane", geometry=Geometry(slice_thickness_mm=THICKNESS_MM, patient_position="HFS"),
    )  # fmt: skip
    heights = SPACING_MM * (np.arange(NUM_SLICES) - NUM_SLICES // 2) * (-1 if is_descending else 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ismrmrd.Dataset(str(path)) as dataset:
        dataset.write_xml_header(make_header(info, 1, NUM_SLICES).encode())
        for number, height in enumerate(heights):
            position = centre + height * frame[2]
            kspace = sum(ball_signal(kx, ky, weight, np.array(place), height) for weight, place in BALLS)
            for line in range(MATRIX[1]):
                one = ismrmrd.Acquisition.from_array(kspace[None, :, line].astype(np.complex64))
                one.center_sample, one.idx.kspace_encode_step_1, one.idx.slice = MATRIX[0] // 2, line, number
                if is_placed:
                    one.position[:] = position
                    one.read_dir[:], one.phase_dir[:], one.slice_dir[:] = frame
                dataset.append_acquisition(one)
    return path


def write_slab(path, frame=OBLIQUE, centre=CENTRE_MM):
    """The same phantom by a 3-D scan whose partitions run along the slice direction."""
    num_partitions, slab_mm = 16, 40.0
    kx, ky, kz = (
        (np.arange(n) - n // 2) / fov for n, fov in zip((*MATRIX, num_partitions), (*FOV_MM, slab_mm), strict=True)
    )
    kspace = 0
    for weight, place in BALLS:
        along = [
            np.exp(-2j * np.pi * k * where - 2 * (np.pi * k * WIDTH_MM) ** 2)
            for k, where in zip((kx, ky, kz), place, strict=True)
        ]
        kspace = kspace + weight * np.einsum("x,y,z->xyz", *along)
    info = ScanInfo(volume_id="a", matrix=MATRIX, recon_matrix=WINDOW, padding=(0, MATRIX[1]), fov_mm=FOV_MM)
    xml = make_header(info, 1, 1).replace("<z>1</z>", f"<z>{num_partitions}</z>")
    xml = xml.replace("<z>0.0</z>", f"<z>{slab_mm}</z>")
    last, middle = num_partitions - 1, num_partitions // 2
    limits = f"<minimum>0</minimum><maximum>{last}</maximum><center>{middle}</center>"
    xml = xml.replace("<slice>", f"<kspace_encoding_step_2>{limits}</kspace_encoding_step_2><slice>")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ismrmrd.Dataset(str(path)) as dataset:
        dataset.write_xml_header(xml.encode())
        for partition in range(num_partitions):
            for line in range(MATRIX[1]):
                one = ismrmrd.Acquisition.from_array(kspace[None, :, line, partition].astype(np.complex64))
                one.center_sample, one.idx.kspace_encode_step_1 = MATRIX[0] // 2, line
                one.idx.kspace_encode_step_2 = partition
                one.position[:] = centre
                one.read_dir[:], one.phase_dir[:], one.slice_dir[:] = frame
                dataset.append_acquisition(one)
    return path


def ball_signal(kx, ky, weight, place, height):
    """(readout, phase) complex128 of a Gaussian ball that a thin slice at `height` cuts."""
    cut = weight * np.exp(-((place[2] - height) ** 2) / (2 * WIDTH_MM**2))
    along = [
        np.exp(-2j * np.pi * k * where - 2 * (np.pi * k * WIDTH_MM) ** 2)
        for k, where in ((kx, place[0]), (ky, place[1]))
    ]
    return cut * np.outer(*along)


def reconstruct(data, out):
    """Reconstruct full k-space of a folder."""
    reconstruct_folder(data, out, ReconstructConfig(model="zero_filled"))
    return out


def balls_in(values, affine):
    """Millimetres of the brightest spots of an (i, j, k) image, between voxels: the log of a ball is a parabola."""
    values, found = np.array(values, np.float64), []
    grid = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), -1) @ affine[:3, :3].T + affine[:3, 3]
    rest = values.copy()
    for _ in BALLS:
        peak = np.array(np.unravel_index(rest.argmax(), rest.shape))
        before, after = (
            np.log([values[tuple(peak + step)] for step in sign * np.eye(3, dtype=int)]) for sign in (-1, 1)
        )
        between = (before - after) / (2 * (before + after - 2 * np.log(values[tuple(peak)])))
        found.append(affine[:3, :3] @ (peak + between) + affine[:3, 3])
        rest[np.linalg.norm(grid - found[-1], axis=-1) < 3 * WIDTH_MM] = 0
    return found
