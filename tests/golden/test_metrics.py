"""fastMRI's volume metrics and training loss, number by number (golden/metrics.npz, made with fastMRI)."""

import json

import numpy as np
import pytest
import torch

from mrikit.metrics import measure_volume, mse, nmse, psnr, ssim, ssim_loss


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
