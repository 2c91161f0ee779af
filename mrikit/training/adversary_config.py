"""How discriminators of orientation are trained against a network."""

from dataclasses import dataclass

from mrikit.errors import ConfigError
from mrikit.models.orientation_discriminators import DISCRIMINATORS

_NUMBERS = (
    "strength",
    "regulariser",
    "weight_decay",
    "lr_scale",
    "max_ssim_loss",
    "failed_ssim_loss",
    "failed_slice_loss",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversaryTraining:
    """Discriminators, what they and the network are to each other, and when the network is no longer itself.

    Epochs are those of the run, from 0.

    Source:
        Defazio et al., MRI banding removal via adversarial training, NeurIPS 2020, arXiv:2001.08699. Strength,
        regulariser, decay and rate are its own; it names epochs `warmup_adversary_from` and `adversary_epoch_from`, and
        has no ramp and no bound.
    """

    kind: str = "shallow"
    """A name of `mrikit.models.orientation_discriminators.DISCRIMINATORS`."""
    count: int = 1
    """Discriminators that judge every image, at least 1; they differ by their first weights."""
    sees_dark: bool = False
    """Whether they are shown dark places in full contrast, where banding lies; see
    `mrikit.models.orientation_discriminators.show_dark`. The published ones see the image as it is."""
    strength: float = 1.0
    """How much it counts in the loss of the network that they find out which axis was undersampled."""
    regulariser: float = 0.1
    """How much the steepness of the discriminators counts in theirs; 0 computes none."""
    weight_decay: float = 0.0
    """Decoupled decay of their kernels."""
    lr_scale: float = 1.0
    """Their learning rate over that of the run."""
    warmup_epoch: int = 0
    """Epoch in which the discriminators begin to learn."""
    first_epoch: int = 0
    """Epoch in which the network begins to learn from them; not before `warmup_epoch`."""
    ramp_epochs: int = 0
    """Epochs from `first_epoch` on in which the strength is less than whole, and rises in equal steps."""
    uncertain: bool = True
    """Whether the network wants the discriminators not to know; else it wants them to be wrong."""
    inverts_uncertain: bool = False
    """Whether `uncertain` means the opposite, as in the published code, against its help."""
    max_ssim_loss: float = 0.005
    """How much less SSIM than the weights it began with an epoch may have, to be the best one."""
    failed_ssim_loss: float = 0.05
    """From how much less SSIM on a run counts as failed."""
    failed_slice_loss: float = 0.2
    """Likewise of the worst slice, where artefacts show first: slices at the ends of a volume hold little signal."""

    def __post_init__(self) -> None:
        if self.kind not in DISCRIMINATORS:
            raise ConfigError(f"adversary.kind is one of {', '.join(DISCRIMINATORS)}, found {self.kind!r}")
        if self.count < 1:
            raise ConfigError(f"adversary.count is at least 1, found {self.count}")
        for name in _NUMBERS:
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"adversary.{name} is 0 or more, found {getattr(self, name):g}")
        for name in ("warmup_epoch", "first_epoch", "ramp_epochs"):
            if getattr(self, name) < 0:
                raise ConfigError(f"adversary.{name} is 0 or more, found {getattr(self, name)}")
        if self.first_epoch < self.warmup_epoch:
            found = f"{self.first_epoch} and {self.warmup_epoch}"
            raise ConfigError(
                f"adversary.first_epoch is at least adversary.warmup_epoch, found {found}; who has not begun to learn "
                f"teaches nothing"
            )
        if self.failed_ssim_loss < self.max_ssim_loss:
            found = f"{self.failed_ssim_loss:g} and {self.max_ssim_loss:g}"
            raise ConfigError(f"adversary.failed_ssim_loss is at least adversary.max_ssim_loss, found {found}")

    def strength_in(self, epoch: int) -> float:
        """What the network's term weighs in an epoch of the run, from 0."""
        share = (epoch - self.first_epoch + 1) / (self.ramp_epochs + 1)
        return self.strength * min(max(share, 0.0), 1.0)
