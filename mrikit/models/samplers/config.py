"""Settings of a sampler: ours as defaults, the flaws of the learned-sampling study as switches."""

import math
from dataclasses import dataclass

from mrikit.errors import ConfigError
from mrikit.masks import is_mask_file

_NEEDS_TWO = ("global", "tile")
_CHOICES = {
    "kind": ("", "global", "tile", "lines"),
    "acs": ("none", "column", "square"),
    "estimator": ("top_k", "bernoulli"),
    "gradient": ("all", "score", "kept"),
    "step_loss": ("last", "all"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplerConfig:
    """Settings of a sampler; the last three are switches for the flaws of the study, and serve nothing else."""

    kind: str = ""
    """What is learned: `lines`, `global` (any sample of a plane), `tile` (a small pattern that is repeated), or nothing
    if empty."""
    directions: int = 1
    """Phase-encoding directions of the scan, 1 or 2. With 1 the readout costs no time, and only `lines` are worth
    learning; `global` and `tile` need 2."""
    shape: tuple[int, ...] = ()
    """(readout, phase) of k-space; empty until training knows its volumes."""
    tile: tuple[int, ...] = (4, 4)
    """Rows and columns of the tile."""
    acs: str = "none"
    """The centre that is always sampled, inside the budget and always of the image: `none`, `column` (whole columns) or
    `square`. Of `lines` both are whole columns."""
    num_acs: int = 0
    """Columns of the centre, and rows of a square one; 0 for the study's: 11 at 4x, 5 at 8x. Nested masks share the
    centre of the highest acceleration."""
    estimator: str = "top_k"
    """`top_k`: the largest noisy probabilities, exactly as many as the budget. `bernoulli`: each sample is drawn with
    its probability (LOUPE), in training as many as the budget on average, afterwards exactly."""
    gradient: str = "all"
    """Of `top_k`. `all`: every sample that could be taken learns, also one that is not, by how much better it would be
    than the others. `score`: each slice is seen with several masks, which learn from whose loss is lower. `kept`: those
    taken alone, as in the study."""
    num_draws: int = 4
    """Masks for each slice of a batch with gradient `score`, at least 2."""
    noise_std: float = 0.2
    """Standard deviation of the noise on the probabilities of `top_k` at the start of training."""
    noise_end: float = 0.05
    """The same at its end; linear in between."""
    slope: float = 10.0
    """Steepness, per unit of probability, of the step whose gradient is taken, at the start. With gradient `all`,
    samples within about 1 / slope of the threshold learn most; 0 for all alike. The study has 1."""
    slope_end: float = 10.0
    """The same at the end; linear in between."""
    lr_scale: float = 10.0
    """Learning rate of the sampler over `training.max_lr`."""
    first_epoch: int = 0
    """Epoch in which the sampler begins to learn; before it, the network alone does."""
    is_nested: bool = False
    """Whether the mask of a higher acceleration is part of that of a lower one; all share one ranking of samples."""
    num_steps: int = 1
    """Steps in which the budget is spent; samples of earlier steps stay (the study's naive sequential form)."""
    step_loss: str = "last"
    """Whether the loss is that of the `last` step or the mean over `all`."""
    start: str = ""
    """A mask file (`.npy`, `.cfl`, `.json`) that learning begins with; empty for chance."""
    keeps_ties: bool = False
    """Flaw: the budget is rounded down, of a tile up to whole entries; all that equal the least one kept are kept as
    well; the centre has probability 1 and may exceed the budget."""
    acs_in_tile: bool = False
    """Flaw: the centre is that of the tile, which samples most of k-space. Needs `keeps_ties`."""

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                words = ", ".join(word or "nothing" for word in known)
                raise ConfigError(f"sampler.{name} is one of {words}; found {getattr(self, name)!r}")
        self._check_sizes()
        self._check_numbers()
        self._check_combinations()

    @property
    def draws(self) -> int:
        """Masks that training needs for each slice: `num_draws` with gradient `score`, else 1."""
        return self.num_draws if self.gradient == "score" else 1

    def _check_sizes(self) -> None:
        if self.directions not in (1, 2):
            raise ConfigError(f"sampler.directions is 1 or 2, found {self.directions}")
        if self.kind in _NEEDS_TWO and self.directions == 1:
            raise ConfigError(
                f"a {self.kind} sampler leaves out single samples of a readout, which saves no time where only one "
                f"direction is phase-encoded; if both are, --set sampler.directions=2; else sampler.kind=lines would do"
            )
        for name in ("shape", "tile"):
            sizes = getattr(self, name)
            if (sizes or name == "tile") and (len(sizes) != 2 or min(sizes) < 1):
                raise ConfigError(f"sampler.{name} is rows and columns, such as 4,4; found {_words(sizes)}")
        if self.kind == "tile" and any(one > whole for one, whole in zip(self.tile, self.shape, strict=False)):
            raise ConfigError(f"a tile of {_words(self.tile)} is larger than k-space of {_words(self.shape)}")

    def _check_numbers(self) -> None:
        for name in ("noise_std", "noise_end", "slope", "slope_end"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"sampler.{name} is 0 or more, found {getattr(self, name):g}")
        if not 0 < self.lr_scale < math.inf:
            raise ConfigError(f"sampler.lr_scale is more than 0, found {self.lr_scale:g}")
        for name, least in (("num_acs", 0), ("first_epoch", 0), ("num_steps", 1), ("num_draws", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"sampler.{name} is {least} or more, found {getattr(self, name)}")

    def _check_combinations(self) -> None:
        if self.num_acs and self.acs == "none":
            raise ConfigError(f"sampler.num_acs={self.num_acs} needs a centre: sampler.acs=column or square")
        if self.start and not is_mask_file(self.start):
            raise ConfigError(f"sampler.start is a mask file: .npy, .cfl or .json; found {self.start}")
        if self.estimator == "bernoulli" and (self.gradient in ("kept", "score") or self.keeps_ties):
            raise ConfigError("sampler.gradient=kept or score and keeps_ties are of estimator=top_k; found bernoulli")
        if self.gradient == "score" and not (self.noise_std and self.noise_end):
            raise ConfigError("sampler.gradient=score learns by noise; noise_std and noise_end are more than 0")
        if self.keeps_ties and self.gradient == "score":
            raise ConfigError("sampler.keeps_ties is of gradient=kept or all; found score")
        if self.keeps_ties and self.num_steps > 1:
            raise ConfigError(f"sampler.keeps_ties takes one step, found num_steps={self.num_steps}")
        if self.acs_in_tile and not (self.kind == "tile" and self.acs != "none" and self.keeps_ties):
            raise ConfigError(
                "sampler.acs_in_tile is a flaw of the study; it needs kind=tile, acs=column or square, and keeps_ties"
            )


def _words(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes)) or "nothing"
