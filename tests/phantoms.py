"""A tiny multi-coil scan with known image and maps, for tests that need truth."""

import numpy as np
import torch

from mrikit.physics.fft import fft2c, ifft2c
from mrikit.volumes import ScanInfo, Volume


def coil_maps(num_coils: int, size: tuple[int, int]) -> torch.Tensor:
    """(coil, y, x) complex64 smooth maps of root sum of squares 1."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij")
    angles = 2 * torch.pi * torch.arange(num_coils)[:, None, None] / num_coils
    distance = (y - 1.4 * torch.sin(angles)) ** 2 + (x - 1.4 * torch.cos(angles)) ** 2
    maps = torch.exp(-distance / 1.5) * torch.exp(1j * (angles + 0.8 * x * torch.cos(angles) + 0.6 * y))
    return (maps / maps.abs().square().sum(0).sqrt()).to(torch.complex64)


def body(size: tuple[int, int]) -> torch.Tensor:
    """(y, x) complex64 ellipse with inner structure and a slow phase."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij")
    image = ((y / 0.85) ** 2 + (x / 0.7) ** 2 < 1).float()
    image += 0.8 * (((y - 0.2) / 0.3) ** 2 + ((x + 0.1) / 0.2) ** 2 < 1)
    image -= 0.5 * (((y + 0.3) / 0.15) ** 2 + ((x - 0.2) / 0.3) ** 2 < 1)
    return (image * torch.exp(0.5j * (x + y))).to(torch.complex64)


def make_kspace(num_coils: int = 6, size: tuple[int, int] = (64, 60), noise: float = 1e-3) -> torch.Tensor:
    """(coil, readout, phase) complex64 k-space of the body with white noise of that standard deviation."""
    generator = torch.Generator().manual_seed(3)
    kspace = fft2c(coil_maps(num_coils, size) * body(size))
    return kspace + noise * torch.randn(kspace.shape, dtype=torch.complex64, generator=generator)


def make_volume(
    num_slices: int = 2,
    num_coils: int = 6,
    size: tuple[int, int] = (64, 60),
    window: tuple[int, int] = (40, 44),
    mask: np.ndarray | None = None,
    volume_id: str = "file1000001",
) -> Volume:
    """A Volume of the body, a little brighter in every slice; fully sampled unless a mask is given."""
    kspace = torch.stack([make_kspace(num_coils, size) * (1 + 0.1 * index) for index in range(num_slices)])
    image = ifft2c(kspace).abs().square().sum(1).sqrt().numpy()
    top, left = ((full - part) // 2 for full, part in zip(size, window, strict=True))
    reference = image[:, top : top + window[0], left : left + window[1]]
    if mask is not None:
        kspace = kspace * torch.from_numpy(mask)
    info = ScanInfo(
        volume_id=volume_id,
        patient_id="p1",
        anatomy="knee",
        acquisition="CORPD_FBK",
        matrix=size,
        recon_matrix=window,
        padding=(0, size[1]),
        reference_max=float(reference.max()),
    )
    return Volume(kspace=kspace.numpy(), reference=None if mask is not None else reference, mask=mask, info=info)
