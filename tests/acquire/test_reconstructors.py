import numpy as np
import pytest
import torch
from acquire.scans import SIZE, WINDOW, make_env, make_scans
from reconstruct.learned_weights import save_adaptive
from reconstruct.networks import save_unet

from mrikit.acquire.reconstructors import Reconstructor, as_reconstructor
from mrikit.data import center_crop
from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.reconstruct import ReconstructConfig, build_method


def image_of(what, num_coils=3, **settings):
    observation, _ = make_env(make_scans(num_coils=num_coils), what, observation_scale="data", **settings).reset(seed=1)
    return observation["reconstruction"][0]


@pytest.mark.parametrize("num_coils", [1, 3])
def test_a_name_a_method_a_model_and_a_function_are_the_same_reconstructor(num_coils):
    ways = (
        "zero_filled",
        build_method(ReconstructConfig(model="zero_filled")),
        build_model("zero_filled"),
        lambda masked_kspace, mask, num_center_lines: rss(ifft2c(masked_kspace)),
        as_reconstructor("zero_filled"),
    )
    images = [image_of(what, num_coils) for what in ways]
    assert all((image == images[0]).all() for image in images)


@pytest.mark.parametrize("name", ["cg_sense", "spirit", "grappa", "l1_wavelet"])
def test_classical_methods_beat_zero_filling_where_they_can(name):
    """With 12 of 28 lines in the middle and every second one outside."""
    mask = np.arange(SIZE[1]) % 2 == 0
    mask[8:20] = True
    scans = make_scans()

    def score(what):
        return make_env(scans, what, budget=1, initial=mask).reset(seed=1)[1]["ssim"]

    assert score(name) > score("zero_filled")


def test_weights_of_a_network_are_a_reconstructor(tmp_path):
    weights = tmp_path / "weights.safetensors"
    save_unet(weights)
    env = make_env(make_scans(), weights, observation_scale="data")
    observation, _ = env.reset(seed=1)
    image = observation["reconstruction"]
    method = build_method(ReconstructConfig(weights=weights))
    kspace = torch.from_numpy(env.episodes.slices.read(int(env.episodes.positions[0])).kspace[0].numpy())
    mask = torch.from_numpy(observation["mask"].astype(bool))
    with torch.inference_mode():
        expected = method.model(torch.where(mask, kspace, 0), mask[None, None, None], torch.tensor([6]))
    np.testing.assert_allclose(image, expected, rtol=1e-4, atol=1e-6)


def test_a_network_that_sees_the_window_alone_fills_the_middle():
    seen = []

    def windowed(masked_kspace, mask, num_center_lines):
        seen.append(tuple(masked_kspace.shape[-2:]))
        return rss(ifft2c(masked_kspace))

    image = image_of(Reconstructor(name="windowed", function=windowed, crops_before=True))
    assert set(seen) == {WINDOW}
    whole = image_of("zero_filled")
    assert image.shape == SIZE
    np.testing.assert_allclose(
        center_crop(image, WINDOW), center_crop(whole, WINDOW), rtol=0.2, atol=0.2 * float(whole.max())
    )
    assert image[0].max() == image[:, 0].max() == 0


def test_what_a_reconstructor_has_to_see_is_what_it_is_given():
    seen = {}

    def watch(masked_kspace, mask, num_center_lines):
        seen.update(shape=tuple(masked_kspace.shape), mask=tuple(mask.shape), centers=num_center_lines.tolist())
        kspace = masked_kspace[:, 1] if masked_kspace.ndim == 5 else masked_kspace
        return rss(ifft2c(kspace))

    image_of(Reconstructor(name="watch", function=watch, num_adjacent=3, num_coils=2))
    assert seen == {"shape": (1, 3, 2, *SIZE), "mask": (1, 1, 1, 1, SIZE[1]), "centers": [6]}
    image_of(Reconstructor(name="watch", function=watch, matrix=(20, 16)), budget=2)
    assert seen["shape"] == (1, 3, 20, 16)
    image_of(Reconstructor(name="watch", function=watch, max_readout=24))
    assert seen["shape"] == (1, 3, 24, SIZE[1])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("sense", "no reconstructor is called 'sense', and no file either; there are zero_filled, grappa"),
        ("", "no reconstructor is called '', and no file either"),
        (3, "a reconstructor is a name, a path of weights, a model or a function; found 3"),
        (build_method(ReconstructConfig(model="zero_filled", flips=True)), "zero_filled: .* no mirror images"),
    ],
)
def test_what_is_no_reconstructor_is_named_on_one_line(what, message):
    with pytest.raises(ConfigError, match=message) as error:
        as_reconstructor(what)
    assert "\n" not in str(error.value)


def test_images_of_another_shape_are_refused():
    with pytest.raises(DataError, match="<lambda> made images of 1 x 3 x 32 x 28; 1 x 32 x 28 would do"):
        image_of(lambda masked_kspace, mask, num_center_lines: masked_kspace.abs())


def test_what_is_no_image_is_refused():
    with pytest.raises(DataError, match=r"<lambda> made a NoneType; a tensor \(batch, y, x\) of images would do"):
        image_of(lambda masked_kspace, mask, num_center_lines: None)
    with pytest.raises(DataError, match="<lambda> made an image with NaN or infinity"):
        image_of(lambda masked_kspace, mask, num_center_lines: masked_kspace.abs()[:, 0] / 0)


def test_weights_that_choose_their_lines_are_no_reconstructor(tmp_path):
    with pytest.raises(ConfigError, match="adaptive_varnet chooses its lines itself"):
        as_reconstructor(save_adaptive(tmp_path / "w.safetensors"))
