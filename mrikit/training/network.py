"""The network of a run, in its precision."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from mrikit.models import build_model
from mrikit.models.adaptive import AdaptiveMethod, Draw, Measure
from mrikit.models.output import Output, compute
from mrikit.models.precision import autocast
from mrikit.randomness import generator
from mrikit.training.config import RunConfig


class InPrecision(nn.Module):
    """A network in the precision of a run: with `bf16`, convolutions compute in bfloat16, everything else in float32.

    Args:
        network: With the signature of `mrikit.models`.
        precision: `fp32` or `bf16`.
    """

    def __init__(self, network: nn.Module, precision: str) -> None:
        super().__init__()
        self.network = network
        self._precision = precision

    @property
    def crops_before(self) -> bool:
        """Whether it is given the scored window alone."""
        return bool(getattr(getattr(self.network, "config", None), "crops_before", False))

    def acquire(self, measure: Measure, start: torch.Tensor, draws: Sequence[Draw]) -> Output:
        """What a network measures and makes of it, see `mrikit.models.adaptive.AdaptiveMethod`."""
        with autocast(start.device, self._precision):
            image, kspace, extras = cast("AdaptiveMethod", self.network).acquire(measure, start, draws)
        return Output(None if image is None else image.float(), kspace, extras)

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> Output:
        """Masked k-space to the whole output of the network, real numbers as float32."""
        with autocast(masked_kspace.device, self._precision):
            image, kspace, extras = compute(self.network, masked_kspace, mask, num_center_lines)
        extras = {name: value if value.is_complex() else value.float() for name, value in extras.items()}
        return Output(None if image is None else image.float(), kspace, extras)


def new_network(config: RunConfig) -> InPrecision:
    """The network of a run, drawn from torch's random state."""
    return InPrecision(build_model(config.model, config.model_config), config.training.precision)


def key_seed(*key: int | str) -> int:
    """A seed for torch that depends on a key alone."""
    return int(generator(*key).integers(2**63))
