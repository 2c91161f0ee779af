"""What is measured of a network against banding, and when it has failed."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from training.objectives.test_adversary import AGAINST, corner_volume

from mrikit.data import SliceDataset
from mrikit.errors import DataError
from mrikit.models.classical import ZeroFilled, ZeroFilledConfig
from mrikit.models.orientation_discriminators import Discriminators
from mrikit.models.output import Output
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c
from mrikit.runs.interrupts import StopRequest
from mrikit.runs.process import Process
from mrikit.training.adversary_config import AdversaryTraining
from mrikit.training.objectives.banding import bounded_banding, failure, validate_both_orientations

ALONE = Process(rank=0, world_size=1, device=torch.device("cpu"), store=None)
START = {"ssim": 0.9, "lowest_slice_ssim": 0.8, "contrast": 0.9}


class AsMeasured(nn.Module):
    """Zero-filled images, a little brighter, so that none is without an error."""

    def __init__(self):
        super().__init__()
        self.method = ZeroFilled(ZeroFilledConfig())

    def forward(self, *inputs):
        return Output(1.001 * self.method(*inputs))


class ByDirection(nn.Module):
    """Tells by the axis along which an image, which is turned back, is blurred: lines are missing along it."""

    def forward(self, inputs):
        along_y, along_x = (inputs[:, :1].diff(dim=dim).square().mean((2, 3)) for dim in (-2, -1))
        return along_x - along_y


class Brightest(nn.Module):
    """Tells how far the brightest pixel stands out."""

    def forward(self, inputs):
        return inputs[:, :1].amax((2, 3))


def validated(*volumes, discriminators=None, **data):
    config = replace(AGAINST.data, **data)
    judges = discriminators or ByDirection()
    return validate_both_orientations(AsMeasured(), judges, SliceDataset(list(volumes)), config, ALONE, StopRequest())


def test_full_images_have_no_banding_and_say_nothing_of_their_orientation():
    found = validated(corner_volume("v0"), corner_volume("v1"), accelerations=(1.0,), center_fractions=(0.125,))
    assert found.score == found.numbers["abs_banding_db"] < 0.01
    assert found.numbers["ssim"] > 0.999
    assert found.numbers["accuracy"] == 0.5
    assert found.numbers["contrast"] == pytest.approx(1.001, abs=1e-4)
    assert found.numbers["logit_upright"] == pytest.approx(found.numbers["logit_transposed"], abs=1e-5)


def test_aliases_along_one_axis_are_banding_and_give_the_orientation_away():
    found = validated(corner_volume("v0"), corner_volume("v1"))
    assert found.numbers["abs_banding_db"] > 1
    assert found.numbers["abs_banding_db"] >= abs(found.numbers["banding_db"])
    assert found.numbers["logit_transposed"] > 0 > found.numbers["logit_upright"]
    assert found.numbers["accuracy"] == 1
    assert found.numbers["lowest_slice_ssim"] <= found.numbers["ssim"] + 1e-6


def test_banding_of_the_transposed_scan_counts_as_much():
    image = torch.zeros(2, 2, 64, 64, dtype=torch.complex64)
    image[:, :, 4:12] = 1  # the same along x: of the scan as it lies the lines in the middle hold everything
    bar = corner_volume("v0").replaced(kspace=fft2c(image).numpy(), reference=rss(image).numpy())
    found = validated(bar).numbers
    assert found["ssim"] > 0.999 > found["transposed_ssim"]
    assert found["abs_banding_db"] > 1
    assert found["banding_db"] > 1


def test_discriminators_are_shown_what_they_were_trained_on():
    torch.manual_seed(0)
    judges, (volume, config) = Discriminators("narrow", 1), (corner_volume("v0"), AGAINST.data)
    found = [
        validate_both_orientations(
            AsMeasured(), one, SliceDataset([volume]), config, ALONE, StopRequest(), sees_dark=sees_dark
        ).numbers["logit_upright"]
        for one, sees_dark in ((judges, False), (judges, True), (Brightest(), False), (Brightest(), True))
    ]
    assert found[0] != pytest.approx(found[1], abs=1e-4)
    # What is brightest stands out less.
    assert found[3] < 0.7 * found[2]


def test_a_validation_is_the_same_every_time():
    torch.manual_seed(0)
    discriminators = Discriminators("narrow", 2)
    numbers = [validated(corner_volume("v0"), discriminators=discriminators).numbers for _ in range(2)]
    assert numbers[0] == numbers[1]


def test_a_volume_without_a_place_to_look_does_not_count_and_alone_is_one_line():
    silent = corner_volume("v1")
    noise = torch.randn(silent.kspace.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)).numpy()
    loud = silent.replaced(kspace=noise, reference=None)  # as much signal everywhere
    both, alone = (validated(*volumes).numbers for volumes in ((corner_volume("v0"), loud), (corner_volume("v0"),)))
    assert both["abs_banding_db"] == alone["abs_banding_db"]
    with pytest.raises(DataError, match="no slice to validate on has four windows of low signal without edges"):
        validated(loud)


def test_whatever_is_within_the_bound_is_better_than_what_is_not():
    within = bounded_banding(40.0, 0.005, max_ssim_loss=0.005, has_failed=False)
    slightly, far = (bounded_banding(0.1, loss, max_ssim_loss=0.005, has_failed=False) for loss in (0.006, 0.02))
    failed = bounded_banding(0.1, 0.0, max_ssim_loss=0.005, has_failed=True)
    assert within == 40
    assert within < slightly < far < failed
    assert bounded_banding(1.0, -0.1, max_ssim_loss=0.0, has_failed=False) == 1  # better than at the start


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, ""),
        ({"ssim": 0.86, "lowest_slice_ssim": 0.65}, ""),
        ({"contrast": 1e-4, "ssim": 0.2}, "an image is constant: contrast 0.0001, 0.9 at the start"),
        ({"ssim": 0.84}, "SSIM 0.8400, more than 0.05 below 0.9000 at the start"),
        ({"lowest_slice_ssim": 0.55}, "artefacts: SSIM of a slice 0.5500, more than 0.2 below 0.8000 before"),
    ],
)
def test_a_run_has_failed_when_its_images_are_gone_or_full_of_artefacts(numbers, words):
    assert failure(START | numbers, START, AdversaryTraining(), "ssim") == words


def test_the_bound_is_of_the_ssim_that_is_chosen_by():
    numbers = START | {"body_ssim": 0.5}
    assert failure(numbers, START | {"body_ssim": 0.6}, AdversaryTraining(), "body_ssim")
