"""PolicyRunConfig: what the training of a policy is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mrikit.acquire.rewards import SCORES
from mrikit.errors import ConfigError
from mrikit.training import DataConfig, ExecutionConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeConfig:
    """What an episode is, while learning and afterwards."""

    num_given: int
    """Lines in the middle that are measured before the first decision, at least 1."""
    budget: int
    """Lines that are chosen, at least 1."""
    score: str = "ssim"
    """What a reward is made of: one of `mrikit.acquire.rewards.SCORES`, against fully sampled slices."""
    reward: str = "gain"
    """`gain` for what each line adds to the score; `final` for the score itself, after the last line alone."""

    def __post_init__(self) -> None:
        if self.num_given < 1 or self.budget < 1:
            raise ConfigError(
                f"episode.num_given and episode.budget are at least 1, found {self.num_given} and {self.budget}"
            )
        if self.score not in SCORES:
            raise ConfigError(f"episode.score is one of {', '.join(SCORES)}, found {self.score!r}")
        if self.reward not in ("gain", "final"):
            raise ConfigError(f"episode.reward is gain or final, found {self.reward!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningConfig:
    """How long a policy learns, and how it is judged, whatever it is."""

    num_steps: int = 20_000
    """Lines chosen while learning, over all episodes."""
    num_rows: int = 16
    """Episodes that are played at a time."""
    validation_steps: int = 4_000
    """Lines between two validations, which play each slice of each validation volume once, without chance."""
    max_lr: float = 1e-3
    """Adam's rate."""
    seed: int = 0
    """Of weights, of the order of slices, and of all that is drawn."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_rows", "validation_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"learning.{name} is at least 1, found {getattr(self, name)}")
        if not 0 < self.max_lr < float("inf"):
            raise ConfigError(f"learning.max_lr is above 0, found {self.max_lr:g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRunConfig:
    """A whole run that learns a policy; `mrikit.recipes` makes them."""

    task: str
    """What it is trained for, such as `knee_acquire`."""
    stage: int = 2
    """Leg of the task's schedule; the one before it trains the reconstructor."""
    size: str
    """`tiny`, `small` or `full`."""
    policy: str
    """A name of `mrikit.acquire.policies.table.POLICIES` that learns."""
    policy_config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of that policy's configuration; those that are not given get their defaults."""
    reconstructor: str = ""
    """What makes images: a name of `mrikit.models.CLASSICAL`, or empty for the weights that the stage begins with."""
    episode: EpisodeConfig
    learning: LearningConfig = field(default_factory=LearningConfig)
    data: DataConfig = field(default_factory=DataConfig)
    """Which volumes, and their matrix and coils; masks are not drawn here. Its `validation_score` has no effect."""
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    """Checkpoints; a policy learns in one process."""

    @property
    def name(self) -> str:
        """What distinguishes it from other runs: task, policy, size and stage."""
        return f"{self.task}-{self.policy}-{self.size}-stage-{self.stage}"
