"""The network of a run: built from its seed, in its precision."""

import copy

import torch
from torch import nn

from mrikit.models import build_model
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

    def forward(self, masked_kspace: torch.Tensor, mask: torch.Tensor, num_center_lines: torch.Tensor) -> torch.Tensor:
        """Masked k-space to the (batch, y, x) float32 magnitude, or (batch, class) logits."""
        with autocast(masked_kspace.device, self._precision):
            image: torch.Tensor = self.network(masked_kspace, mask, num_center_lines)
        return image.float()


def initial_network(config: RunConfig) -> InPrecision:
    """The network with the weights that its seed gives; torch's own random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_seed(config.training.seed, "weights"))
        return InPrecision(build_model(config.model, config.model_config), config.training.precision)


def key_seed(*key: int | str) -> int:
    """A seed for torch that depends on a key alone."""
    return int(generator(*key).integers(2**63))


class RunningMean:
    """The weights that are validated and kept: a running mean of those that are trained, or these themselves.

    Args:
        network: Weights to begin with.
        decay: How much of the mean stays at each step; 0 for none.
    """

    def __init__(self, network: InPrecision, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, parameters: dict[str, nn.Parameter], num_steps: int) -> None:
        """Take the weights after a step into the mean; the first ones, of a poor network, are soon forgotten."""
        decay = min(self._decay, num_steps / (num_steps + 9))
        for name, mean in self.network.network.named_parameters():
            mean.lerp_(parameters[name].detach(), 1 - decay)
