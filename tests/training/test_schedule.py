import itertools
import math

import pytest

from mrikit.training import TrainingConfig
from mrikit.training.schedule import learning_rate


def rates(steps_per_epoch=10, **settings):
    config = TrainingConfig(**settings)
    return [learning_rate(step, steps_per_epoch, config) for step in range(config.num_epochs * steps_per_epoch)]


def test_the_rate_rises_in_equal_parts_from_a_first_step_that_learns():
    assert rates(num_epochs=4, max_lr=0.5, warmup_epochs=0.4)[:5] == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])


def test_the_cosine_goes_from_the_peak_through_the_middle_towards_its_end():
    found = rates(num_epochs=3, max_lr=3e-3, min_lr=1e-3, warmup_epochs=1)
    assert found[9] == found[10] == max(found) == 3e-3
    assert found[20] == pytest.approx(2e-3)
    # The last step is one before the end of the wave.
    assert found[-1] == pytest.approx(1e-3 + 1e-3 * (1 + math.cos(math.pi * 19 / 20)))
    assert all(before > after for before, after in itertools.pairwise(found[10:]))


def test_without_a_warm_up_the_first_step_has_the_highest_rate():
    assert rates(num_epochs=2, max_lr=1e-3)[0] == 1e-3


def test_a_step_schedule_multiplies_after_so_many_epochs():
    found = rates(num_epochs=5, max_lr=1.0, schedule="step", step_epochs=2, step_factor=0.1)
    assert found == pytest.approx([1.0] * 20 + [0.1] * 20 + [0.01] * 10)


def test_a_step_schedule_counts_its_epochs_from_the_beginning_of_the_run():
    found = rates(num_epochs=4, max_lr=1.0, warmup_epochs=1, schedule="step", step_epochs=2, step_factor=0.5)
    assert found[9:] == pytest.approx([1.0] * 11 + [0.5] * 20)


def test_a_warm_up_may_take_the_whole_run():
    assert rates(num_epochs=1, max_lr=1.0, warmup_epochs=1) == pytest.approx([0.1 * step for step in range(1, 11)])
