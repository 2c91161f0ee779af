import base64
import io

import numpy as np
from matplotlib.image import imread
from report.test_learned import LINES, run_of
from report.test_page import read

from mrikit.report import write_report
from mrikit.report.film import MAX_FRAMES, frames_of
from mrikit.report.learned import learned_patterns


def pixels(uri):
    """(y, x) levels of a grey picture, 0 or more."""
    return np.rint(255 * imread(io.BytesIO(base64.b64decode(uri.split(",")[1])), format="png")).astype(int)


def frames(folder, epochs):
    (pattern,) = learned_patterns(run_of(folder, epochs))
    return frames_of(pattern)


def patterns(num_epochs, shape=(6, 5)):
    rng = np.random.default_rng(0)
    return {epoch: {"4x": rng.permutation(np.arange(np.prod(shape)) < 8).reshape(shape)} for epoch in range(num_epochs)}


def test_a_film_has_first_and_last_and_some_between(tmp_path):
    shown = frames(tmp_path, patterns(40))
    assert len(shown) == MAX_FRAMES
    assert shown[0].caption == "the start"
    assert shown[-1].caption == "epoch 39"
    numbers = [int(frame.caption.split()[1]) for frame in shown[1:]]
    assert np.ptp(np.diff(numbers)) <= 1


def test_a_frame_is_the_mask(tmp_path):
    epochs = patterns(3)
    for frame, arrays in zip(frames(tmp_path, epochs), epochs.values(), strict=True):
        shown = pixels(frame.image)
        times = shown.shape[0] // 6
        assert np.array_equal(shown, 255 * np.kron(arrays["4x"], np.ones((times, times))))


def test_lines_are_bars_in_one_row(tmp_path):
    shown = pixels(frames(tmp_path, {epoch: {"4x": lines} for epoch, lines in LINES.items()})[1].image)
    assert shown.shape[0] == 1
    assert np.array_equal(shown[0, :: shown.shape[1] // 8], 255 * np.array(LINES[1]))


def test_shares_are_levels_of_grey(tmp_path):
    (frame,) = frames(tmp_path, {1: {"acquired": [0, 0.2, 0.6, 1]}})
    shown = pixels(frame.image)[0]
    assert shown[:: len(shown) // 4].tolist() == [0, 51, 153, 255]


def test_the_page_shows_masks_and_how_they_changed(tmp_path):
    epochs = {epoch: {"4x": lines, "4x probabilities": np.full(8, 0.5)} for epoch, lines in LINES.items()}
    run_of(tmp_path, epochs, best=1)
    page = read(write_report(tmp_path / "run"))
    assert "Learned mask, 4x white is measured; the weights that were kept are those of epoch 1" in page.text
    alts = [image["alt"] for image in page.images]
    assert alts[-5:] == [
        "Learned mask, 4x, the start",
        "Learned mask, 4x, epoch 1",
        "Learned mask, 4x, epoch 2",
        "What 4x measures after epoch 1",
        "4x: 100 % changed since the start",
    ]


def test_a_single_epoch_of_a_policy_has_no_curves_of_change(tmp_path):
    run_of(tmp_path, {1: {"acquired": [0, 0.2, 0.6, 1]}})
    page = read(write_report(tmp_path / "run"))
    assert page.images[-1]["alt"] == "What acquired measures after epoch 1"


def test_policies_are_compared_with_their_first_epoch(tmp_path):
    run_of(tmp_path, {1: {"acquired": [1, 0.5, 0.5, 0]}, 2: {"acquired": [1, 0.25, 0.5, 0.25]}})
    page = read(write_report(tmp_path / "run"))
    assert "Lines chosen for each slice the brighter a line, the more slices measured it" in page.text
    assert page.images[-1]["alt"] == "acquired: 12.5 % changed since epoch 1"
