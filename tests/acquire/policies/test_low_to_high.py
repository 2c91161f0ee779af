import pytest
from episodes import choose, follow

from mrikit.acquire.policies import LowToHigh
from mrikit.errors import DataError


@pytest.mark.parametrize(
    ("width", "is_centered", "expected"),
    [
        (8, True, [4, 3, 5, 2, 6, 1, 7, 0]),
        (7, True, [3, 2, 4, 1, 5, 0, 6]),
        (8, False, [0, 7, 1, 6, 2, 5, 3, 4]),
        (7, False, [0, 6, 1, 5, 2, 4, 3]),
        (1, True, [0]),
    ],
)
def test_sides_alternate_from_the_zero_frequency_to_the_last_line(width, is_centered, expected):
    policy = LowToHigh(is_centered=is_centered)
    assert follow(policy, [[]], width, width) == [[line] for line in expected]


@pytest.mark.parametrize(
    ("width", "is_centered", "expected"),
    [(8, True, [4, 5, 6, 7, 3, 2, 1, 0]), (7, True, [3, 4, 5, 6, 2, 1, 0]), (7, False, [0, 1, 2, 3, 6, 5, 4])],
)
def test_one_side_after_the_other_each_from_low_to_high(width, is_centered, expected):
    policy = LowToHigh(alternates_sides=False, is_centered=is_centered)
    assert follow(policy, [[]], width, width) == [[line] for line in expected]


@pytest.mark.parametrize("width", [20, 21])
def test_an_episode_takes_the_same_lines_whatever_its_batch(width):
    starts = [[10], [8, 11], [9, 10, 11, 12, 13, 14], [0, 19]]
    for policy in (LowToHigh(), LowToHigh(alternates_sides=False)):
        together = follow(policy, starts, width, 10)
        alone = [follow(policy, [start], width, 10) for start in starts]
        assert together == [[line for (line,) in step] for step in zip(*alone, strict=True)]


def test_episodes_of_one_batch_may_be_at_different_decisions():
    assert choose(LowToHigh(), [[4], [4]], 8, num_decisions=[0, 1]) == [5, 3]


def test_a_full_side_leaves_its_turn_to_the_other_one_from_low_to_high():
    assert choose(LowToHigh(), [[4, 5, 6, 7]], 8, num_decisions=2) == [3]


def test_a_full_mask_is_refused():
    with pytest.raises(DataError, match="no line is free in an order of 3 lines; a smaller budget"):
        choose(LowToHigh(), [[0, 1, 2]], 3)
