"""Losses of the CVPR'19 trainer (golden/active_mri_losses.npz)."""

import numpy as np
import pytest
import torch
from golden.active_mri import as_complex, in_places
from helpers import relative_error

from mrikit.data import Example
from mrikit.models.cvpr19_losses import evaluator_targets, least_squares, line_errors, uncertainty_loss
from mrikit.models.output import Output
from mrikit.physics.crop import center_crop
from mrikit.physics.fft import fft2c
from mrikit.training.objectives.evaluator import line_errors_of

OUTPUTS, GRADIENTS = 1e-5, 1e-4
"""Largest difference, relative to the largest value."""


@pytest.fixture(scope="module")
def case(load_golden):
    return load_golden("active_mri_losses")


def test_the_loss_with_uncertainty_and_its_gradients_equal_the_published_ones(case):
    arrays, config = case
    reconstruction, log_variance = (
        arrays[name].clone().requires_grad_() for name in ("reconstruction", "log_variance")
    )
    loss = uncertainty_loss(as_complex(reconstruction).abs(), log_variance[:, 0], as_complex(arrays["target"]).abs())
    assert relative_error(loss.detach(), arrays["nll_map"][:, 0]) < OUTPUTS
    assert float(loss.detach().mean()) == pytest.approx(config["nll"], rel=OUTPUTS)
    loss.mean().backward()
    assert relative_error(reconstruction.grad, arrays["nll_grad_reconstruction"]) < GRADIENTS
    assert relative_error(log_variance.grad, arrays["nll_grad_log_variance"]) < GRADIENTS


def test_what_the_evaluator_is_to_say_equals_the_published_targets(case):
    arrays, config = case
    mask = in_places(arrays["mask"])
    errors = line_errors(as_complex(arrays["reconstruction"]), as_complex(arrays["target"]))
    fake = evaluator_targets(errors, mask, config["gamma"])
    assert relative_error(fake, in_places(arrays["target_fake"])) < OUTPUTS
    assert torch.equal(in_places(arrays["target_real"]), torch.ones_like(fake))


def test_the_adversarial_losses_equal_the_published_ones(case):
    arrays, config = case
    scores, mask = arrays["scores"], arrays["mask"]
    real = torch.ones_like(scores)
    losses = {
        "evaluator_fake": least_squares(scores, arrays["target_fake"]),
        "evaluator_real": least_squares(scores, real),
        "evaluator_fake_without_energy": least_squares(scores, mask.float()),
        "generator_all_columns": least_squares(scores, real),
        "generator_unobserved_columns": least_squares(scores, real, ~mask),
    }
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {name: config[name] for name in losses}, rel=OUTPUTS
    )


def noise(seed, num_channels):
    drawn = np.random.RandomState(seed).standard_normal((1, num_channels, 376, 368))
    return torch.from_numpy(drawn.astype(np.float32))


def test_raw_data_are_compared_within_their_windows(case):
    arrays, config = case
    raw = config["raw"]
    target = noise(raw["seed"] + 1, 2)
    reconstruction, log_variance = target + 0.05 * noise(raw["seed"] + 2, 2), noise(raw["seed"] + 3, 1)
    mask = torch.arange(368) % 3 == 0
    images = [as_complex(center_crop(channels, (320, 320))).abs() for channels in (reconstruction, target)]
    loss = uncertainty_loss(images[0], center_crop(log_variance[:, 0], (320, 320)), images[1]).mean()
    assert float(loss) == pytest.approx(raw["nll"], rel=1e-4)  # terms of either sign that nearly cancel
    errors = line_errors(*(as_complex(center_crop(channels, (320, 368))) for channels in (reconstruction, target)))
    fake = evaluator_targets(errors, in_places(mask)[None], raw["gamma"])
    assert relative_error(fake, in_places(arrays["raw_target_fake"])) < OUTPUTS


def test_the_objective_finds_the_published_errors_of_lines_in_any_scale(case):
    arrays, config = case
    made, true = (as_complex(arrays[name])[:, None] for name in ("reconstruction", "target"))
    unit = 3e-5
    example = Example(
        masked_kspace=torch.zeros_like(true),
        mask=in_places(arrays["mask"])[:, None, None],
        num_center_lines=torch.zeros(len(true), dtype=torch.int64),
        reference=true[:, 0].abs() * unit,
        data_range=torch.full((len(true),), unit),
        crop=(true.shape[-2], true.shape[-1]),
        facts=(),
        full_kspace=fft2c(true * unit),
    )
    errors = line_errors_of(Output(image=None, extras={"coil_images": made * unit}), example)
    fake = evaluator_targets(errors, example.mask[:, 0, 0], config["gamma"])
    assert relative_error(fake, in_places(arrays["target_fake"])) < OUTPUTS
