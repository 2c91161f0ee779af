"""Networks that a run has make images without training them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import nn

from mrikit.checkpoint import Weights, build_trained_model, load_weights, weights_file
from mrikit.errors import ConfigError
from mrikit.models import LEARNED, build_model
from mrikit.training.config import RunConfig
from mrikit.training.network import InPrecision

ZERO_FILLED: Final = "zero_filled"
"""The only method without weights: others are slow, and look at numbers, which a forecast has not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconstructor:
    """One network with its weights, or the coil images as they are."""

    name: str
    """As it was asked for."""
    network: InPrecision
    """In evaluation mode, with the signature of `mrikit.models`."""
    trained_on: frozenset[str]
    """Volumes that it was trained on."""


def load_reconstructors(config: RunConfig) -> list[Reconstructor]:
    """The networks of `orientation.reconstructors`.

    Raises:
        CheckpointError: Weights are missing or damaged.
        ConfigError: They make no images, choose what to measure, or see other k-space than the run gives them.
    """
    return [_load(name, config) for name in config.orientation.reconstructors]


def reconstructor_files(config: RunConfig) -> set[str]:
    """The files of their weights.

    Raises:
        CheckpointError: There are none.
    """
    return {str(weights_file(Path(name))) for name in config.orientation.reconstructors if name != ZERO_FILLED}


def _load(name: str, config: RunConfig) -> Reconstructor:
    if name == ZERO_FILLED:
        return Reconstructor(name=name, network=_frozen(build_model(name), config), trained_on=frozenset())
    if not Path(name).exists():
        raise ConfigError(
            f"orientation.reconstructors: no weights in {name}; name the run folders of networks, or {ZERO_FILLED}"
        )
    weights = load_weights(Path(name))
    _require_fit(weights, config)
    model = build_trained_model(weights)
    trained_on = frozenset(weights.record.get("trained_on") or ())
    return Reconstructor(name=name, network=_frozen(model, config), trained_on=trained_on)


def _frozen(model: nn.Module, config: RunConfig) -> InPrecision:
    return InPrecision(model.requires_grad_(requires_grad=False), config.training.precision).eval()


def _require_fit(weights: Weights, config: RunConfig) -> None:
    """Refuse what makes no images, and k-space of another kind than the network was trained to see."""
    if weights.model not in LEARNED:
        raise ConfigError(
            f"orientation.reconstructors: {weights.path} holds weights of {weights.model}, which makes no image; name "
            f"a network that does"
        )
    if weights.sampler or hasattr(LEARNED[weights.model][0], "acquire"):
        raise ConfigError(
            f"orientation.reconstructors: {weights.path} has learned what to measure, in one orientation; name a "
            f"network of masks that are drawn"
        )
    record, data = weights.record, config.data
    own = {
        "data.matrix": (tuple(record.get("matrix") or ()), data.matrix),
        "data.num_coils": (int(record.get("num_coils") or 0), data.num_coils),
        "data.max_readout": (int(record.get("max_readout") or 0), data.max_readout),
        "orientation.num_adjacent": (
            int(weights.model_config.get("num_adjacent", 1)),
            config.orientation.num_adjacent,
        ),
    }
    for name, (trained, asked) in own.items():
        if trained != asked:
            found, wanted = (",".join(map(str, one)) if isinstance(one, tuple) else one for one in (asked, trained))
            raise ConfigError(
                f"{weights.path}: was trained with {name}={wanted}, and the classifier is to learn with {found}; give "
                f"--set {name}={wanted}"
            )
    plans = [plan.facts for plan in data.plans]
    masks = record.get("masks") or plans
    if not all(plan in masks for plan in plans):
        warnings.warn(
            f"{weights.path}: was trained with {_words(masks)}, and the classifier learns with {_words(plans)}; it "
            f"judges images of the latter",
            stacklevel=4,
        )


def _words(masks: Sequence[Mapping[str, Any]]) -> str:
    """Masks by kind and acceleration, and what else was chosen."""
    return " and ".join(" ".join(f"{name}={value}" for name, value in mask.items() if value) for mask in masks)
