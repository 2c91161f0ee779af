"""Method: a model that is ready to reconstruct, classical or with trained weights, and what it is as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mrikit import __version__
from mrikit.checkpoint import Weights, build_trained_model, build_trained_sampler, load_weights
from mrikit.config import build_config
from mrikit.data import MaskPlan
from mrikit.errors import CheckpointError, ConfigError
from mrikit.masks import LEARNED_KIND, Mask
from mrikit.models import CLASSICAL, CLASSIFIERS, JUDGES, LEARNED, build_model, model_settings
from mrikit.models.precision import PRECISIONS
from mrikit.reconstruct.find_weights import find_one
from mrikit.storage import shown

AUTO = "auto"
"""The task of a run that chooses weights for each volume."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructConfig:
    """Everything that decides what a reconstruction looks like."""

    model: str | None = None
    """A name of `mrikit.models.CLASSICAL`; with weights, which name theirs, nothing or the same; with the task `auto`
    what does volumes that no weights suit."""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration that differ from its defaults; with weights, which hold theirs, none."""
    weights: Path | tuple[Path, ...] | None = None
    """Weights of a network: a file, or the folder of a training run; with a task also folders of many."""
    task: str | None = None
    """Which of many weights: `auto` for those that suit each volume, or those of one task for all; None for the only
    ones."""
    precision: str = "fp32"
    """One of `mrikit.models.precision.PRECISIONS`; classical methods have fp32 only."""
    flips: bool = False
    """Whether the image is the mean of those of k-space and its mirror images along readout, phase and both."""
    transposed: bool = False
    """Whether readout and phase are swapped before undersampling, which lets banding be told from anatomy; images are
    turned back."""
    whiten: bool = False
    """Whether coils are whitened by the noise scan in their file, references made from k-space too."""
    dither: float = 0.0
    """Noise that is added to images where they are dark, see `mrikit.reconstruct.dither`; 0 for none."""
    mask: MaskPlan | None = None
    """How fully sampled volumes are undersampled; None keeps them full, unless the weights have learned a mask."""
    is_usual_kind: bool = False
    """Whether nobody asked for the kind of `mask`: weights that have learned one of its acceleration then use it."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"the precision is {' or '.join(PRECISIONS)}, found {self.precision!r}")
        if not 0 <= self.dither <= 1:
            raise ConfigError(f"--dither is from 0 for none to 1, found {self.dither:g}; 0.015 is published")
        if self.task is not None and not self.paths:
            raise ConfigError(f"--task {self.task} chooses among trained networks; name their folders with --weights")
        if self.task is not None and self.model is not None and (self.task != AUTO or self.model not in CLASSICAL):
            raise ConfigError(f"--task {self.task} says which network; leave out --model {self.model}")
        if self.task is None and len(self.paths) > 1:
            found = ", ".join(map(str, self.paths))
            raise ConfigError(
                f"several weights need --task auto, or a task's name, to choose among them; found {found}"
            )

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the weights are."""
        if self.weights is None:
            return ()
        return self.weights if isinstance(self.weights, tuple) else (self.weights,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A model that is ready to reconstruct."""

    name: str
    model: nn.Module
    """In evaluation mode, with the signature of `mrikit.models`."""
    weights: Weights | None = None
    """None for a classical method."""
    precision: str = "fp32"
    """One of `mrikit.models.precision.PRECISIONS`."""
    flips: bool = False
    """Whether mirror images are reconstructed too."""
    transposed: bool = False
    """Whether it is given k-space with readout and phase swapped."""
    dither: float = 0.0
    """Noise that is added to images where they are dark."""
    learned: Mapping[float, Mask] = field(default_factory=dict)
    """The masks that were learned with the weights, by acceleration."""

    @property
    def source(self) -> str:
        """The weights, or of a classical method its name, for messages."""
        return str(self.weights.path) if self.weights else self.name

    @property
    def learned_plans(self) -> tuple[MaskPlan, ...]:
        """The plans that its training learned; none where masks were drawn.

        Raises:
            CheckpointError: The weights say something else in their place.
        """
        plans = [mask for mask in self.record.get("masks") or () if mask.get("kind") == LEARNED_KIND]
        try:
            return tuple(build_config(MaskPlan, plan, "mask") for plan in plans)
        except ConfigError as error:
            raise CheckpointError(f"{self.source}: a learned mask that is not known here: {error}") from error

    @property
    def is_adaptive(self) -> bool:
        """Whether it chooses what to measure while it measures; see `mrikit.models.adaptive`."""
        return hasattr(self.model, "acquire") or hasattr(self.model, "acquire_scan")

    @property
    def gives_kspace(self) -> bool:
        """Whether it fills k-space."""
        return bool(getattr(self.model, "gives_kspace", False))

    @property
    def record(self) -> Mapping[str, Any]:
        """What the weights say of themselves."""
        return self.weights.record if self.weights else {}

    @property
    def task(self) -> str:
        """What it was trained for; empty if it does not say."""
        return str(self.record.get("task") or "")

    @property
    def anatomy(self) -> str:
        """What its training volumes showed; empty for anything."""
        return str(self.record.get("anatomy") or "")

    @property
    def accelerations(self) -> tuple[float, ...]:
        """Nominal accelerations of the masks it was trained with."""
        return tuple(float(mask["acceleration"]) for mask in self.record.get("masks") or () if "acceleration" in mask)

    @property
    def num_adjacent(self) -> int:
        """Slices that it sees together, the one that it reconstructs in their middle."""
        return int(getattr(self.model.config, "num_adjacent", 1))

    @property
    def crops_before(self) -> bool:
        """Whether it sees the scored window alone."""
        return bool(getattr(self.model.config, "crops_before", False))

    @property
    def counts_stored_center(self) -> bool:
        """Whether it counts the centre lines of masks that were not drawn here."""
        return bool(getattr(self.model.config, "counts_stored_center", False))

    @property
    def max_readout(self) -> int:
        """Rows of the image that it was trained to see at most; 0 for all."""
        return int(self.record.get("max_readout") or 0)

    @property
    def matrix(self) -> tuple[int, int] | None:
        """(readout, phase) that k-space was cropped to in its training; None for the files' own."""
        matrix = self.record.get("matrix")
        return (int(matrix[0]), int(matrix[1])) if matrix else None

    @property
    def num_coils(self) -> int:
        """Virtual coils that it was trained to see; 0 for the files' own."""
        return int(self.record.get("num_coils") or 0)


def build_method(config: ReconstructConfig, device: torch.device | str = "cpu") -> Method:
    """The one model that a configuration names, with its weights if it has some.

    Raises:
        CheckpointError: The weights are missing or damaged, or fit no model.
        ConfigError: No such model or setting, a network without weights, weights that make no images, or a model that
            contradicts its weights.
    """
    if not config.paths:
        if config.model is None or config.model in LEARNED | CLASSIFIERS | JUDGES:
            known = ", ".join(CLASSICAL)
            raise ConfigError(f"{config.model or 'a network'} needs --weights of a training run; without: {known}")
        if config.precision != "fp32":
            raise ConfigError(f"{config.model} computes in fp32 only; {config.precision} is for networks")
        model = build_model(config.model, config.model_config)
        return Method(
            name=config.model,
            model=model.to(device).eval(),
            flips=config.flips,
            transposed=config.transposed,
            dither=config.dither,
        )
    weights = load_weights(find_one(config.paths[0]))
    if config.model not in (None, weights.model):
        raise ConfigError(f"{weights.path} holds weights of {weights.model}, not of {config.model}; leave out --model")
    if weights.model in JUDGES:
        raise ConfigError(
            f"{weights.path} holds weights of {weights.model}, which judges images and makes none; give it to `mrikit "
            f"evaluate --scorer banding --classifier`"
        )
    if weights.model in CLASSIFIERS:
        raise ConfigError(
            f"{weights.path} holds weights of {weights.model}, which tells anatomies apart and makes no image; give it "
            f"to --task auto, beside those of networks that do"
        )
    if config.model_config:
        found = ", ".join(config.model_config)
        raise ConfigError(f"the settings of {weights.model} are those of its weights; leave out --set for {found}")
    return trained_method(weights, config, device)


def trained_method(weights: Weights, config: ReconstructConfig, device: torch.device | str) -> Method:
    """A network with these weights, a module of its own.

    Raises:
        CheckpointError: The weights fit no model.
        ConfigError: Mirror images, or another orientation, of what a network measures itself.
    """
    model = build_trained_model(weights).to(device)
    sampler = build_trained_sampler(weights)
    if config.flips and hasattr(model, "acquire"):
        raise ConfigError(
            f"{weights.path}: {weights.model} chooses lines by what it sees, others for mirror images; leave out "
            f"--flips"
        )
    if config.transposed and (sampler is not None or hasattr(model, "acquire")):
        raise ConfigError(
            f"{weights.path}: {weights.model} has learned what to measure, in one orientation; leave out --transposed"
        )
    learned = {one: sampler.mask(level) for level, one in enumerate(sampler.accelerations)} if sampler else {}
    return Method(
        name=weights.model,
        model=model,
        weights=weights,
        precision=config.precision,
        flips=config.flips,
        transposed=config.transposed,
        dither=config.dither,
        learned=learned,
    )


def describe_method(method: Method, plan: MaskPlan | None) -> dict[str, Any]:
    """The resolved configuration as JSON: what every output carries."""
    facts: dict[str, Any] = {
        "version": __version__,
        "model": method.name,
        "model_config": model_settings(method.model),
        "mask": plan.facts if plan else None,
        "flips": method.flips,
        "transposed": method.transposed,
        "dither": method.dither,
    }
    if method.weights is None:
        return facts
    seen = {"matrix": method.matrix, "num_coils": method.num_coils}
    facts |= {name: value for name, value in seen.items() if value}
    return facts | {
        "weights": shown(method.weights.path.resolve()),
        "weights_sha256": method.weights.sha256,
        "precision": method.precision,
    }
