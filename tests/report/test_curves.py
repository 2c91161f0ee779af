import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from trained_run import train_row, validation_row, write_run

from mrikit.report.curves import ACCENT, WARM, draw_curves, smooth
from mrikit.report.training import find_training_runs


def curves_of(folder, rows):
    write_run(folder / "run", rows)
    (run,) = find_training_runs(folder)
    return draw_curves(run)


def pixels(curve):
    kind, content = curve.image.split(",")
    assert kind == "data:image/png;base64"
    return imread(io.BytesIO(base64.b64decode(content)), format="png")[..., :3]


def places(curve, color):
    """(row, column) of the pixels of a colour, relative to the size of the picture; rows count from the top."""
    image = pixels(curve)
    found = np.argwhere(np.abs(image - to_rgb(color)).max(-1) < 0.02)
    assert len(found)
    return found / image.shape[:2]


def test_a_run_has_a_picture_of_each_that_it_has_numbers_of(tmp_path):
    rows = [train_row(step, 2.0 - step / 10) for step in range(1, 11)]
    loss, rate = curves_of(tmp_path / "young", rows)
    assert loss.alt == "Training loss from 1.9 at step 1 to 1 at step 10"
    assert rate.alt == "Learning rate, 0.0003 at most and 0.0003 at the end"
    loss, ssim, rate = curves_of(tmp_path / "older", [*rows, validation_row(1, 0.81)])
    assert ssim.alt == "Validation SSIM after each of 1 validations, 0.8100 after the last"
    assert loss.width + ssim.width + rate.width == pytest.approx(1)
    assert curves_of(tmp_path / "empty", []) == []


def test_a_falling_loss_falls_in_the_picture(tmp_path):
    loss, _ = curves_of(tmp_path, [train_row(step, 1 - step / 100) for step in range(1, 51)])
    line = places(loss, ACCENT)
    left, right = line[line[:, 1] < 0.3], line[line[:, 1] > 0.8]
    assert left[:, 0].max() < 0.4 < 0.65 < right[:, 0].min()


def test_the_best_validation_is_marked_where_it_is(tmp_path):
    rows = [train_row(1), *(validation_row(n, ssim) for n, ssim in enumerate([0.5, 0.9, 0.6, 0.6, 0.6], 1))]
    _, ssim, _ = curves_of(tmp_path, rows)
    image = places(ssim, WARM)
    ring = image[(image[:, 0] > 0.1) & (image[:, 0] < 0.3)]
    columns = np.histogram(ring[:, 1], np.linspace(0.12, 0.98, 6))[0]
    assert columns.argmax() == 1


@pytest.mark.parametrize("num_steps", [1, 2, 10_000])
def test_few_and_many_steps_are_drawn(tmp_path, num_steps):
    noise = np.random.default_rng(0).uniform(0.1, 0.9, num_steps)
    rows = [train_row(step, float(loss), lr=0.0) for step, loss in enumerate(noise, 1)]
    for curve in curves_of(tmp_path, rows):
        assert len(places(curve, ACCENT)) > 20


def test_losses_of_many_sizes_and_of_either_sign_are_drawn(tmp_path):
    wide, _ = curves_of(tmp_path / "wide", [train_row(step, 10.0**-step) for step in range(1, 9)])
    column = places(wide, ACCENT)
    heights = [column[np.abs(column[:, 1] - x) < 0.05][:, 0].mean() for x in (0.3, 0.6, 0.9)]
    assert np.diff(heights) == pytest.approx([np.mean(np.diff(heights))] * 2, rel=0.25)  # decades are even
    signed, _ = curves_of(tmp_path / "signed", [train_row(step, 3.0 - step) for step in range(1, 9)])
    assert len(places(signed, ACCENT)) > 20


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=700))
def test_smoothing_is_the_mean_of_neighbors_on_both_sides(values):
    means, num_values = smooth(values)
    half = num_values // 2
    expected = []
    for index in range(len(values)):
        reach = min(half, index, len(values) - 1 - index)
        expected.append(np.mean(values[index - reach : index + reach + 1]))
    np.testing.assert_allclose(means, expected, atol=1e-8)


def test_smoothing_is_light():
    assert smooth([1.0] * 10)[1] == 1
    assert smooth([1.0] * 1000)[1] == 21
    means, _ = smooth(list(range(1000)))
    np.testing.assert_allclose(means, range(1000))  # a straight line stays where it is
