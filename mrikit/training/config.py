"""What a training run is: data, network and training decide its result, execution only how it is computed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mrikit.config import build_config
from mrikit.data import AugmentConfig, MaskPlan
from mrikit.errors import ConfigError
from mrikit.masks import LEARNED_KIND, MASK_KINDS
from mrikit.models import CLASSIFIERS, JUDGES, LEARNED
from mrikit.models.precision import PRECISIONS
from mrikit.models.samplers import SamplerConfig
from mrikit.run_files import CONFIG_FILE
from mrikit.storage import read_json
from mrikit.training.adversary_config import AdversaryTraining
from mrikit.training.evaluator_config import EvaluatorTraining
from mrikit.training.losses import CROSS_ENTROPY, needs_kspace, needs_uncertainty, parse_loss
from mrikit.training.orientation_config import OrientationTraining

SCHEDULES = ("cosine", "step")
_COUNTS = (
    "num_validation",
    "num_volumes",
    "max_readout",
    "num_coils",
    "field_strength_t",
    "min_coils",
    "max_coils",
    "min_phase",
    "max_phase",
)
MEMORY_SETTINGS = frozenset({"use_checkpoint", "checkpoint_every", "coils_at_a_time"})
"""Settings of networks that decide how much memory they take, and nothing of what they compute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which volumes, and how they are undersampled."""

    mask_kind: str = "equispaced_fraction"
    """A name of `mrikit.masks.MASK_KINDS`, a mask file (`.npy`, `.json` or `.cfl`), or `learned` where the run learns
    what to measure."""
    mask_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the kind that differ from its defaults, such as `power`."""
    accelerations: tuple[float, ...] = (4.0,)
    """Nominal accelerations; each example draws one, each validation volume keeps one."""
    center_fractions: tuple[float, ...] = (0.08,)
    """Share of centre columns, one for each acceleration."""
    validation_mask_kind: str = ""
    """How validation volumes are undersampled, so that stages with other masks compare; empty for `mask_kind`."""
    validation_mask_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of that kind; where it is empty, `mask_settings` count."""
    validation_score: str = "ssim"
    """What the best weights are chosen by: `ssim` as fastMRI scores, `body_ssim` as the SNU challenge does, or
    `kspace_nmse`, the error of k-space, of which less is better."""
    anatomy: str = ""
    """Only volumes that show it, such as `knee`; empty for all."""
    max_readout: int = 0
    """Rows of the image that are kept along the readout where there are more, at least the scored ones; 0 for all."""
    matrix: tuple[int, ...] = ()
    """(readout, phase) of a smaller k-space, such as `128,128`: of the scored window, and of its k-space the centre;
    empty for the files' own."""
    num_coils: int = 0
    """Virtual coils that full k-space is compressed to before masks are drawn; 0 for the files' own coils."""
    num_validation: float = 0.2
    """Patients held out to validate on: a share below 1, a number from 1; 0 for no validation. Where there is a folder
    of validation volumes, only 0 counts."""
    split_seed: int = -1
    """Of the choice of patients who are held out, from 0; -1 for that of `training.seed`. With one of its own, runs of
    other seeds are validated on the same patients, so that their scores compare."""
    challenge: str = "multicoil"
    """What the names of fastMRI's folders begin with: `multicoil` or `singlecoil`; others are taken as they are."""
    field_strength_t: float = 0.0
    """Only volumes scanned at about this field, such as `1.5`, tesla; 0 for all. With this and the next seven, volumes
    that do not say what is asked for stay out, and the plan says how many."""
    acquisitions: tuple[str, ...] = ()
    """Only volumes of these protocols, such as `CORPD_FBK,CORPDFS_FBK`; empty for all."""
    systems: tuple[str, ...] = ()
    """Only volumes of these scanners, as their headers name the model, such as `Aera`; empty for all."""
    min_coils: int = 0
    """Only volumes of at least so many coils in their files."""
    max_coils: int = 0
    """Only volumes of at most so many coils in their files, such as `20`; 0 for any number."""
    min_phase: int = 0
    """Only volumes of at least so many phase columns; with `data.max_phase` the same, of just so many."""
    max_phase: int = 0
    """Only volumes of at most so many phase columns, such as `740`; 0 for any number."""
    square_only: bool = False
    """Whether only volumes are taken whose scored window is square."""
    num_volumes: int = 0
    """So many volumes to train on, drawn from the seed, to try things out; 0 for all."""

    epoch_share: float = 1.0
    """Share of the slices that an epoch sees, in (0, 1]: `0.2` for another fifth in each, so that validations and
    checkpoints come sooner. Schedules and `training.num_epochs` count these shorter epochs."""

    def __post_init__(self) -> None:
        if len(self.accelerations) != len(self.center_fractions) or not self.accelerations:
            found = f"{len(self.accelerations)} and {len(self.center_fractions)}"
            raise ConfigError(
                f"each acceleration needs its centre fraction, found {found}; give as many "
                f"data.center_fractions as data.accelerations"
            )
        _require_word("data.validation_score", self.validation_score, ("ssim", "body_ssim", "kspace_nmse"))
        for name in _COUNTS:
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"data.{name} is 0 or more, found {getattr(self, name):g}")
        if self.split_seed < -1:
            raise ConfigError(f"data.split_seed is 0 or more, or -1 for training.seed, found {self.split_seed}")
        if not 0 < self.epoch_share <= 1:
            raise ConfigError(f"data.epoch_share is above 0 and at most 1, found {self.epoch_share:g}; try 0.2")
        for noun in ("coils", "phase"):
            least, most = getattr(self, f"min_{noun}"), getattr(self, f"max_{noun}")
            if 0 < most < least:
                found = f"{most} and {least}"
                raise ConfigError(f"data.max_{noun} is 0 or at least data.min_{noun}, found {found}")
        if self.matrix and (len(self.matrix) != 2 or min(self.matrix) < 1):
            found = ",".join(map(str, self.matrix))
            raise ConfigError(f"data.matrix is readout,phase, such as 128,128, found {found}")
        if self.matrix and self.max_readout:
            raise ConfigError(
                f"data.matrix crops the readout, and so does data.max_readout {self.max_readout}; set the latter to 0"
            )
        if self.validation_mask_settings and not self.validation_mask_kind:
            raise ConfigError("data.validation_mask_settings need data.validation_mask_kind; found none")
        # Typed, so that a run is the same however its settings were written.
        object.__setattr__(self, "mask_settings", dict(self.plans[0].settings))
        if self.validation_mask_kind:
            object.__setattr__(self, "validation_mask_settings", dict(self.validation_plans[0].settings))

    @property
    def plans(self) -> tuple[MaskPlan, ...]:
        """How to undersample examples, one plan for each acceleration."""
        return self._plans(self.mask_kind, self.mask_settings)

    @property
    def validation_plans(self) -> tuple[MaskPlan, ...]:
        """How to undersample volumes to validate on, one plan for each acceleration."""
        if not self.validation_mask_kind:
            return self.plans
        return self._plans(self.validation_mask_kind, self.validation_mask_settings)

    def _plans(self, kind: str, settings: Mapping[str, Any]) -> tuple[MaskPlan, ...]:
        return tuple(
            MaskPlan(kind=kind, acceleration=acceleration, center_fraction=fraction, settings=settings)
            for acceleration, fraction in zip(self.accelerations, self.center_fractions, strict=True)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How the weights are found."""

    num_epochs: int = 50
    """Times that every slice is seen, or the share of them that `data.epoch_share` says; at least 1."""
    first_epoch: int = 0
    """Epochs of the stages before this one; order, masks and augmentation are drawn and scheduled as after them."""
    schedule_epochs: int = 0
    """Epochs that the cosine is laid out for, when a stage ends before it does; 0 for num_epochs."""
    batch_size: int = 1
    """Slices of one optimizer step, over all processes and accumulated micro-batches."""
    micro_batch_size: int = 1
    """Slices that a process computes at a time; batch_size is a multiple of it times the processes."""
    loss: str = "ssim"
    """Terms and their weights, such as `ssim + 0.01 l1`: `ssim`; `ssim_body`, inside the body only; `l1` in units of
    the volume's maximum; `kspace_nmse`, of networks that fill k-space; `uncertainty`, the negative log-likelihood of
    networks that give a variance. `cross_entropy` of classes stands alone."""
    max_lr: float = 3e-4
    """Learning rate after the warm-up."""
    schedule: str = "cosine"
    """`cosine`: half a wave down to min_lr. `step`: times step_factor every step_epochs."""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate rises linearly."""
    min_lr: float = 0.0
    """Where the cosine ends."""
    step_epochs: int = 40
    """Epochs between two steps of the `step` schedule."""
    step_factor: float = 0.1
    """What a step multiplies by."""
    beta1: float = 0.9
    """Memory of Adam's first moment, in [0, 1)."""
    beta2: float = 0.999
    """Memory of Adam's second moment, in [0, 1)."""
    weight_decay: float = 0.0
    """AdamW's decoupled decay of kernels; biases, slopes and step sizes are left alone. 0 is Adam."""
    max_grad_norm: float = 0.0
    """Gradients of a larger norm are scaled down to it; 0 for never."""
    ema_decay: float = 0.0
    """Memory of the running mean of the weights, which then is validated and kept; 0 for none."""
    precision: str = "fp32"
    """`fp32`, or `bf16`: convolutions in bfloat16, weights, transforms and loss in float32."""
    seed: int = 0
    """Of weights, order, masks and everything else that is drawn."""

    def __post_init__(self) -> None:
        if self.loss != CROSS_ENTROPY:
            # One spelling, so that a run resumes however its loss was written.
            words = " + ".join(name if weight == 1 else f"{weight!r} {name}" for weight, name in parse_loss(self.loss))
            object.__setattr__(self, "loss", words)
        _require_word("training.schedule", self.schedule, SCHEDULES)
        _require_word("training.precision", self.precision, PRECISIONS)
        for name in ("num_epochs", "batch_size", "micro_batch_size", "step_epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is at least 1, found {getattr(self, name)}")
        if self.batch_size % self.micro_batch_size:
            found = f"{self.batch_size} and {self.micro_batch_size}"
            raise ConfigError(f"training.batch_size is a multiple of training.micro_batch_size, found {found}")
        if not 0 < self.max_lr < float("inf") or not 0 <= self.min_lr <= self.max_lr:
            found = f"max_lr {self.max_lr:g} and min_lr {self.min_lr:g}"
            raise ConfigError(f"training needs max_lr above 0 and min_lr from 0 to max_lr, found {found}")
        for name in ("beta1", "beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"training.{name} is in [0, 1), found {getattr(self, name):g}")
        if self.schedule_epochs and self.schedule_epochs < self.num_epochs:
            found = f"{self.schedule_epochs} and {self.num_epochs}"
            raise ConfigError(f"training.schedule_epochs is 0 or at least training.num_epochs, found {found}")
        for name in ("warmup_epochs", "first_epoch", "step_factor", "weight_decay", "max_grad_norm", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"training.{name} is 0 or more, found {getattr(self, name):g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionConfig:
    """How a run is computed. Nothing here changes what is trained, so a resumed run may change it."""

    zero_stage: int = 0
    """What ZeRO shards over the processes: 0 nothing, 1 optimizer moments, 2 gradients too, 3 weights too."""
    offload_optimizer: bool = False
    """Whether moments live in host memory, updated there by CPU-Adam; needs zero_stage from 1."""
    num_workers: int = 2
    """Threads that read ahead; 0 reads when a batch is due."""
    deterministic: bool = False
    """Whether only algorithms are used that give the same bits every time; on a CPU all are such."""
    compile: bool = False
    """Whether torch.compile is given the convolutional parts of the network; the numbers change by rounding."""
    checkpoint_minutes: float = 10.0
    """Time between two checkpoints inside an epoch; 0 for one after every step."""
    keep: int = 2
    """Checkpoints that stay, at least 1."""
    keep_best: bool = False
    """Whether the checkpoint of the best validation stays too; a next stage takes Adam's moments from it."""
    max_disk_gb: float = 0.0
    """Most space that checkpoints may take, GB (1e9 bytes); 0 for no limit."""
    num_pictures: int = 8
    """Slices that a picture shows, at equal distances through the volumes to validate on; 0 for no pictures."""
    picture_epochs: int = 1
    """Epochs between two pictures; there is one before the first step and one after the last in any case."""
    shows_zero_filled: bool = True
    """Whether pictures show what is reconstructed without a network, beside reference, output and error."""

    def __post_init__(self) -> None:
        if self.zero_stage not in range(4):
            raise ConfigError(f"execution.zero_stage is 0, 1, 2 or 3, found {self.zero_stage}")
        if self.offload_optimizer and self.zero_stage == 0:
            raise ConfigError("execution.offload_optimizer needs execution.zero_stage from 1; set zero_stage=1")
        if self.keep < 1:
            raise ConfigError(f"execution.keep is at least 1, found {self.keep}")
        if self.picture_epochs < 1:
            raise ConfigError(f"execution.picture_epochs is at least 1, found {self.picture_epochs}")
        for name in ("num_workers", "checkpoint_minutes", "max_disk_gb", "num_pictures"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"execution.{name} is 0 or more, found {getattr(self, name):g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """A whole training run; `mrikit.recipes` makes them."""

    task: str
    """What it is trained for, such as `knee_multicoil`."""
    stage: int = 0
    """Leg of the task's schedule, from 1; 0 where the task has one only."""
    size: str
    """`tiny`, `small`, `full` or `plus`."""
    model: str
    """A name of `mrikit.models.LEARNED`, `CLASSIFIERS` or `JUDGES`."""
    objective: str = ""
    """A name of `mrikit.training.objectives.OBJECTIVES`; empty for the usual one: `anatomy` or `orientation` of a
    classifier of these, `sampling` where it is learned what to measure, else `image`. `evaluator` trains `cvpr19`
    beside an evaluator of its lines, `adversary` any network of images against discriminators of orientation."""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration; those that are not given get their defaults."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """What is learned to be measured; nothing if it has no kind."""
    evaluator: EvaluatorTraining = field(default_factory=EvaluatorTraining)
    """What is trained beside the network where the objective is `evaluator`."""
    adversary: AdversaryTraining = field(default_factory=AdversaryTraining)
    """What it is trained against where the objective is `adversary`."""
    orientation: OrientationTraining = field(default_factory=OrientationTraining)
    """What makes the images that a classifier of orientation learns from."""
    data: DataConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)

    def __post_init__(self) -> None:
        classifiers = CLASSIFIERS | JUDGES
        models = LEARNED | classifiers
        _require_word("model", self.model, tuple(models))
        if (self.training.loss == CROSS_ENTROPY) != (self.model in classifiers):
            found = f"{self.model} with {self.training.loss}"
            raise ConfigError(
                f"training.loss is cross_entropy for {', '.join(classifiers)} and no other, found {found}"
            )
        self._settle_masks()
        self._require_orientation()
        usual = "sampling" if self.learns_masks else "image"
        usual = "anatomy" if self.model in CLASSIFIERS else "orientation" if self.model in JUDGES else usual
        # Which of image and sampling it is follows from what is learned.
        if not self.objective or {self.objective, usual} <= {"image", "sampling"}:
            object.__setattr__(self, "objective", usual)
        needs = "training.loss" if needs_kspace(self.training.loss) else "data.validation_score"
        compares = needs_kspace(self.training.loss) or self.data.validation_score == "kspace_nmse"
        if compares and not getattr(models[self.model][0], "gives_kspace", False):
            raise ConfigError(f"{needs}: kspace_nmse compares k-space, and {self.model} gives an image alone; try ssim")
        self._check_uncertainty()
        self._check_adversary()
        for objective, those in (("anatomy", CLASSIFIERS), ("orientation", JUDGES)):
            if (self.objective == objective) != (self.model in those):
                raise ConfigError(
                    f"the objective {objective} is for {', '.join(those)} and no other model; found {self.objective} "
                    f"for {self.model}; leave objective out"
                )
        _, model_config = models[self.model]
        # Whole and typed, so that a run is the same however its settings were written, and with other defaults too.
        settings = asdict(build_config(model_config, self.model_config, "model_config"))
        object.__setattr__(self, "model_config", settings)

    def _check_uncertainty(self) -> None:
        """Variances, and scores of lines, are those of networks that give them."""
        is_given = self.model in LEARNED and getattr(LEARNED[self.model][0], "gives_uncertainty", False)
        if needs_uncertainty(self.training.loss) and not is_given:
            raise ConfigError(
                f"training.loss: uncertainty needs a network that gives a variance, such as cvpr19, and {self.model} "
                f"gives none; try ssim"
            )
        if self.objective == "evaluator" and (self.learns_masks or not is_given):
            what = f"{self.model} with masks that are learned" if self.learns_masks else self.model
            raise ConfigError(f"the objective evaluator is for cvpr19 with masks that are drawn; found {what}")

    def _check_adversary(self) -> None:
        """Discriminators tell two orientations apart, and reconstructions are compared with those of the start."""
        if self.objective != "adversary":
            return
        if self.learns_masks:
            raise ConfigError(
                f"the objective adversary is for masks that are drawn; found {self.model} with learned ones"
            )
        chance, score = self.augment.transpose_probability, self.data.validation_score
        if not 0 < chance < 1:
            raise ConfigError(
                f"an adversary tells two orientations apart, and augment.transpose_probability {chance:g} gives one; "
                f"set it to 0.5"
            )
        if score == "kspace_nmse":
            raise ConfigError(
                f"an adversary is bound by the loss of SSIM, found data.validation_score={score}; try ssim or body_ssim"
            )

    def _settle_masks(self) -> None:
        """Masks are learned where the run learns some, and nowhere else."""
        kind, usual = self.data.mask_kind, DataConfig()
        if not self.learns_masks:
            if kind == LEARNED_KIND:
                raise ConfigError("data.mask_kind=learned needs a sampler; set sampler.kind, or another data.mask_kind")
            return
        if self.sampler.kind and self.is_adaptive:
            raise ConfigError(f"{self.model} chooses lines itself; leave sampler.kind={self.sampler.kind} out")
        if kind not in (LEARNED_KIND, usual.mask_kind):
            raise ConfigError(
                f"masks are learned here, and data.mask_kind={kind} draws others; set it to {LEARNED_KIND}, or "
                f"sampler.kind to nothing; sampler.start begins with the mask of a file"
            )
        if self.data.validation_mask_kind:
            raise ConfigError(
                f"masks are learned here and validated, and data.validation_mask_kind="
                f"{self.data.validation_mask_kind} draws others; set it to nothing"
            )
        # The centre of a sampler is a setting of its own.
        fractions = (0.0,) * len(self.data.accelerations) if self.sampler.kind else self.data.center_fractions
        data = replace(self.data, mask_kind=LEARNED_KIND, mask_settings={}, center_fractions=fractions)
        object.__setattr__(self, "data", data)

    def _require_orientation(self) -> None:
        """What is transposed has lines to be undersampled by, which go by the shape of each slice."""
        chance = self.augment.transpose_probability
        if self.model in JUDGES and not 0 < chance < 1:
            raise ConfigError(
                f"{self.model} learns from both orientations, and augment.transpose_probability is {chance:g}; set it "
                f"to 0.5"
            )
        if not chance:
            return
        kind = self.data.mask_kind
        if self.learns_masks or (kind in MASK_KINDS and MASK_KINDS[kind].is_2d):
            what = "masks are learned for one orientation" if self.learns_masks else f"{kind} has no orientation"
            raise ConfigError(
                f"augment.transpose_probability swaps readout and phase, and {what}; set it to 0, or data.mask_kind to "
                f"lines that are drawn, such as {DataConfig().mask_kind}"
            )

    @property
    def split_seed(self) -> int:
        """What decides which patients are held out."""
        return self.training.seed if self.data.split_seed < 0 else self.data.split_seed

    @property
    def is_adaptive(self) -> bool:
        """Whether the network chooses what to measure while it measures."""
        return self.model in LEARNED and hasattr(LEARNED[self.model][0], "acquire")

    @property
    def learns_masks(self) -> bool:
        """Whether it is learned what to measure, by a sampler or by the network itself."""
        return bool(self.sampler.kind) or self.is_adaptive

    @property
    def num_adjacent(self) -> int:
        """Slices that the network sees together, the one that it reconstructs in their middle."""
        if self.objective == "orientation":
            return self.orientation.num_adjacent
        return int(self.model_config.get("num_adjacent", 1))

    @property
    def name(self) -> str:
        """What distinguishes it from other runs: task, model, size and stage."""
        stage = f"-stage-{self.stage}" if self.stage else ""
        return f"{self.task}-{self.model}-{self.size}{stage}"


def load_run_config(folder: Path) -> RunConfig:
    """The configuration that a run was started with.

    Raises:
        ConfigError: It is of another version.
        StorageError: There is none.
    """
    return build_config(RunConfig, read_json(folder / CONFIG_FILE)["config"], str(folder / CONFIG_FILE))


def is_free(name: str) -> bool:
    """Whether a setting, such as `execution.keep`, decides only how a run is computed."""
    return name.startswith("execution.") or name.removeprefix("model_config.") in MEMORY_SETTINGS


def _require_word(name: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ConfigError(f"{name} is one of {', '.join(known)}, found {word!r}")
