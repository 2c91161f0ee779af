import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mrikit.data import Example, SliceFacts
from mrikit.errors import ConfigError, DataError
from mrikit.masks import AcquiredRegion
from mrikit.metrics import BODY_THRESHOLDS, body_mask, ssim
from mrikit.models.output import Output
from mrikit.training import TrainingConfig
from mrikit.training.losses import LOSSES, composed_loss, parse_loss

WINDOW = (12, 10)
FIELD = (16, 14)


@pytest.fixture(scope="module")
def golden_metrics():
    with np.load(Path(__file__).parents[1] / "golden" / "metrics.npz") as file:
        image, reference = (torch.from_numpy(file[name]) for name in ("lb_prediction", "lb_target"))
        return image, reference, float(file["lb_max"]), json.loads(str(file["expected"]))


def make_example(reference, data_range=None, anatomies=None):
    """What a loss looks at; the k-space is empty."""
    batch = len(reference)
    return Example(
        masked_kspace=torch.zeros(batch, 1, *FIELD, dtype=torch.complex64),
        mask=torch.ones(batch, 1, 1, FIELD[1], dtype=torch.bool),
        num_center_lines=torch.ones(batch, dtype=torch.int64),
        reference=reference,
        data_range=reference.amax((-2, -1)) if data_range is None else data_range,
        crop=(reference.shape[1], reference.shape[2]),
        facts=tuple(
            SliceFacts(volume_id=f"file{number}", slice_index=0, anatomy=anatomy, acquired=AcquiredRegion.whole(FIELD))
            for number, anatomy in enumerate(anatomies or ("knee",) * batch)
        ),
    )


def embed(image, margin=2, value=9.0):
    """The full field of view of an image: what lies outside the window is wrong."""
    return torch.nn.functional.pad(image, (margin,) * 4, value=value)


def pair(batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, *WINDOW, generator=generator), torch.rand(batch, *WINDOW, generator=generator)


def body_pair(seed=0):
    """(2, 64, 60) in the scale of the challenge: a bright body in noise that is below the thresholds."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 60), indexing="ij")
    body = 2e-4 * ((y / 0.6) ** 2 + (x / 0.5) ** 2 < 1) * (1 + 0.3 * rng.random((2, 64, 60)))
    reference = (body + 1e-5 * rng.random(body.shape)).astype(np.float32)
    image = reference + 1e-5 * rng.standard_normal(body.shape).astype(np.float32)
    return torch.from_numpy(image), torch.from_numpy(reference)


def test_l1_is_the_mean_difference_of_each_slice_in_units_of_its_range():
    reference = torch.zeros(2, *WINDOW)
    image = reference + torch.tensor([0.5, -3.0])[:, None, None]
    loss = LOSSES["l1"](embed(image), make_example(reference, torch.tensor([2.0, 6.0])))
    assert loss.tolist() == [0.25, 0.5]


def test_ssim_is_one_minus_the_score_of_the_window():
    image, reference = pair()
    loss = LOSSES["ssim"](embed(image), make_example(reference, torch.full((3,), 2.0)))
    torch.testing.assert_close(loss, 1 - ssim(image, reference, 2.0))


@pytest.mark.parametrize("name", ["ssim", "l1"])
def test_a_loss_does_not_depend_on_the_scale_of_the_data(name):
    image, reference = pair()
    found = LOSSES[name](embed(1e-5 * image), make_example(1e-5 * reference))
    torch.testing.assert_close(found, LOSSES[name](embed(image), make_example(reference)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_zero_for_equal_images_and_positive_for_others(name):
    image, reference = pair()
    example = make_example(reference)
    torch.testing.assert_close(LOSSES[name](embed(reference), example), torch.zeros(3), rtol=0, atol=1e-6)
    assert (LOSSES[name](embed(image), example) > 0.05).all()


@pytest.mark.parametrize("name", LOSSES)
def test_each_slice_has_a_loss_of_its_own(name):
    image, reference = pair()
    together = LOSSES[name](embed(image), make_example(reference))
    alone = [LOSSES[name](embed(image[i : i + 1]), make_example(reference[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", LOSSES)
def test_a_slice_of_zeros_has_a_finite_loss_and_gradient(name):
    output = torch.zeros(1, *FIELD, requires_grad=True)
    loss = LOSSES[name](output, make_example(torch.zeros(1, *WINDOW)))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize("anatomy", BODY_THRESHOLDS)
def test_the_body_loss_is_that_of_the_leaderboard(golden_metrics, anatomy):
    image, reference, largest, expected = golden_metrics
    example = make_example(reference, torch.full((3,), largest), (anatomy,) * 3)
    loss = LOSSES["ssim_body"](embed(image), example)
    assert 1 - loss.mean().item() == pytest.approx(expected[f"leaderboard_ssim_{anatomy}"], abs=1e-6)


def test_the_body_loss_ignores_what_lies_outside_the_body_and_sends_it_no_gradient():
    image, reference = body_pair()
    example = make_example(reference)
    mask = body_mask(reference, BODY_THRESHOLDS["knee"])
    changed = torch.where(mask, image, 1.0).requires_grad_()
    loss = LOSSES["ssim_body"](embed(changed), example)
    torch.testing.assert_close(loss, LOSSES["ssim_body"](embed(image), example))
    loss.sum().backward()
    assert changed.grad.isfinite().all()
    assert not changed.grad[~mask].any()
    assert (changed.grad[mask] != 0).float().mean() > 0.9


def test_every_volume_of_a_batch_has_the_threshold_of_its_anatomy():
    image, reference = body_pair()
    # Dim enough that knee and brain masks differ.
    image, reference = 0.2 * image, 0.2 * reference
    both = LOSSES["ssim_body"](embed(image), make_example(reference, anatomies=("knee", "brain")))
    for index, anatomy in enumerate(("knee", "brain")):
        part = slice(index, index + 1)
        alone = LOSSES["ssim_body"](embed(image[part]), make_example(reference[part], anatomies=(anatomy,)))
        torch.testing.assert_close(both[part], alone)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_scale_in_which_the_thresholds_mean_nothing_counts_the_whole_image(scale):
    image, reference = body_pair()
    example = make_example(scale * reference)
    loss = LOSSES["ssim_body"](embed(scale * image), example)
    torch.testing.assert_close(loss, LOSSES["ssim"](embed(scale * image), example))
    assert (loss > 1e-3).all()


@pytest.mark.parametrize(("anatomy", "found"), [(None, "unknown"), ("spine", "spine")])
def test_the_body_loss_of_another_anatomy_is_an_error_that_names_the_volume(anatomy, found):
    _, reference = body_pair()
    example = make_example(reference, anatomies=("knee", anatomy))
    message = f"file1: SSIM inside the body needs a body mask, which is known for brain and knee; found anatomy {found}"
    with pytest.raises(DataError, match=message):
        LOSSES["ssim_body"](embed(reference), example)


def test_losses_compose_in_words():
    image, reference = pair()
    example = make_example(reference)
    found = composed_loss("ssim + 0.01 l1")(Output(embed(image)), example)
    assert list(found.terms) == ["ssim", "l1"]
    expected = LOSSES["ssim"](embed(image), example) + 0.01 * LOSSES["l1"](embed(image), example)
    assert torch.equal(found.total, expected)


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        ("ssim", ((1.0, "ssim"),)),
        ("2*l1+ssim", ((2.0, "l1"), (1.0, "ssim"))),
        ("1e-2 l1 + 3.5 ssim_body", ((0.01, "l1"), (3.5, "ssim_body"))),
    ],
)
def test_terms_are_written_with_or_without_signs(words, terms):
    assert parse_loss(words) == terms


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ssim + 0.01 l2", "no term is called 'l2', known: ssim, l1, ssim_body"),
        ("ssim +", "no term is called '', known: ssim"),
        ("ssim + 0.5 ssim", "ssim stands twice"),
        ("-1 ssim", "a weight that is no number above 0, found '-1'"),
        ("much ssim", "found 'much'"),
        ("ssim + cross_entropy", "no term is called 'cross_entropy'"),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused_by_its_term(words, message):
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(loss=words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_loss_with_uncertainty_is_that_of_the_window_in_any_scale():
    image, reference = pair()
    log_variance = torch.linspace(-6, 1, image.numel()).view_as(image)
    found = []
    for unit in (1.0, 2e-5):
        example = make_example(unit * reference, data_range=torch.full((3,), unit))
        extras = {"log_variance": embed(log_variance + 2 * math.log(unit))}
        output = Output(image=embed(unit * image), extras=extras)
        found.append(composed_loss("uncertainty")(output, example).total)
    expected = ((image - reference).square() * torch.exp(-log_variance) + log_variance).mean((-2, -1)) / 2
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-4)


def test_a_volume_of_zeros_has_a_finite_loss_with_uncertainty():
    zeros = torch.zeros(1, *WINDOW)
    output = Output(image=embed(zeros), extras={"log_variance": embed(zeros)})
    assert composed_loss("uncertainty")(output, make_example(zeros)).total == 0
