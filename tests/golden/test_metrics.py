"""fastMRI's metrics and training loss and the SNU leaderboard's SSIM, number by number (golden/metrics.npz)."""

import json

import numpy as np
import pytest
import torch

from mrikit.metrics import BODY_THRESHOLDS, body_mask, measure_masked, measure_volume, mse, nmse, psnr, ssim, ssim_loss


@pytest.fixture(scope="module")
def case(golden):
    with np.load(golden / "metrics.npz") as file:
        image, reference = torch.from_numpy(file["prediction"]), torch.from_numpy(file["target"])
        return image, reference, json.loads(str(file["expected"]))


@pytest.mark.parametrize("metric", [mse, nmse, psnr], ids=lambda metric: metric.__name__)
def test_volume_metric_equals_fastmri(case, metric):
    image, reference, expected = case
    assert metric(image, reference) == pytest.approx(expected[metric.__name__], rel=1e-6)


def test_volume_ssim_equals_fastmri(case):
    image, reference, expected = case
    assert ssim(image, reference, reference.max()).mean().item() == pytest.approx(expected["ssim"], abs=1e-6)


def test_training_loss_equals_fastmri(case):
    image, reference, expected = case
    loss = ssim_loss(image, reference, reference.amax((1, 2)))
    assert loss.item() == pytest.approx(expected["ssim_loss"], abs=1e-6)


def test_all_at_once_equals_fastmri(case):
    image, reference, expected = case
    measured = measure_volume(image, reference)
    for name in ("mse", "nmse", "psnr", "ssim"):
        assert getattr(measured, name) == pytest.approx(expected[name], rel=1e-6)


@pytest.mark.parametrize("anatomy", BODY_THRESHOLDS)
def test_body_mask_and_leaderboard_ssim_equal_the_challenges(golden, anatomy):
    with np.load(golden / "metrics.npz") as file:
        image, reference = torch.from_numpy(file["lb_prediction"]), torch.from_numpy(file["lb_target"])
        largest, expected = float(file["lb_max"]), json.loads(str(file["expected"]))
    mask = body_mask(reference, BODY_THRESHOLDS[anatomy])
    assert mask.sum((1, 2)).tolist() == expected[f"body_pixels_{anatomy}"]
    measured = measure_masked(image, reference, mask, largest)
    assert measured.ssim == pytest.approx(expected[f"leaderboard_ssim_{anatomy}"], abs=1e-6)
