import numpy as np
import pytest

from mrikit.errors import ConfigError
from mrikit.masks.kinds.center import center_block
from mrikit.masks.kinds.cvpr19 import FAMILIES, published_counts

WIDTHS = [64, 65]


def draw(name, width, num_low=10, num_high=12, seed=0):
    return FAMILIES[name](width, num_low, num_high, np.random.RandomState(seed))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_holds_the_middle(name, width):
    middle = center_block(width, 10)
    for seed in range(5):
        assert draw(name, width, seed=seed)[middle].all()


@pytest.mark.parametrize("width", WIDTHS)
def test_as_many_lines_are_drawn_as_asked_for(width):
    for seed in range(5):
        assert draw("basic", width, num_high=13, seed=seed).sum() == 23
        assert draw("symmetric", width, seed=seed).sum() == 22 + width % 2
        assert draw("low_to_high", width, num_high=13, seed=seed).sum() == 23


@pytest.mark.parametrize("width", WIDTHS)
def test_symmetric_families_are_their_own_mirror_images(width):
    for seed in range(5):
        lines = draw("symmetric", width, seed=seed)
        assert np.array_equal(lines, lines[::-1])
        grid = draw("symmetric_grid", width, num_low=0, seed=seed)[: width - width % 2]
        assert np.array_equal(grid, grid[::-1])


def test_a_grid_counts_from_the_middle():
    steps = set()
    for seed in range(12):
        places = np.flatnonzero(draw("grid", 64, num_low=2, seed=seed)) - 32
        outside = places[(places != 0) & (places != -1)]
        steps |= {int(np.gcd.reduce(outside))}
    assert steps == {4, 8, 16}


def test_the_same_seed_draws_the_same_lines_and_others_differ():
    for name in ("basic", "symmetric"):
        assert np.array_equal(draw(name, 64, seed=3), draw(name, 64, seed=3))
        assert not np.array_equal(draw(name, 64, seed=3), draw(name, 64, seed=4))


@pytest.mark.parametrize("name", FAMILIES)
def test_all_lines_and_none_outside_can_be_asked_for(name):
    assert draw(name, 64, num_low=64, num_high=0).all()
    if "grid" not in name:
        assert draw(name, 64, num_low=4, num_high=60).all()
        assert draw(name, 64, num_low=2, num_high=0).sum() == 2


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("num_low", "num_high"), [(40, 30), (-1, 4), (4, -1)])
def test_more_lines_than_there_are_are_refused(name, num_low, num_high):
    message = rf"^a mask of 64 lines has 0 or more in the middle and outside, found {num_low}, {num_high}$"
    with pytest.raises(ConfigError, match=message):
        draw(name, 64, num_low=num_low, num_high=num_high)


def test_counts_are_even_and_within_their_bounds():
    rng = np.random.RandomState(0)
    drawn = [published_counts(64, rng, (4, 8), (1, 2)) for _ in range(200)]
    assert {low for low, _ in drawn} == {4, 6}
    assert all(high % 2 == 0 and 0 <= high <= 64 - low for low, high in drawn)
    assert len({high for _, high in drawn}) > 10


@pytest.mark.parametrize("num_low", [(4, 4), (-2, 4), (4, 66)])
def test_bounds_that_hold_no_number_are_refused(num_low):
    with pytest.raises(ConfigError, match=r"^lines in the middle are from a number to one above it, at most 64, found"):
        published_counts(64, np.random.RandomState(0), num_low, (1, 5))
