"""DoubleQConfig: how a Q network learns."""

from dataclasses import dataclass

from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubleQConfig:
    """Settings of double Q-learning, with the published values; policies add those of their networks.

    Source:
        Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020, arXiv:2007.10469, and its
        `train_ddqn.sh`: Adam 1e-4 (`learning.max_lr`), 5,000,000 steps, an update for each line of one episode.
    """

    discount: float = 0.5
    """How much a reward counts one line later, 0 to 1."""
    batch_size: int = 2
    """Transitions of an update."""
    num_updates: int = 1
    """Updates after each round, in which every row chooses a line."""
    replay_size: int = 20_000
    """Transitions that are kept."""
    burn_in: int = 1_000
    """Transitions in the replay before the first update."""
    target_steps: int = 5_000
    """Updates from one copy of the weights to the target network to the next."""
    first_exploration: float = 1.0
    """The chance of a random line in the beginning, for each row by itself."""
    last_exploration: float = 0.01
    """Where it falls to."""
    decay_steps: float = 1e6
    """Lines in which the way to it shrinks by 1/e."""
    largest_gradient: float = 1.0
    """Where each single gradient is cut, either side of 0."""
    cache_mb: float = 512.0
    """Memory for images of the replay that need not be made again, MB (1e6 bytes); it changes no result."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_updates", "replay_size", "burn_in", "target_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"policy_config.{name} is at least 1, found {getattr(self, name)}")
        for name in ("discount", "first_exploration", "last_exploration"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"policy_config.{name} is from 0 to 1, found {getattr(self, name):g}")
        for name in ("decay_steps", "largest_gradient"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"policy_config.{name} is above 0, found {getattr(self, name):g}")
        if not 0 <= self.cache_mb < float("inf"):
            raise ConfigError(f"policy_config.cache_mb is 0 or more, found {self.cache_mb:g}")
        if self.burn_in > self.replay_size:
            raise ConfigError(
                f"policy_config.burn_in {self.burn_in} is more than replay_size {self.replay_size}, so that nothing "
                f"would be learned; a smaller one would do"
            )
