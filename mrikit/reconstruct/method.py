"""Method: a model that is ready to reconstruct, classical or with trained weights, and what it is as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mrikit import __version__
from mrikit.checkpoint import Weights, build_trained_model, load_weights
from mrikit.data import MaskPlan
from mrikit.errors import ConfigError
from mrikit.models import CLASSICAL, LEARNED, build_model, model_settings

PRECISIONS = ("fp32", "bf16")
"""What networks compute in; Fourier transforms, data consistency and images stay in float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconstructConfig:
    """Everything that decides what a reconstruction looks like."""

    model: str | None = None
    """A name of `mrikit.models.CLASSICAL`; with weights, which name theirs, nothing or the same."""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the model's configuration that differ from its defaults; with weights, which hold theirs, none."""
    weights: Path | None = None
    """Weights of a network: a file, or the folder of a training run."""
    precision: str = "fp32"
    """One of PRECISIONS; classical methods have fp32 only."""
    mask: MaskPlan | None = None
    """How fully sampled volumes are undersampled; None keeps them full."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"the precision is {' or '.join(PRECISIONS)}, found {self.precision!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A model that is ready to reconstruct."""

    name: str
    model: nn.Module
    """In evaluation mode, with the signature of `mrikit.models`."""
    weights: Weights | None
    """None for a classical method."""
    precision: str
    """One of PRECISIONS."""


def build_method(config: ReconstructConfig, device: torch.device | str = "cpu") -> Method:
    """The model that a configuration names, with its weights if it has some.

    Raises:
        CheckpointError: The weights are missing or damaged, or fit no model.
        ConfigError: No such model or setting, a network without weights, or a model that contradicts its weights.
    """
    if config.weights is None:
        if config.model is None or config.model in LEARNED:
            known = ", ".join(CLASSICAL)
            raise ConfigError(f"{config.model or 'a network'} needs --weights of a training run; without: {known}")
        if config.precision != "fp32":
            raise ConfigError(f"{config.model} computes in fp32 only; {config.precision} is for networks")
        model = build_model(config.model, config.model_config)
        return Method(name=config.model, model=model.to(device).eval(), weights=None, precision="fp32")
    weights = load_weights(config.weights)
    if config.model not in (None, weights.model):
        raise ConfigError(f"{weights.path} holds weights of {weights.model}, not of {config.model}; leave out --model")
    if config.model_config:
        found = ", ".join(config.model_config)
        raise ConfigError(f"the settings of {weights.model} are those of its weights; leave out --set for {found}")
    model = build_trained_model(weights).to(device)
    return Method(name=weights.model, model=model, weights=weights, precision=config.precision)


def describe_method(method: Method, plan: MaskPlan | None) -> dict[str, Any]:
    """The resolved configuration as JSON: what every output carries."""
    facts = {
        "version": __version__,
        "model": method.name,
        "model_config": model_settings(method.model),
        "mask": asdict(plan) if plan else None,
    }
    if method.weights is None:
        return facts
    return facts | {
        "weights": str(method.weights.path.resolve()),
        "weights_sha256": method.weights.sha256,
        "precision": method.precision,
    }
