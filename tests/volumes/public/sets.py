"""Tiny files in the forms of public data sets, of a phantom that is known."""

from pathlib import Path

import h5py
import numpy as np

from mrikit.volumes.header import make_header
from mrikit.volumes.volume import ScanInfo

NUM_SLICES, NUM_COILS, MATRIX = 4, 3, (32, 24)


def phantom(matrix: tuple[int, int] = MATRIX) -> np.ndarray:
    """(slice, coil, y, x) complex64 coil images of an object in the middle that nothing but itself looks like."""
    y, x = (np.arange(size)[:, None] if axis == 0 else np.arange(size)[None] for axis, size in enumerate(matrix))
    rows, columns = y / matrix[0] - 0.5, x / matrix[1] - 0.5
    body = ((rows / 0.35) ** 2 + (columns / 0.3) ** 2 < 1) + 0.7 * ((rows > 0.05) & (rows < 0.2) & (abs(columns) < 0.1))
    coils = [
        np.exp(2j * np.pi * coil / NUM_COILS) * (1 + coil * rows - 0.5 * coil * columns) for coil in range(NUM_COILS)
    ]
    slices = [body * (1 + 0.3 * number) for number in range(NUM_SLICES)]
    return np.stack([np.stack([one * coil for coil in coils]) for one in slices]).astype(np.complex64)


def centred(image: np.ndarray) -> np.ndarray:
    """K-space with its centre in the middle, of images with their centre in the middle; noise fills it."""
    axes = (-2, -1)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes=axes), norm="ortho"), axes=axes)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((*kspace.shape, 2)).astype(np.float32).view(np.complex64)[..., 0]
    return (kspace + 1e-3 * noise).astype(np.complex64)


def image_of(kspace: np.ndarray) -> np.ndarray:
    """(..., coil, y, x) complex images of centred k-space."""
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=axes), norm="ortho"), axes=axes)


KSPACE = centred(phantom())
"""(slice, coil, readout, phase) complex64"""


def compound(kspace: np.ndarray, dtype: str = "<f4") -> np.ndarray:
    stored = np.empty(kspace.shape, [("real", dtype), ("imag", dtype)])
    stored["real"], stored["imag"] = kspace.real, kspace.imag
    return stored


def write_prostate(path: Path, averages: np.ndarray, **more: np.ndarray) -> Path:
    """`averages` (average, slice, coil, readout, phase)."""
    info = ScanInfo(volume_id="a", matrix=MATRIX, recon_matrix=(16, 16), padding=(0, MATRIX[1]))
    with h5py.File(path, "w") as file:
        file["kspace"] = averages
        file["ismrmrd_header"] = make_header(info, NUM_COILS, NUM_SLICES)
        file.attrs["acquisition"] = "AXT2"
        for key, values in more.items():
            file[key] = values
    return path


def alternating(*starts: int) -> np.ndarray:
    """Averages of which each holds every second line, from its start on."""
    averages = np.zeros((len(starts), *KSPACE.shape), np.complex64)
    for number, start in enumerate(starts):
        averages[number, ..., start::2] = KSPACE[..., start::2]
    return averages


def write_calgary(path: Path, kspace: np.ndarray) -> Path:
    """`kspace` (slice, coil, readout, phase), stored as it is in the form of Calgary-Campinas."""
    moved = np.moveaxis(kspace, 1, -1)
    stored = np.empty((*moved.shape[:3], 2 * NUM_COILS), np.float32)
    stored[..., 0::2], stored[..., 1::2] = moved.real, moved.imag
    with h5py.File(path, "w") as file:
        file["kspace"] = stored
    return path


def write_skm_tea(path: Path, masks: tuple[str, ...] = (), target_scale: float | None = 1.0) -> Path:
    """Two echoes, the second at half the signal."""
    echoes = np.stack([KSPACE, KSPACE / 2], -1).transpose(0, 2, 3, 4, 1)
    target = np.sqrt(np.square(np.abs(image_of(KSPACE))).sum(1)) * np.exp(0.3j)
    with h5py.File(path, "w") as file:
        file["kspace"] = echoes
        file["maps"] = np.ones((*echoes.shape[:3], NUM_COILS, 1), np.complex64)
        if target_scale is not None:
            stored = target_scale * np.stack([target, target / 2], -1)[..., None]
            file["target"] = stored.astype(np.complex64)
        for number, name in enumerate(masks):
            file[f"masks/{name}"] = (np.random.default_rng(number).random(MATRIX) < 0.5).astype(np.uint8)
    return path


def write_cine(path: Path, frames: np.ndarray, key: str = "kspace_full") -> Path:
    """`frames` (..., coil, readout, phase), as MATLAB 7.3 writes (kx, ky, coil, ...)."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset(key, data=compound(np.swapaxes(frames, -1, -2)), chunks=True, compression="gzip")
    return path


def write_mask(path: Path, mask: np.ndarray, key: str = "mask04") -> Path:
    """`mask` (..., readout, phase)."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file[key] = np.swapaxes(mask, -1, -2).astype(np.float64)
    return path


FRAMES = np.stack([KSPACE, KSPACE * 2, KSPACE * 3j])
"""(time, slice, coil, readout, phase) complex64"""
LINES = (np.arange(MATRIX[1]) % 4 == 0) | (abs(np.arange(MATRIX[1]) - 12) < 3)
"""(phase,) bool"""


def write_every_set(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_prostate(folder / "prostate.h5", alternating(0, 1, 0), calibration_data=KSPACE[..., 8:16])
    write_calgary(folder / "calgary.h5", np.fft.ifftshift(KSPACE, axes=(-2, -1)))
    write_skm_tea(folder / "knee.h5", ("poisson_6.0x",))
    write_cine(folder / "cine.mat", FRAMES)
    write_cine(folder / "cine_acc04.mat", FRAMES * LINES, "kspace_sub04")
    write_mask(folder / "cine_mask.mat", np.broadcast_to(LINES, MATRIX))
    return folder
