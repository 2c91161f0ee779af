"""What double Q-learning plays and learns from, on volumes of which the scanner acquired the middle."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import make_volume

from mrikit.acquire.config import AcquireConfig
from mrikit.acquire.data import open_slices
from mrikit.acquire.episodes import Episodes
from mrikit.acquire.learning.config import EpisodeConfig, LearningConfig, PolicyRunConfig
from mrikit.acquire.learning.loop import new_learner
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.acquire.starts import given_lines

SIZE, ACQUIRED = (16, 20), (3, 17)
GIVEN, BUDGET, ROWS = 4, 3, 24


def half_filled(number):
    volume = make_volume(2, 1, SIZE, (12, 12), volume_id=f"file{number}")
    kspace = np.array(volume.kspace)
    kspace[..., : ACQUIRED[0]] = kspace[..., ACQUIRED[1] :] = 0
    return volume.replaced(kspace=kspace, info=replace(volume.info, padding=ACQUIRED))


@pytest.fixture
def episodes():
    ready, config = as_reconstructor("zero_filled"), AcquireConfig(score="nmse", taken="refuse")
    slices = open_slices([half_filled(0), half_filled(1)], ready, config)
    return Episodes(slices, ready, given_lines(GIVEN, SIZE[1]), BUDGET, config, ROWS)


def make_learner(**settings):
    config = PolicyRunConfig(
        task="knee_acquire",
        size="tiny",
        policy="ds_ddqn",
        policy_config={"burn_in": ROWS, "batch_size": 32, **settings},
        episode=EpisodeConfig(num_given=GIVEN, budget=BUDGET),
        learning=LearningConfig(num_rows=ROWS),
    )
    return new_learner(config, SIZE, torch.device("cpu"))


def test_each_row_explores_by_itself(episodes):
    learner = make_learner(first_exploration=0.5, decay_steps=1e9)
    learner.round(episodes)
    is_new = episodes.mask & ~episodes.given.lines(GIVEN)
    chosen = is_new.argmax(1)
    # Of the best line's rows about half drew another one: a batch that explores together has all of one kind.
    most = np.bincount(chosen).max()
    assert ROWS / 4 < most < 3 * ROWS / 4


def test_it_learns_from_lines_alone_that_can_be_measured_afterwards(episodes, monkeypatch):
    learner, seen = make_learner(), []
    update = learner._learning.update
    monkeypatch.setattr(learner._learning, "update", lambda batch: seen.append(batch) or update(batch))
    for _ in range(BUDGET):
        learner.round(episodes)
    is_acquired = (np.arange(SIZE[1]) >= ACQUIRED[0]) & (np.arange(SIZE[1]) < ACQUIRED[1])
    assert len(seen) == BUDGET
    for batch in seen:
        assert torch.equal(batch.next_free, torch.from_numpy(is_acquired) & ~batch.next_mask)
        assert is_acquired[batch.line].all()
