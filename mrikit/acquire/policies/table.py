"""Policies by name, each made of settings and of what it is for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from mrikit.acquire.policies.equispaced import Equispaced
from mrikit.acquire.policies.evaluator import EvaluatorPolicyConfig, load_evaluator
from mrikit.acquire.policies.low_biased import RandomLowBiased
from mrikit.acquire.policies.low_to_high import LowToHigh
from mrikit.acquire.policies.oracle import ScoreMasks
from mrikit.acquire.policies.policy import Policy
from mrikit.acquire.policies.random_line import RandomLine
from mrikit.config import build_config
from mrikit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySetting:
    """What a policy is for."""

    matrix: tuple[int, int]
    """(readout, phase) of k-space."""
    num_given: int
    """Lines measured before the first decision."""
    budget: int
    """Lines to choose."""
    score: ScoreMasks | None = None
    """What masks of the images at hand are worth; None where the truth is not known."""


class PolicyKind(NamedTuple):
    """How policies of one name are made."""

    config: type[Any]
    """The dataclass of its settings."""
    build: Callable[[Any, PolicySetting], Policy]
    """Its settings and what it is for, to a policy; one that learns begins with weights of torch's random state."""
    learns: bool = False
    """Whether it has a network that `mrikit train` trains."""


def _as_it_is(config: Policy, _setting: PolicySetting) -> Policy:
    return config


def _evaluator(config: EvaluatorPolicyConfig, setting: PolicySetting) -> Policy:
    return load_evaluator(Path(config.run), setting.matrix[1])


POLICIES: Final[dict[str, PolicyKind]] = {
    "random": PolicyKind(RandomLine, _as_it_is),
    "random_low_biased": PolicyKind(RandomLowBiased, _as_it_is),
    "low_to_high": PolicyKind(LowToHigh, _as_it_is),
    "equispaced": PolicyKind(Equispaced, _as_it_is),
    "evaluator": PolicyKind(EvaluatorPolicyConfig, _evaluator),
}
"""Name to how it is made."""


def build_policy(name: str, settings: Mapping[str, Any], setting: PolicySetting) -> Policy:
    """A policy by its name.

    Args:
        name: A key of POLICIES.
        settings: Fields of its configuration.
        setting: What it is for.

    Raises:
        ConfigError: There is no such policy or setting, or it does not fit what it is for.
    """
    if name not in POLICIES:
        raise ConfigError(f"no policy is called {name!r}; there are {', '.join(POLICIES)}")
    kind = POLICIES[name]
    return kind.build(build_config(kind.config, settings, f"policy {name}"), setting)
