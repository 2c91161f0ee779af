"""Output: all that a model computes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn

_NOTHING: Mapping[str, torch.Tensor] = MappingProxyType({})


class Output(NamedTuple):
    """What a model makes of masked k-space; `forward` goes on to give the image alone."""

    image: torch.Tensor | None
    """(batch, y, x) float32 magnitude of the full field of view; None of a classifier."""
    kspace: torch.Tensor | None = None
    """(batch, coil, readout, phase) complex64 of models that fill k-space; None of others."""
    extras: Mapping[str, torch.Tensor] = _NOTHING
    """Whatever else it computes, by name, such as `logits`, a log-variance or a mask."""


def image_of(output: Output) -> torch.Tensor:
    """The (batch, y, x) float32 magnitude of a model that makes one."""
    assert output.image is not None
    return output.image


def compute(
    model: nn.Module, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor
) -> Output:
    """The whole output of a model; of one without a `compute` of its own the image is all there is.

    Args:
        model: With the signature of `mrikit.models`.
        masked_kspace: As its `forward` takes it.
        mask: Likewise.
        num_center_lines: Likewise.
    """
    whole = getattr(model, "compute", None)
    found: Output = (whole or (lambda *inputs: Output(model(*inputs))))(masked_kspace, mask, num_center_lines)
    return found
