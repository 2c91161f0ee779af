"""Policies by name, each made of settings and of what it is for."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mrikit.acquire.learning.double_q_config import DoubleQConfig
from mrikit.acquire.policies.digits_ddqn import DigitsAgent, DigitsDoubleQ, build_digits_ddqn
from mrikit.acquire.policies.ds_ddqn import StepDoubleQ, build_ds_ddqn
from mrikit.acquire.policies.equispaced import Equispaced
from mrikit.acquire.policies.evaluator import EvaluatorPolicyConfig, load_evaluator
from mrikit.acquire.policies.from_files import FixedOrderConfig, fixed_order
from mrikit.acquire.policies.from_truth import NonadaptiveOracleConfig, OracleConfig, nonadaptive_oracle, oracle
from mrikit.acquire.policies.greedy_gradient import GreedyGradient, GreedyGradientConfig, build_greedy_gradient
from mrikit.acquire.policies.highest_value import HighestValue
from mrikit.acquire.policies.low_biased import RandomLowBiased
from mrikit.acquire.policies.low_to_high import LowToHigh
from mrikit.acquire.policies.policy import Policy
from mrikit.acquire.policies.random_line import RandomLine
from mrikit.acquire.policies.setting import PolicySetting
from mrikit.acquire.policies.ss_ddqn import SpectralDoubleQ, build_ss_ddqn
from mrikit.config import build_config
from mrikit.errors import ConfigError

if TYPE_CHECKING:
    from mrikit.acquire.learning.config import PolicyRunConfig
    from mrikit.acquire.learning.learner import Learner


__all__ = ["POLICIES", "PolicyKind", "PolicySetting", "build_policy", "policy_kind", "policy_settings"]


class PolicyKind(NamedTuple):
    """How policies of one name are made."""

    config: type[Any]
    """The dataclass of its settings."""
    build: Callable[[Any, PolicySetting], Policy]
    """Its settings and what it is for, to a policy; one that learns begins with weights of torch's random state."""
    learner: "Callable[[Any, Any, PolicySetting, PolicyRunConfig], Learner] | None" = None
    """A new policy, its settings, what it is for and the run, to how it learns; None where nothing can be learned."""
    needs_truth: bool = False
    """Whether it needs `PolicySetting.truth`, and is made anew for other slices."""

    @property
    def learns(self) -> bool:
        """Whether it has a network that `mrikit train` trains."""
        return self.learner is not None


def _as_it_is(config: Policy, _setting: PolicySetting) -> Policy:
    return config


def _evaluator(config: EvaluatorPolicyConfig, setting: PolicySetting) -> Policy:
    return load_evaluator(Path(config.run), setting.matrix[1], setting.device)


def _double_q(
    policy: HighestValue | DigitsAgent, settings: DoubleQConfig, setting: PolicySetting, config: "PolicyRunConfig"
) -> "Learner":
    from mrikit.acquire.learning.double_q_learner import DoubleQLearner  # needs the extra `rl`

    return DoubleQLearner(policy, settings, config, setting.matrix[1])


def _greedy_gradient(
    policy: GreedyGradient, settings: GreedyGradientConfig, _setting: PolicySetting, config: "PolicyRunConfig"
) -> "Learner":
    from mrikit.acquire.learning.greedy_gradient import GreedyGradientLearner

    return GreedyGradientLearner(policy, settings, config)


POLICIES: Final[dict[str, PolicyKind]] = {
    "random": PolicyKind(RandomLine, _as_it_is),
    "random_low_biased": PolicyKind(RandomLowBiased, _as_it_is),
    "low_to_high": PolicyKind(LowToHigh, _as_it_is),
    "equispaced": PolicyKind(Equispaced, _as_it_is),
    "evaluator": PolicyKind(EvaluatorPolicyConfig, _evaluator),
    "fixed_order": PolicyKind(FixedOrderConfig, fixed_order),
    "nonadaptive_oracle": PolicyKind(NonadaptiveOracleConfig, nonadaptive_oracle),
    "oracle": PolicyKind(OracleConfig, oracle, needs_truth=True),
    "ss_ddqn": PolicyKind(SpectralDoubleQ, lambda config, of: build_ss_ddqn(config, of.matrix), _double_q),
    "ds_ddqn": PolicyKind(
        StepDoubleQ, lambda config, of: build_ds_ddqn(config, of.matrix[1], of.num_given, of.budget), _double_q
    ),
    "digits_ddqn": PolicyKind(DigitsDoubleQ, lambda config, of: build_digits_ddqn(config, of.matrix), _double_q),
    "greedy_gradient": PolicyKind(
        GreedyGradientConfig, lambda config, of: build_greedy_gradient(config, of.matrix), _greedy_gradient
    ),
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
    kind = policy_kind(name)
    return kind.build(build_config(kind.config, settings, f"policy {name}"), setting)


def policy_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a policy, typed, those that are not given with their defaults.

    Raises:
        ConfigError: There is no such policy or setting.
    """
    return asdict(build_config(policy_kind(name).config, settings, "policy_config"))


def policy_kind(name: str) -> PolicyKind:
    """How policies of this name are made.

    Raises:
        ConfigError: There is none.
    """
    if name not in POLICIES:
        raise ConfigError(f"no policy is called {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name]
