import base64
import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from mrikit.report.picture import color_ramp, error_picture, gray_picture


def decode(uri):
    kind, content = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.rint(255 * imread(io.BytesIO(base64.b64decode(content)), format="png")).astype(int)


def test_a_gray_picture_has_the_exact_pixels_of_its_array():
    image = np.linspace(0, 2, 15).reshape(3, 5)
    np.testing.assert_array_equal(decode(gray_picture(image, 2.0)), np.rint(image * 127.5))


def test_values_beyond_the_window_are_clipped_and_nan_is_black():
    found = decode(gray_picture(np.array([[-1.0, 0.5, 7.0, np.nan, np.inf]]), 1.0))
    assert found.tolist() == [[0, 128, 255, 0, 255]]


def test_an_error_picture_is_colored_by_the_colormap():
    error = np.linspace(0, 1, 256)[None]
    expected = mpl.colormaps["inferno"](np.arange(256), bytes=True)[None, :, :3]
    np.testing.assert_array_equal(decode(error_picture(error, 1.0))[..., :3], expected)


def test_the_ramp_shows_the_colors_of_errors_in_order():
    assert color_ramp() == error_picture(np.arange(256)[None], 255)


@pytest.mark.parametrize("picture", [gray_picture, error_picture])
def test_an_empty_window_gives_a_black_picture(picture):
    assert decode(picture(np.ones((2, 2)), 0.0)).reshape(4, -1)[:, :3].max() <= 4
