import numpy as np
import pytest

from mrikit.errors import ConfigError
from mrikit.masks.descent import coordinate_descent, num_errors

WIDTH = 24
COST = np.random.RandomState(0).permutation(WIDTH).astype(float)
CENTER = np.isin(np.arange(WIDTH), (11, 12))


def start(num_lines=6):
    lines = CENTER.copy()
    lines[: num_lines - 2] = True
    return lines


def cost(samples):
    return float(COST[samples.ravel()].sum())


def descend(error=cost, first=None, center=CENTER, seed=0, **more):
    return coordinate_descent(error, start() if first is None else first, center, np.random.default_rng(seed), **more)


def test_the_best_lines_are_found_where_lines_do_not_depend_on_each_other():
    samples, errors = descend()
    free = np.flatnonzero(~CENTER)
    best = free[np.argsort(COST[free])[:4]]
    assert set(np.flatnonzero(samples)) == {11, 12, *best.tolist()}
    assert errors == [cost(start()), cost(samples)]


def test_budget_and_center_stay_and_the_error_never_rises():
    def coupled(samples):  # gaps that differ cost, so that each line depends on its neighbours
        return float(np.var(np.diff(np.flatnonzero(samples))))

    for seed in range(3):
        samples, errors = descend(coupled, seed=seed, num_passes=4, candidates_per_line=5)
        assert samples.sum() == start().sum()
        assert samples[CENTER].all()
        assert (np.diff(errors) <= 0).all()
        assert errors[-1] == coupled(samples) < errors[0]


def test_nothing_else_is_tried_once_a_whole_pass_moved_nothing():
    samples, errors = descend(num_passes=9)
    assert len(errors) == 3
    assert errors[1] == errors[2] == cost(samples)


def test_a_tile_descends_as_lines_do():
    tile = np.zeros((4, 6), bool)
    tile[0, :4] = True
    samples, errors = descend(first=tile, center=np.zeros((4, 6), bool))
    assert samples.shape == (4, 6)
    assert errors[-1] == 0 + 1 + 2 + 3


def test_the_generator_alone_decides():
    one, same, other = (descend(seed=seed, candidates_per_line=1, num_passes=1).samples for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("candidates", [0, 3, 100])
def test_the_number_of_errors_is_known_before(candidates):
    tried = []
    descend(candidates_per_line=candidates, num_passes=2, on_error=tried.append)
    assert len(tried) <= num_errors(start(), CENTER, 2, candidates)
    descend(candidates_per_line=candidates, num_passes=1, on_error=(one := []).append)
    assert len(one) == num_errors(start(), CENTER, 1, candidates)


def test_the_first_mask_is_not_changed():
    first = start()
    descend(first=first)
    assert (first == start()).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"center": CENTER[1:]}, r"a mask of \(24,\) cannot have a centre of \(23,\)"),
        ({"num_passes": 0}, "1 or more passes and 0 or more candidates, found 0 and 0"),
        ({"candidates_per_line": -1}, "found 1 and -1"),
    ],
)
def test_what_cannot_be_is_one_clear_line(change, message):
    with pytest.raises(ConfigError, match=message):
        descend(**change)
