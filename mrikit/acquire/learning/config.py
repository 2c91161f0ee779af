"""PolicyRunConfig: what the training of a policy is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrikit.acquire.rewards import SCORE_NAMES
from mrikit.config import build_config
from mrikit.errors import ConfigError
from mrikit.models import CLASSICAL
from mrikit.run_files import CONFIG_FILE
from mrikit.storage import read_json
from mrikit.training import DataConfig, ExecutionConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeConfig:
    """What an episode is, while learning and afterwards."""

    num_given: int
    """Lines in the middle that are measured before the first decision, at least 1."""
    budget: int
    """Lines that are chosen, at least 1."""
    score: str = "ssim"
    """What a reward is made of: one of `mrikit.acquire.rewards.SCORE_NAMES`, against fully sampled slices."""
    reward: str = "gain"
    """`gain` for what each line adds to the score; `final` for the score itself, after the last line alone."""

    def __post_init__(self) -> None:
        if self.num_given < 1 or self.budget < 1:
            raise ConfigError(
                f"episode.num_given and episode.budget are at least 1, found {self.num_given} and {self.budget}"
            )
        if self.score not in SCORE_NAMES:
            raise ConfigError(f"episode.score is one of {', '.join(SCORE_NAMES)}, found {self.score!r}")
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
    split_seed: int = 0
    """Of the choice of patients who are held out: `training.seed` of the reconstructor's run, so that they are the same
    whatever the seed of the policy."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_rows", "validation_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"learning.{name} is at least 1, found {getattr(self, name)}")
        if self.split_seed < 0:
            raise ConfigError(f"learning.split_seed is 0 or more, found {self.split_seed}")
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

    def __post_init__(self) -> None:
        from mrikit.acquire.policies.table import POLICIES, policy_kind, policy_settings  # they import their settings

        if not policy_kind(self.policy).learns:
            learning = ", ".join(name for name, kind in POLICIES.items() if kind.learns)
            raise ConfigError(f"the policy {self.policy} needs no training; those that learn are {learning}")
        if self.reconstructor and self.reconstructor not in CLASSICAL:
            raise ConfigError(
                f"reconstructor is one of {', '.join(CLASSICAL)}, or empty for weights; found {self.reconstructor!r}"
            )
        # Whole and typed, so that a run is the same however its settings were written, and with other defaults too.
        object.__setattr__(self, "policy_config", policy_settings(self.policy, self.policy_config))

    @property
    def name(self) -> str:
        """What distinguishes it from other runs: task, policy, size and stage."""
        return f"{self.task}-{self.policy}-{self.size}-stage-{self.stage}"


def load_policy_config(folder: Path) -> PolicyRunConfig:
    """The configuration that a run was started with.

    Raises:
        ConfigError: It is of another version.
        StorageError: There is none.
    """
    return build_config(PolicyRunConfig, read_json(folder / CONFIG_FILE)["config"], str(folder / CONFIG_FILE))


def is_free(name: str) -> bool:
    """Whether a setting, such as `execution.keep`, decides only how a run is computed."""
    return name.startswith("execution.") or name == "policy_config.cache_mb"
