import pytest

from mrikit.acquire.learning.exploration import exploration


def test_exploration_falls_by_the_same_share_in_equal_times():
    chances = [exploration(num, decay_steps=100, first=0.9, last=0.1) for num in (0, 100, 200, 10**6)]
    assert chances[0] == 0.9
    assert (chances[1] - 0.1) / (chances[0] - 0.1) == pytest.approx((chances[2] - 0.1) / (chances[1] - 0.1))
    assert chances[3] == pytest.approx(0.1)
