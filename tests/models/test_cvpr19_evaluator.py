import re

import pytest
import torch
from helpers import complex_normal, relative_error

from mrikit.errors import ConfigError, DataError
from mrikit.models.cvpr19_evaluator import Evaluator, EvaluatorConfig


def build(width=16, **settings):
    torch.manual_seed(0)
    model = Evaluator(EvaluatorConfig(**{"width": width, "num_channels": 4, "num_layers": 3, **settings}))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model


def measured(width=16, num=2):
    return torch.rand((num, width), generator=torch.Generator().manual_seed(1)) < 0.4


@pytest.mark.parametrize(("size", "width"), [((16, 16), 16), ((24, 17), 17), ((9, 21), 21)])
@torch.inference_mode()
def test_it_scores_every_line_of_any_size_and_scale(size, width):
    image, mask = complex_normal((2, *size)), measured(width)
    scores = build(width)(image, mask)
    assert scores.shape == (2, width)
    assert relative_error(build(width)(3e-6 * image, mask), scores) < 1e-4
    assert relative_error(build(width, divisor=1.0)(0.1 * image, mask), scores) > 1e-3


@torch.inference_mode()
def test_a_magnitude_is_an_image_without_imaginary_part():
    magnitude, mask = complex_normal((2, 16, 16)).abs(), measured()
    torch.testing.assert_close(build()(magnitude, mask), build()(magnitude.to(torch.complex64), mask))


def added(mask, **settings):
    """(phase, 2), what is added to both parts of each line's image."""
    constants = []
    model = build(adds_mask=True, **settings)
    model.first.register_forward_pre_hook(lambda _layer, inputs: constants.append(inputs[1]))
    model(complex_normal((1, 16, 16)), mask)
    return constants[0].view(16, 2)


@torch.inference_mode()
def test_a_mask_is_added_to_the_image_of_its_own_line():
    mask = measured(num=1)
    assert torch.equal(added(mask), mask[0].float()[:, None].expand(16, 2))


@torch.inference_mode()
def test_the_published_mask_meets_other_lines_than_its_own():
    """There line 0 is the middle one; channels 2 l and 2 l + 1 of line l get the masks of lines 2 l and 2 l + 1."""
    mask = torch.arange(16)[None] == 8 + 3
    assert added(mask, misplaces_mask=True).nonzero().tolist() == [[1, 1], [8 + 1, 1]]


@torch.inference_mode()
def test_a_mask_that_is_added_changes_scores():
    image, mask = complex_normal((2, 16, 16)), measured()
    plain, changed = (build(adds_mask=on)(image, mask) for on in (False, True))
    assert relative_error(changed, plain) > 1e-3


@torch.inference_mode()
def test_lines_given_always_have_the_score_of_a_measured_one():
    for width in (16, 17):
        scores = build(width, num_given=4)(complex_normal((2, 16, width)), measured(width))
        given = (scores == 1).all(0).nonzero().flatten().tolist()
        assert given == list(range(width // 2 - 2, width // 2 + 2))


@pytest.mark.parametrize("pools_square", [True, False])
def test_features_of_all_rows_count_unless_a_square_is_pooled(pools_square, monkeypatch):
    """Without the norms, which mix all rows, the lower rows of a tall image do not matter to the square."""
    monkeypatch.setattr(torch.nn.functional, "instance_norm", lambda channels: channels)
    image = complex_normal((1, 32, 16)).requires_grad_()
    build(divisor=1.0, pools_square=pools_square)(image, measured(num=1)).square().sum().backward()
    is_seen = (image.grad.abs().sum((0, 2)) > 0).tolist()
    assert is_seen == [not pools_square or row < 23 for row in range(32)]


@torch.inference_mode()
def test_an_embedding_changes_scores_and_a_sigmoid_bounds_them():
    image, mask = complex_normal((2, 16, 16)), measured()
    model = build(num_embedded=3, bounds_scores=True)
    one, other = (model(image, mask, factor * torch.ones(2, 3)) for factor in (0.0, 1.0))
    assert relative_error(one, other) > 1e-4
    assert (one > 0).all()
    assert (one < 1).all()


def test_the_published_size_has_as_many_weights_as_published():
    model = Evaluator(EvaluatorConfig(width=368))
    assert sum(weight.numel() for weight in model.parameters()) == 8_513_264


@pytest.mark.parametrize(
    ("size", "embedded", "message"),
    [
        ((16, 20), None, "an evaluator of 16 lines needs images as wide, found 16 x 20"),
        ((7, 16), None, "an evaluator of 3 layers needs images of 8 x 16 or more, found 7 x 16"),
        ((16, 16), torch.zeros(1, 2), "an evaluator for 0 embedded numbers was given 2"),
    ],
)
def test_images_that_do_not_fit_are_refused(size, embedded, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        build()(complex_normal((1, *size)), measured(num=1), embedded)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"num_layers": 1},
            "an evaluator needs width >= 1, num_channels >= 1, num_layers >= 2 and num_embedded >= 0, f",
        ),
        ({"num_embedded": -1}, "an evaluator needs width >= 1"),
        ({"num_given": 3}, "an evaluator needs num_given even, 0 to below 16, found 3"),
        ({"num_given": 16}, "an evaluator needs num_given even, 0 to below 16, found 16"),
        ({"divisor": -2.0}, "an evaluator needs divisor >= 0, found -2.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build(**settings)
