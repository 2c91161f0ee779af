"""AcquireConfig: the rules of an environment, beside its data, reconstructor, budget and given lines."""

from dataclasses import dataclass
from typing import Final

from mrikit.acquire.rewards import SCORE_NAMES
from mrikit.errors import ConfigError

SPLITS: Final = ("all", "train", "val", "test")
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "split": SPLITS,
    "score": SCORE_NAMES,
    "reward": ("gain", "final"),
    "taken": ("cost", "refuse"),
    "data_range": ("volume", "slice"),
    "observation_scale": ("first", "data"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AcquireConfig:
    """The rules that a policy plays by."""

    split: str = "all"
    """Which volumes: `train`, `val` or `test` by the folders of the data, or else by patients; `all` of them."""
    num_validation: float = 0.2
    """Patients of `val` where folders do not say: below 1 a share, from 1 their number."""
    num_test: float = 0.2
    """Patients of `test`, likewise."""
    split_seed: int = 0
    """Of the choice of patients; episodes have a seed of their own."""
    width: int = 0
    """Columns of k-space that a volume needs to be used; 0 for any, if all have the same."""
    score: str = "ssim"
    """What the reward is made of: one of `mrikit.acquire.rewards.SCORE_NAMES`."""
    more_scores: tuple[str, ...] = ()
    """Further scores in `info`; each takes time at every step."""
    reward: str = "gain"
    """`gain` for what each step adds to the score; `final` for the score itself, at the last step alone."""
    taken: str = "cost"
    """A column that is measured already, or that the scanner did not acquire: `cost` takes a step and changes nothing,
    `refuse` is an error."""
    data_range: str = "volume"
    """Of SSIM and PSNR: the maximum of the `volume`, as elsewhere in mrikit, or of each `slice`, as published."""
    observation_scale: str = "first"
    """Unit of the observed image: the maximum of the `first` one of the episode, or that of the `data`."""
    acquired: tuple[int, ...] = ()
    """[left, right) columns that count as acquired in every volume; none for what its k-space shows."""
    marks_unacquired: bool = False
    """Whether columns that the scanner did not acquire count as measured in observed masks, as published."""
    one_by_one: bool = False
    """Whether slices are reconstructed one by one. In a batch convolutions may round in another way than alone; without
    batches `AcquireVectorEnv` repeats single environments to the last bit with any network."""
    held_bytes: int = 2**30
    """K-space that is kept in memory once it was read."""

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ConfigError(f"{field} is {' or '.join(known)}, found {getattr(self, field)!r}")
        for name in self.more_scores:
            if name not in SCORE_NAMES:
                raise ConfigError(f"more_scores are of {', '.join(SCORE_NAMES)}, found {name!r}")
        if self.acquired and not (len(self.acquired) == 2 and 0 <= self.acquired[0] < self.acquired[1]):
            raise ConfigError(f"acquired is the first column and the one after the last, found {self.acquired}")
        if self.width < 0 or self.held_bytes < 0:
            raise ConfigError(f"width and held_bytes are at least 0, found {self.width} and {self.held_bytes}")

    @property
    def scores(self) -> tuple[str, ...]:
        """All scores that are computed, that of the reward first."""
        return tuple(dict.fromkeys((self.score, *self.more_scores)))
