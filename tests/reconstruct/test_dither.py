from dataclasses import replace

import numpy as np
from phantoms import make_volume

from mrikit.models import build_model
from mrikit.randomness import generator
from mrikit.reconstruct import Method, reconstruct_volume
from mrikit.reconstruct.dither import dither


def halves(dark=0.04, bright=1.0):
    image = np.full((2, 96, 128), bright, np.float32)
    image[:, :, :64] = dark
    return image


def test_noise_grows_with_the_root_of_the_local_median():
    noise = dither(halves(), 0.015, generator("a")) - halves()
    dark, bright = noise[:, :, :58].std(), noise[:, :, 70:].std()
    np.testing.assert_allclose([dark, bright], [0.015 * 0.2, 0.015], rtol=0.02)
    assert abs(noise.mean()) < 5e-4


def test_scale_does_not_matter_and_neither_does_one_bright_pixel():
    image = halves(bright=1.0)
    np.testing.assert_allclose(
        dither(7 * image, 0.1, generator("b")), 7 * dither(image, 0.1, generator("b")), rtol=0, atol=1e-5
    )
    spot = image.copy()
    spot[0, 40, 20] = 1.0
    changed = dither(spot, 0.1, generator("b")) != dither(image, 0.1, generator("b"))
    assert np.argwhere(changed).tolist() == [[0, 40, 20]]


def test_magnitudes_stay_such_and_nothing_stays_nothing():
    dithered = dither(halves(dark=1e-4), 1.0, generator("c"))
    assert dithered.min() == 0
    nothing = np.zeros((1, 16, 16), np.float32)
    assert not dither(nothing, 0.015, generator("c")).any()
    np.testing.assert_array_equal(dither(halves(), 0.0, generator("c")), halves())


def test_a_volume_is_dithered_the_same_every_time_and_says_so():
    volume, method = (
        make_volume(num_slices=2, num_coils=2, size=(32, 24), window=(16, 20)),
        Method(name="zero_filled", model=build_model("zero_filled"), dither=0.05),
    )
    plain = reconstruct_volume(volume, replace(method, dither=0.0), None)
    first, second = (reconstruct_volume(volume, method, None) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    expected = dither(plain.image, 0.05, generator(volume.info.volume_id, "dither"))
    np.testing.assert_array_equal(first.image, expected)
    np.testing.assert_array_equal(first.zero_filled, plain.zero_filled)
    assert (first.config["dither"], plain.config["dither"]) == (0.05, 0.0)
