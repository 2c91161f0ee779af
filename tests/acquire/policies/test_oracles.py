import itertools

import pytest
import torch
from episodes import choose, follow, masks_of
from phantoms import make_kspace

from mrikit.acquire.policies import OneStepOracle, greedy_order
from mrikit.errors import ConfigError, DataError
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.physics.sampling import keep
from mrikit.randomness import generator

WIDTH = 10
WORTH = torch.tensor([[3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3], [2.0, 7, 1, 8, 2, 8, 1, 8, 2, 8]])


def worth(images, masks):
    """Each line of each image has a worth, whatever else is measured."""
    return (WORTH[images] * masks).sum(-1)


def nmse_of(kspace):
    """Minus the NMSE of zero-filled images of (image, coil, readout, phase) k-space."""
    references = rss(ifft2c(kspace))

    def score(images, masks):
        found = rss(ifft2c(keep(kspace[images], masks[:, None, None])))
        return -(found - references[images]).square().sum((-2, -1)) / references[images].square().sum((-2, -1))

    return score


def test_the_best_free_line_of_each_image_is_taken_and_of_equals_the_first():
    assert follow(OneStepOracle(score=worth), [[], [1]], WIDTH, 4) == [[5, 3], [7, 5], [4, 7], [8, 9]]


def test_it_finds_the_line_with_which_the_image_is_best():
    kspace = torch.stack([make_kspace(2, (12, WIDTH)), make_kspace(2, (12, WIDTH)).flip(-1)])
    score, starts = nmse_of(kspace), [[5], [4, 5]]
    for image, (start, line) in enumerate(zip(starts, choose(OneStepOracle(score=score), starts, WIDTH), strict=True)):
        masks = masks_of([[*start, other] for other in range(WIDTH)], WIDTH)
        scores = score(torch.full((WIDTH,), image), masks)
        scores[start] = -torch.inf
        assert line == scores.argmax()


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_masks_are_scored_together_and_never_more_than_asked(batch_size):
    sizes = []

    def score(images, masks):
        sizes.append(len(masks))
        return worth(images, masks)

    assert choose(OneStepOracle(score=score, batch_size=batch_size), [[], [1]], WIDTH) == [5, 3]
    assert sum(sizes) == 19
    assert max(sizes) == min(batch_size, 19)


def best_of(tried):
    """The line of image 1 that is worth most, after lines 0 and 1."""
    lines = [next(line for line in range(2, WIDTH) if mask[line]) for _, mask in tried]
    return max(lines, key=lambda line: float(WORTH[1, line]))


def test_tried_lines_are_free_ones_drawn_by_each_images_generator():
    tried = []

    def score(images, masks):
        tried.extend(zip(images.tolist(), masks.tolist(), strict=True))
        return worth(images, masks)

    policy = OneStepOracle(score=score, num_samples=3)
    lines = choose(policy, [[0], [0, 1]], WIDTH, generators=[generator(0), generator(1)])
    first = tried[:]
    assert [image for image, _ in first] == [0, 0, 0, 1, 1, 1]
    assert len({tuple(mask) for _, mask in first[:3]}) == 3
    assert all(sum(mask) == 2 + image for image, mask in first)
    assert lines[1:] == [best_of(first[3:])]
    assert choose(OneStepOracle(score=worth, num_samples=50), [[0], [0, 1]], WIDTH) == [5, 3]


def test_an_order_for_all_images_adds_the_line_of_the_best_mean():
    mean = WORTH.mean(0)
    expected = sorted(set(range(WIDTH)) - {5}, key=lambda line: (-mean[line], line))
    start, free = masks_of([[5], set(range(WIDTH)) - {5}], WIDTH)
    order = greedy_order(worth, start, free, num_images=2, budget=9, batch_size=4).order
    assert list(order) == expected


def test_an_order_has_no_lines_that_the_scanner_cannot_measure():
    start, free = masks_of([[5], [0, 3, 8]], WIDTH)
    assert set(greedy_order(worth, start, free, num_images=2, budget=3).order) == {0, 3, 8}


def test_the_order_is_better_than_any_single_change_of_its_first_line():
    kspace = torch.stack([make_kspace(2, (12, WIDTH)), make_kspace(2, (12, WIDTH)).flip(-2)])
    score, start = nmse_of(kspace), masks_of([[5]], WIDTH)[0]
    order = greedy_order(score, start, ~start, num_images=2, budget=2).order
    images = torch.arange(2)

    def mean(*lines):
        return float(score(images, masks_of([[5, *lines]] * 2, WIDTH)).mean())

    free = [line for line in range(WIDTH) if line != 5]
    assert mean(order[0]) == max(mean(line) for line in free)
    assert mean(*order) == max(mean(order[0], line) for line in free if line != order[0])
    assert len(set(itertools.chain(order, [5]))) == 3


def test_an_order_for_all_images_is_for_their_width():
    assert greedy_order(worth, *masks_of([[5], [0, 3]], WIDTH), num_images=2, budget=1).width == WIDTH


@pytest.mark.parametrize("budget", [0, 10])
def test_a_budget_beyond_the_free_columns_is_refused(budget):
    with pytest.raises(ConfigError, match=f"1 to the 9 free of 10 columns, found {budget}"):
        greedy_order(worth, *masks_of([[5], set(range(WIDTH)) - {5}], WIDTH), num_images=2, budget=budget)


def test_an_order_needs_images():
    with pytest.raises(ConfigError, match="at least 1 image"):
        greedy_order(worth, *masks_of([[5], set(range(WIDTH)) - {5}], WIDTH), num_images=0, budget=2)


@pytest.mark.parametrize("settings", [{"num_samples": 0}, {"batch_size": 0}])
def test_trying_nothing_is_refused(settings):
    with pytest.raises(ConfigError, match="tries at least 1 line"):
        OneStepOracle(score=worth, **settings)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="scores that are no numbers"):
        choose(OneStepOracle(score=lambda images, masks: torch.full((len(masks),), torch.nan)), [[]], WIDTH)


def test_a_full_mask_is_refused():
    with pytest.raises(DataError, match="none of the 10 lines of an episode is free"):
        choose(OneStepOracle(score=worth), [range(WIDTH), [0, 1]], WIDTH)
