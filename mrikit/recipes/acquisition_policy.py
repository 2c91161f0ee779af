"""Runs that learn which line to measure next: a reconstructor for every step of an episode, then a policy on it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from mrikit.acquire.learning.config import EpisodeConfig, LearningConfig, PolicyRunConfig
from mrikit.recipes.acquisition import digits_reconstructor, knee_reconstructor
from mrikit.training import RunConfig

DOUBLE_Q: Final[Mapping[str, Any]] = {
    "batch_size": 16,
    "burn_in": 1_000,
    "target_steps": 100,
    "decay_steps": 2_000.0,
    "last_exploration": 0.05,
}
"""Double Q-learning in minutes instead of weeks: of the published values the discount, the replay and the cut stay."""
QUICK: Final[Mapping[str, Mapping[str, Any]]] = {
    "ss_ddqn": {**DOUBLE_Q, "num_channels": 8},
    "ds_ddqn": {**DOUBLE_Q, "batch_size": 64},
}
"""Policy to its settings where minutes have to do; of others the defaults count."""
DIGITS: Final[Mapping[str, Any]] = {
    "discount": 1.0,
    "batch_size": 32,
    "replay_size": 2_000,
    "burn_in": 320,
    "target_steps": 50,
    "decay_steps": 5_000.0,
}
"""Of the study's agent: no discount, 32 of 2,000 transitions. Its target was never synced, its exploration short."""


def knee_acquire(size: str, policy: str = "ss_ddqn") -> tuple[RunConfig, PolicyRunConfig]:
    """Knees: a reconstructor, then a policy.

    Source:
        `full` is Pineda et al., Active MR k-space sampling with reinforcement learning, MICCAI 2020, arXiv:2007.10469,
        in its normal scenario, with as many steps. The smaller sizes have the matrix, coils and lines of
        `knee_sampling`; a thousand lines of `tiny` take about 30 s of one core, of which two thirds make images.
    """
    first = knee_reconstructor(size)
    if size == "full":
        episode = EpisodeConfig(num_given=30, budget=70)
        learning = LearningConfig(num_steps=5_000_000, num_rows=1, validation_steps=100_000, max_lr=1e-4)
        return first, _policy(first, policy, {}, episode, learning)
    episode = EpisodeConfig(num_given=4, budget=12)
    learning = LearningConfig(num_steps=12_000)
    if size == "small":
        learning = replace(learning, num_steps=200_000, validation_steps=20_000)
    return first, _policy(first, policy, QUICK.get(policy, {}), episode, learning)


def digits_acquire(size: str, policy: str = "digits_ddqn") -> tuple[RunConfig, PolicyRunConfig]:
    """Digits, 2 of 28 columns given and 5 to choose: a reconstructor, then a policy.

    Source:
        The agent of the learned-sampling study, by the NMSE of k-space, with a reconstructor for every step.
    """
    first = digits_reconstructor(size)
    episode = EpisodeConfig(num_given=2, budget=5, score="kspace_nmse")
    learning = LearningConfig(num_steps=40_000, validation_steps=8_000, max_lr=1e-4)
    if size == "full":
        learning = replace(learning, num_steps=200_000, validation_steps=20_000)
    settings = DIGITS if policy == "digits_ddqn" else QUICK.get(policy, {})
    return first, _policy(first, policy, settings, episode, learning)


def _policy(
    first: RunConfig, policy: str, settings: Mapping[str, Any], episode: EpisodeConfig, learning: LearningConfig
) -> PolicyRunConfig:
    """The stage after a reconstructor, on the same data."""
    return PolicyRunConfig(
        task=first.task,
        stage=2,
        size=first.size,
        policy=policy,
        policy_config=settings,
        episode=episode,
        learning=learning,
        data=first.data,
    )
