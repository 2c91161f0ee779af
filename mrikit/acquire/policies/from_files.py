"""An order of lines from a file, or from the weights of a learned sampler."""

from dataclasses import dataclass
from pathlib import Path

from mrikit.acquire.policies.fixed_order import FixedOrder, order_of_probabilities, read_order
from mrikit.acquire.policies.setting import PolicySetting
from mrikit.checkpoint import build_trained_sampler, level_of, load_weights
from mrikit.errors import ConfigError
from mrikit.reconstruct.find_weights import find_one


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedOrderConfig:
    """Where an order of lines comes from: one of two places."""

    file: str = ""
    """A `.json` mask file with an order, such as `mrikit masks make` and `search` write."""
    weights: str = ""
    """The run that learned a mask of lines, such as LOUPE's: the likeliest line first."""
    acceleration: float = 0.0
    """Which of the masks of the weights; 0 for that of the lowest one."""

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.weights):
            found = f"file={self.file} and weights={self.weights}" if self.file else "neither"
            raise ConfigError(f"policy fixed_order needs file=ORDER.json or weights=RUN, found {found}")
        if self.acceleration and self.file:
            raise ConfigError("policy fixed_order: acceleration chooses a mask of weights; leave it out with a file")


def fixed_order(config: FixedOrderConfig, setting: PolicySetting) -> FixedOrder:
    """The order that a file or weights hold.

    Raises:
        CheckpointError: The weights are missing or damaged.
        ConfigError: They learned no mask of lines, none of this acceleration, or one for another width.
        DataError: The file is missing, or has no order.
    """
    if config.file:
        return read_order(Path(config.file))
    weights = load_weights(find_one(Path(config.weights)))
    sampler = build_trained_sampler(weights)
    if sampler is None:
        raise ConfigError(
            f"{config.weights}: these weights of {weights.model} hold no learned mask; name a run that was trained "
            f"with sampler.kind=lines"
        )
    chances = sampler.probabilities(level_of(sampler.accelerations, config.acceleration or None))
    if chances.ndim != 1:
        found = " x ".join(map(str, chances.shape))
        raise ConfigError(f"{config.weights}: its mask is a pattern of {found}, not of lines; sampler.kind=lines is")
    if len(chances) != setting.matrix[1]:
        raise ConfigError(
            f"{config.weights}: its mask has {len(chances)} columns, and k-space {setting.matrix[1]}; name a run of "
            f"this width"
        )
    return order_of_probabilities(chances.detach())
