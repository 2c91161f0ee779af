"""What masks of full slices show, and what that is worth."""

import numpy as np
import pytest
import torch
from acquire.scans import SIZE, make_env, make_scans
from phantoms import make_volume

from mrikit.acquire.data import FullSlices
from mrikit.acquire.looking import acquired_lines, full_scan
from mrikit.acquire.reconstructors import as_reconstructor
from mrikit.errors import ConfigError


def both(reconstructor="zero_filled", volumes=None):
    ready = as_reconstructor(reconstructor)
    slices = FullSlices(volumes or make_scans(), ready)
    return full_scan([slices.read(place) for place in range(len(slices))], ready)


def lines_of(*columns):
    lines = torch.zeros(1, SIZE[1], dtype=torch.bool)
    lines[0, list(columns)] = True
    return lines


@pytest.mark.parametrize("reconstructor", ["zero_filled", "cg_sense"])
def test_a_mask_is_worth_what_the_environment_says(reconstructor):
    volumes = [make_volume(num_coils=3, size=SIZE, window=(20, 20))]  # square, as fastMRI scores it
    env = make_env(volumes, reconstructor, more_scores=("nmse", "psnr"))
    env.reset(seed=0)
    full = both(reconstructor, volumes)
    for column in (3, 20):
        _, _, _, _, info = env.step(column)
        found = full.measure_lines(
            torch.tensor([info["slice"]]), torch.from_numpy(env.episodes.mask), ("ssim", "nmse", "psnr")
        )
        for name, value in found.items():
            assert value[0] == pytest.approx(info[name], rel=1e-5)


def test_what_is_higher_than_wide_is_compared_in_a_square():
    volume = make_volume(num_coils=3, size=SIZE, window=(24, 20))
    whole, square = both(volumes=[volume]), both(volumes=[make_volume(num_coils=3, size=SIZE, window=(20, 20))])
    masks = lines_of(*range(8, 20)), torch.tensor([0])
    first, second = (full.measure_lines(masks[1], masks[0], ("nmse",))["nmse"] for full in (whole, square))
    assert first == pytest.approx(second)


def test_all_lines_show_the_reference():
    full = both()
    everything = torch.ones(4, SIZE[1], dtype=torch.bool)
    found = full.measure_lines(torch.arange(4), everything, ("ssim", "nmse"))
    assert np.allclose(found["ssim"], 1)
    assert np.allclose(found["nmse"], 0, atol=1e-9)


def test_errors_count_negative_for_an_oracle():
    full, images = both(), torch.tensor([0, 0])
    masks = torch.cat([lines_of(*range(12, 16)), lines_of(*range(8, 20))])
    for name in ("ssim", "nmse"):
        few, many = full.score(name)(images, masks).tolist()
        assert many > few
    assert max(full.score("nmse")(images, masks)) < 0


def test_a_score_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="an oracle scores by ssim, psnr, nmse, mse, found 'mae'"):
        both().score("mae")


def test_what_the_scanner_did_not_acquire_cannot_be_measured():
    slices = FullSlices(make_scans(num_volumes=1), as_reconstructor("zero_filled"))
    assert acquired_lines(slices.read(0)).all()
