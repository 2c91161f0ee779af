"""Sampling: keep what a mask measured."""

import torch


def keep(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """K-space where the mask measured, exactly +0.0 elsewhere.

    Args:
        kspace: (..., readout, phase) complex64.
        mask: Broadcasts to it. Bool for a given pattern. Float32 for a learned one, 0 or 1 forward: its gradient is
            that of the product, also where a sample is not taken, so that a sampler learns what it is missing.

    Returns:
        As `kspace`; differentiable in both.
    """
    if mask.dtype == torch.bool:
        return torch.where(mask, kspace, 0.0)
    # A product alone leaves -0.0 where a negative sample is not taken, which tells a network its sign.
    return kspace * mask + 0.0
