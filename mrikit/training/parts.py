"""The modules that a run trains, as one."""

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from mrikit.data import ScanBatch
from mrikit.errors import ConfigError
from mrikit.training.config import RunConfig
from mrikit.training.losses import Losses
from mrikit.training.network import InPrecision, key_seed
from mrikit.training.objectives import Draw, Group, Objective

NETWORK = "network"
"""The part that reconstructs; its tensors have no prefix in files."""
KEPT = (NETWORK, "sampler")
"""The parts that `reconstruct` loads; their running mean is validated."""


class Parts(nn.Module):
    """What DeepSpeed wraps: one forward gives the losses, one backward the gradients of every part.

    Args:
        objective: Says what is computed.
        parts: Its modules.
    """

    def __init__(self, objective: Objective, parts: nn.ModuleDict) -> None:
        super().__init__()
        self.parts = parts
        self._objective = objective

    def forward(self, scan: ScanBatch, draw: Draw) -> Losses:
        """Full k-space to the losses of each slice."""
        return self._objective.losses(self.parts, scan, draw)


def initial_parts(config: RunConfig, objective: Objective) -> Parts:
    """All parts with the weights that the run's seed gives; torch's own random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_seed(config.training.seed, "weights"))
        return Parts(objective, objective.parts())


def named_modules_of(parts: nn.ModuleDict) -> Iterator[tuple[str, nn.Module]]:
    """Prefix of the names in files, and module of each part: the network has none, `critic` has `critic/`."""
    for name, part in parts.items():
        yield "" if name == NETWORK else f"{name}/", part.network if isinstance(part, InPrecision) else part


def named_parameters_of(parts: nn.ModuleDict) -> dict[str, nn.Parameter]:
    """Every parameter by its name in files."""
    return {
        prefix + name: parameter
        for prefix, module in named_modules_of(parts)
        for name, parameter in module.named_parameters()
    }


def named_buffers_of(parts: nn.ModuleDict) -> dict[str, torch.Tensor]:
    """Every tensor that is kept but not trained, such as the statistics of a batch norm, by its name in files."""
    parameters = named_parameters_of(parts)
    return {
        prefix + name: value
        for prefix, module in named_modules_of(parts)
        for name, value in module.state_dict().items()
        if prefix + name not in parameters
    }


def is_of_other_part(name: str) -> bool:
    """Whether a name in files is not the network's, which has dots only."""
    return "/" in name


def load_parts(parts: nn.ModuleDict, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back tensors by their names in files; a part of which there is none keeps its own."""
    for prefix, module in named_modules_of(parts):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if _part(name) == prefix}
        if own:
            module.load_state_dict(own)


def checked_groups(objective: Objective, parts: nn.ModuleDict) -> list[Group]:
    """The groups of an objective, which are what its parts train and nothing else.

    Raises:
        ConfigError: A group is empty, or a parameter is in none or in two.
    """
    groups = objective.groups(parts)
    empty = next((group.name for group in groups if not group.parameters), None)
    if empty is not None:
        raise ConfigError(f"the group {empty!r} has no parameters to train; leave it out, or unfreeze some")
    trained = {id(value): name for name, value in named_parameters_of(parts).items() if value.requires_grad}
    grouped = [id(parameter) for group in groups for parameter in group.parameters]
    distinct = set(grouped)
    missing = [name for key, name in trained.items() if key not in distinct]
    if missing or len(distinct) < len(grouped):
        what = f"{missing[0]} is in no group" if missing else "a parameter is in two groups"
        raise ConfigError(f"the groups of an objective hold each trained parameter once; {what}")
    return groups


class RunningMean:
    """The weights that are validated and kept: a running mean of those that are trained, or these themselves.

    Args:
        parts: Weights to begin with; those of `KEPT` have a mean.
        decay: How much of the mean stays at each step; 0 for none.
    """

    def __init__(self, parts: nn.ModuleDict, decay: float) -> None:
        kept = nn.ModuleDict({name: part for name, part in parts.items() if name in KEPT})
        self.parts = copy.deepcopy(kept).requires_grad_(requires_grad=False).eval()
        # Asked once: looking through a thousand tensors at each step takes 7 ms, also where there are none.
        self.has_buffers = bool(named_buffers_of(self.parts))
        self._decay = decay

    @torch.no_grad()
    def update(self, parameters: Mapping[str, nn.Parameter], num_steps: int) -> None:
        """Take the weights after a step into the mean; the first ones, of a poor network, are soon forgotten.

        Args:
            parameters: By their names in files, whole.
            num_steps: Steps so far.
        """
        decay = min(self._decay, num_steps / (num_steps + 9))
        for name, mean in named_parameters_of(self.parts).items():
            mean.lerp_(parameters[name].detach(), 1 - decay)

    @torch.no_grad()
    def copy_buffers(self, buffers: Mapping[str, torch.Tensor]) -> None:
        """Take what is not trained as it is."""
        for name, own in named_buffers_of(self.parts).items():
            own.copy_(buffers[name])


def validated_parts(parts: nn.ModuleDict, mean: RunningMean) -> nn.ModuleDict:
    """What is validated: the mean where there is one, and what else is trained as it stands."""
    return nn.ModuleDict({**parts, **mean.parts})


def _part(name: str) -> str:
    prefix, slash, _ = name.rpartition("/")
    return prefix + slash
