"""How active-mri-acquisition lays out what it stores: two channels for complex images, the middle line first."""

import torch


def as_complex(channels):
    """(batch, 2, y, x) float32 to (batch, y, x) complex64."""
    return torch.complex(channels[:, 0], channels[:, 1])


def in_places(lines):
    """Lines of a file, the middle one first, in the order here."""
    return torch.fft.fftshift(lines, dim=-1)
