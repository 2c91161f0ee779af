import itertools

import numpy as np
import pytest
import torch
from phantoms import make_volume

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import open_slices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning import greedy_gradient
from mrikit.acquire.learning.config import EpisodeConfig, LearningConfig, PolicyRunConfig
from mrikit.acquire.learning.greedy_gradient import GreedyGradientLearner, greedy_loss, try_gains
from mrikit.acquire.learning.playing import observe
from mrikit.acquire.policies.greedy_gradient import GreedyGradientConfig
from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.acquire.reconstructors import Reconstructor, as_reconstructor
from mrikit.acquire.starts import given_lines
from mrikit.errors import CheckpointError, ConfigError, DataError

SIZE = (32, 32)
GIVEN, BUDGET, ROWS = 4, 2, 3
BEST = 5
SMALL = {"num_channels": 2, "num_hidden": 16}


def one_good_line(masked_kspace, mask, num_center_lines):
    """Images that are right only once the best column is measured."""
    is_good = mask[..., BEST].view(-1, 1, 1).float()
    image = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(masked_kspace, dim=(-2, -1)), norm="ortho"))
    return image.abs().square().sum(1).sqrt() * is_good + 1e-3


def make_episodes(reconstructor=one_good_line, budget=BUDGET, rows=ROWS, **settings):
    volumes = [make_volume(2, 1, SIZE, (24, 24), volume_id=f"file{number}") for number in range(2)]
    ready = reconstructor if isinstance(reconstructor, Reconstructor) else as_reconstructor(reconstructor)
    config = AcquireConfig(**{"score": "nmse", **settings})
    slices = open_slices(volumes, ready, config)
    return Episodes(slices, ready, given_lines(GIVEN, SIZE[1]), budget, config, rows)


def make_learner(seed=0, max_lr=1e-2, reward="gain", **settings):
    settings = {**SMALL, **settings}
    torch.manual_seed(seed)
    policy = build_policy("greedy_gradient", settings, PolicySetting(matrix=SIZE, num_given=GIVEN, budget=BUDGET))
    run = PolicyRunConfig(
        task="test",
        size="tiny",
        policy="greedy_gradient",
        episode=EpisodeConfig(num_given=GIVEN, budget=BUDGET, reward=reward),
        learning=LearningConfig(max_lr=max_lr, seed=seed),
    )
    return GreedyGradientLearner(policy, GreedyGradientConfig(**settings), run)


def first_chances(learner, episodes):
    episodes.begin(range(ROWS), range(ROWS), [GIVEN] * ROWS)
    with torch.no_grad():
        return learner.policy.log_chances(observe(episodes)).exp()


def test_the_line_that_gains_most_becomes_the_likeliest():
    learner, episodes = make_learner(), make_episodes()
    assert first_chances(learner, episodes)[:, BEST].max() < 0.1
    episodes.is_over[:] = True
    numbers = [learner.round(episodes).numbers for _ in range(60)]
    assert first_chances(learner, episodes)[:, BEST].min() > 0.8
    assert learner.policy.choose(observe(episodes), []).tolist() == [BEST] * ROWS
    assert np.mean([number["reward"] for number in numbers[-5:]]) > 2 * np.mean(
        [number["reward"] for number in numbers[:5]]
    )


def test_the_mean_gradient_over_all_draws_is_that_of_the_expected_gain():
    logits = torch.tensor([[0.3, -0.5, 0.9]], dtype=torch.float64, requires_grad=True)
    worth = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    chances = logits.softmax(-1)[0]
    (wanted,) = torch.autograd.grad(-(chances * worth).sum(), logits, retain_graph=True)
    mean = torch.zeros_like(logits)
    for draw in itertools.product(range(3), repeat=3):
        lines = torch.tensor([draw])
        loss = greedy_loss(logits.log_softmax(-1).gather(-1, lines), worth[lines])
        (gradient,) = torch.autograd.grad(loss, logits)
        mean += chances.detach()[lines[0]].prod() * gradient
    assert torch.allclose(mean, wanted, atol=1e-12)


def test_gradients_pass_the_probabilities_and_not_the_gains():
    log_chances = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    gains = torch.tensor([[3.0, 1.0]], requires_grad=True)
    greedy_loss(log_chances, gains).backward()
    assert gains.grad is None
    assert torch.equal(log_chances.grad, torch.tensor([[-1.0, 1.0]]))


def test_lines_of_equal_gain_teach_nothing():
    log_chances = torch.tensor([[-1.0, -2.0, -0.5]], requires_grad=True)
    greedy_loss(log_chances, torch.full((1, 3), 0.7)).backward()
    assert log_chances.grad.abs().max() < 1e-7


def test_tried_lines_gain_what_measuring_them_gives_and_change_nothing():
    episodes = make_episodes("zero_filled", score="ssim")
    episodes.begin(range(ROWS), range(ROWS), [GIVEN] * ROWS)
    mask = episodes.mask.copy()
    gains = try_gains(episodes, np.array([[3, 18, 3], [18, 18, 18], [2, 29, 30]]))
    assert (episodes.mask == mask).all()
    assert gains[0, 0] == gains[0, 2]
    assert len(set(gains[1])) == 1
    np.testing.assert_allclose(episodes.measure(np.array([3, 18, 29])), gains[[0, 1, 2], [0, 0, 1]], rtol=1e-6)


def test_a_line_that_was_drawn_twice_is_tried_once():
    episodes = make_episodes()
    episodes.begin(range(ROWS), range(ROWS), [GIVEN] * ROWS)
    tried = []
    original = episodes.try_columns
    episodes.try_columns = lambda rows, columns: (
        tried.extend(zip(rows, columns, strict=True)) or original(rows, columns)
    )
    try_gains(episodes, np.array([[3, 3, 4], [3, 3, 3], [5, 4, 5]]))
    assert tried == [(0, 3), (0, 4), (1, 3), (2, 4), (2, 5)]


def test_a_round_is_an_episode_of_every_row_on_lines_that_were_tried():
    learner, episodes = make_learner(), make_episodes(budget=3)
    tried = []
    original = episodes.try_columns
    episodes.try_columns = lambda rows, columns: (
        tried.append(set(zip(rows, columns, strict=True))) or original(rows, columns)
    )
    measured = []
    measure = episodes.measure
    episodes.measure = lambda columns: measured.append(columns.tolist()) or measure(columns)
    found = learner.round(episodes)
    assert found.num_steps == 3 * ROWS
    assert episodes.is_over.all()
    assert episodes.mask.sum(-1).tolist() == [GIVEN + 3] * ROWS
    assert all(set(enumerate(columns)) <= some for some, columns in zip(tried, measured, strict=True))
    assert set(found.numbers) == {"loss", "reward", "entropy"}


def test_it_goes_on_from_a_state_to_the_bit():
    unbroken, episodes = make_learner(), make_episodes()
    for _ in range(2):
        unbroken.round(episodes)
    state = unbroken.state()
    copy = {name: value.clone() for name, value in state.items()}
    expected = [unbroken.round(episodes) for _ in range(3)]
    assert all(torch.equal(state[name], copy[name]) for name in state)
    resumed, others = make_learner(seed=0, max_lr=1e-2), make_episodes()
    with torch.no_grad():
        resumed.network.output.bias.add_(1)
    resumed.restore(state)
    assert [resumed.round(others) for _ in range(3)] == expected
    assert all(torch.equal(value, unbroken.state()[name]) for name, value in resumed.state().items())


def test_a_state_before_the_first_round_goes_on_as_one_that_begins():
    fresh, first = make_learner(), make_episodes()
    restored, second = make_learner(), make_episodes()
    restored.restore(fresh.state())
    assert restored.round(second) == fresh.round(first)
    assert all(torch.equal(value, fresh.state()[name]) for name, value in restored.state().items())


def test_seeds_draw_other_lines():
    rewards = {
        make_learner(seed).round(make_episodes("zero_filled", score="ssim")).numbers["reward"] for seed in (0, 1)
    }
    assert len(rewards) == 2


def test_a_state_that_does_not_fit_is_refused():
    learner = make_learner()
    state = learner.state()
    with pytest.raises(CheckpointError, match="the checkpoint's num_rounds is missing"):
        learner.restore({name: value for name, value in state.items() if name != "num_rounds"})
    with pytest.raises(CheckpointError, match="of shape"):
        make_learner(num_hidden=8).restore(state)


def test_a_reward_at_the_end_alone_is_refused():
    with pytest.raises(ConfigError, match=r"what each line gains; found episode\.reward=final, gain would do"):
        make_learner(reward="final")


def test_a_loss_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setattr(greedy_gradient, "try_gains", lambda _episodes, columns: np.full(columns.shape, np.nan))
    with pytest.raises(DataError, match="the loss of greedy_gradient is nan; are the reconstructions finite"):
        make_learner().round(make_episodes())
