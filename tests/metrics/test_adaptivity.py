import numpy as np
import pytest

from mrikit.errors import DataError
from mrikit.metrics import line_information, measure_adaptivity


@pytest.mark.parametrize("row", [[0, 1, 1, 0], [0.5, 0.2, 0.9, 0.4]])
def test_the_same_for_every_image_tells_nothing_of_it(row):
    found = measure_adaptivity(np.tile(row, (7, 1)))
    assert found.information_bits == pytest.approx(0, abs=1e-12)
    assert found.marginal_bits == pytest.approx(found.conditional_bits)


def test_a_mask_that_always_stays_the_same_has_no_entropy_at_all():
    found = measure_adaptivity(np.tile([True, False, True], (5, 1)))
    assert (found.marginal_bits, found.conditional_bits, found.information_bits) == (0, 0, 0)


def test_a_line_for_one_half_of_the_images_tells_one_bit():
    masks = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 1], [0, 1, 1]], bool)
    assert line_information(masks).tolist() == [1, 1, 0]
    assert measure_adaptivity(masks).information_bits == 2


def test_chance_is_no_information():
    """Half is drawn by a coin, whatever the image; the same masks alone would look adaptive."""
    found = measure_adaptivity(np.full((4, 2), 0.5))
    assert (found.marginal_bits, found.conditional_bits, found.information_bits) == (2, 2, 0)


def test_a_noisy_choice_tells_the_capacity_of_a_binary_channel():
    error = 0.11
    chances = np.array([[error], [1 - error]])
    bits = 1 + error * np.log2(error) + (1 - error) * np.log2(1 - error)
    assert line_information(chances)[0] == pytest.approx(bits)
    assert line_information(chances.astype(np.float32))[0] == pytest.approx(bits, rel=1e-5)


@pytest.mark.parametrize(
    ("chances", "message"),
    [
        (np.zeros((0, 4)), r"needs probabilities \(slice, phase\) of at least one slice, found \(0, 4\)"),
        (np.zeros(4), r"needs probabilities \(slice, phase\) of at least one slice, found \(4,\)"),
        (np.array([[0.5, 3.0]]), "needs probabilities from 0 to 1, found others; are they logits"),
        (np.array([[0.5, np.nan]]), "needs probabilities from 0 to 1, found others; are they logits"),
    ],
)
def test_what_is_no_probability_is_one_clear_line(chances, message):
    with pytest.raises(DataError, match=message):
        measure_adaptivity(chances)
