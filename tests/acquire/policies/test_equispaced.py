import numpy as np
import pytest
from episodes import choose, follow

from mrikit.acquire.policies import Equispaced
from mrikit.errors import DataError


def gaps(columns, width):
    lines = np.sort(columns)
    return np.diff([*lines, lines[0] + width])


def test_gaps_are_halved_from_the_middle_outwards():
    lines = [line for (line,) in follow(Equispaced(), [[]], 16, 16)]
    assert lines[:8] == [8, 0, 12, 4, 10, 6, 14, 2]
    assert sorted(lines) == list(range(16))


@pytest.mark.parametrize("width", [32, 37])
def test_after_any_number_of_lines_the_widest_gap_is_at_most_about_twice_the_narrowest(width):
    lines = [line for (line,) in follow(Equispaced(), [[]], width, width)]
    for number in range(2, width):
        found = gaps(lines[:number], width)
        assert found.max() <= 2 * found.min() + 1


def test_given_lines_are_gone_around():
    lines = [line for (line,) in follow(Equispaced(), [[6, 7, 8, 9]], 16, 3)]
    assert lines == [15, 12, 3]


def test_each_episode_has_its_own_gaps():
    assert choose(Equispaced(), [[8], [0]], 16) == [0, 8]


def test_a_full_mask_is_refused():
    with pytest.raises(DataError, match="none of the 2 lines of an episode is free"):
        choose(Equispaced(), [[0, 1]], 2)
