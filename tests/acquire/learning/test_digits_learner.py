"""The digits agent learns by double Q-learning, on k-space that a network fills."""

import pytest
import torch
from phantoms import make_volume

pytest.importorskip("torchrl")

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import open_slices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.config import EpisodeConfig, LearningConfig, PolicyRunConfig
from mrikit.acquire.learning.double_q_learner import DoubleQLearner
from mrikit.acquire.learning.playing import episodes_state, look_at, observe, restore_episodes
from mrikit.acquire.policies.digits_ddqn import DigitsDoubleQ
from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.acquire.starts import given_lines
from mrikit.models import build_model

SIZE = (20, 18)
GIVEN, BUDGET, ROWS = 2, 3, 3
SETTINGS = {
    "num_channels": (2, 2),
    "num_hidden": 4,
    "batch_size": 4,
    "replay_size": 30,
    "burn_in": 6,
    "target_steps": 3,
    "decay_steps": 10.0,
}


def make_episodes():
    torch.manual_seed(0)
    spirit = as_reconstructor(build_model("spirit_net", {"num_coils": 1, "num_blocks": 1, "kernel": (3, 3)}))
    config = AcquireConfig(score="kspace_nmse")
    slices = open_slices([make_volume(3, 1, SIZE, (16, 16))], spirit, config)
    return Episodes(slices, spirit, given_lines(GIVEN, SIZE[1]), BUDGET, config, ROWS)


def make_learner():
    torch.manual_seed(1)
    policy = build_policy("digits_ddqn", SETTINGS, PolicySetting(matrix=SIZE, num_given=GIVEN, budget=BUDGET))
    run = PolicyRunConfig(
        task="digits_acquire",
        size="tiny",
        policy="digits_ddqn",
        policy_config=SETTINGS,
        episode=EpisodeConfig(num_given=GIVEN, budget=BUDGET, score="kspace_nmse"),
        learning=LearningConfig(max_lr=1e-2, num_rows=ROWS, seed=5),
    )
    return DoubleQLearner(policy, DigitsDoubleQ(**SETTINGS), run, SIZE[1])


def test_a_past_decision_shows_the_k_space_that_it_showed_then():
    episodes = make_episodes()
    episodes.begin(range(ROWS), range(ROWS), [GIVEN] * ROWS)
    now = observe(episodes)
    again = look_at(episodes, episodes.positions, episodes.mask)
    assert torch.equal(again.kspace, now.kspace)
    assert torch.equal(again.reconstruction, now.reconstruction)


def test_its_weights_and_the_statistics_of_its_norm_learn():
    learner, episodes = make_learner(), make_episodes()
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    numbers = [learner.round(episodes).numbers for _ in range(6)]
    after = learner.network.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert any(number["reward"] > 0 for number in numbers)


def test_it_goes_on_from_the_middle_of_an_episode_to_the_bit():
    unbroken, episodes = make_learner(), make_episodes()
    for _ in range(5):  # in the middle of the second episode, between two copies to the target network
        unbroken.round(episodes)
    state = unbroken.state() | episodes_state(episodes)
    expected = [unbroken.round(episodes) for _ in range(6)]
    resumed, others = make_learner(), make_episodes()
    resumed.restore(state)
    restore_episodes(state, others)
    assert [resumed.round(others) for _ in range(6)] == expected
    found = resumed.state()
    assert all(torch.equal(value, found[name]) for name, value in unbroken.state().items())
