"""A small smooth multi-coil object whose true maps are known."""

from dataclasses import dataclass

import torch

from mrikit.physics.fft import fft2c
from tests.helpers import complex_normal


@dataclass(frozen=True, kw_only=True)
class Scan:
    image: torch.Tensor
    sens_maps: torch.Tensor
    kspace: torch.Tensor
    body: torch.Tensor


def scan(num_coils: int, num_rows: int, num_columns: int, noise: float = 0.0) -> Scan:
    """An ellipse with texture and phase, seen by coils on a ring around it."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, num_rows), torch.linspace(-1, 1, num_columns), indexing="ij")
    body = (x / 0.75) ** 2 + (y / 0.8) ** 2 < 1
    texture = 1 + 0.3 * torch.sin(9 * x + 4 * y) * torch.cos(7 * y - 3 * x) + 0.5 * ((x - 0.2) ** 2 + y**2 < 0.1)
    image = torch.where(body, texture, 0.0) * torch.exp(1j * (0.8 * x + 0.5 * y))
    angle = 2 * torch.pi * torch.arange(num_coils)[:, None, None] / num_coils
    distance = torch.hypot(x - 1.3 * torch.cos(angle), y - 1.3 * torch.sin(angle))
    maps = torch.exp(-(distance**2) / 1.2) * torch.exp(1j * (angle + distance))
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    kspace = fft2c(maps * image)
    kspace = kspace + noise * complex_normal(tuple(kspace.shape), 99)
    return Scan(image=image, sens_maps=maps, kspace=kspace, body=body)


def line_mask(width: int, acceleration: int, num_center_lines: int, offset: int = 0) -> torch.Tensor:
    """(phase,) bool: every n-th line and the middle."""
    mask = torch.zeros(width, dtype=torch.bool)
    mask[offset::acceleration] = True
    start = (width - num_center_lines + 1) // 2
    mask[start : start + num_center_lines] = True
    return mask
