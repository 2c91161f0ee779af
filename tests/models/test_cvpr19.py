import re

import pytest
import torch
from helpers import complex_normal, relative_error

from mrikit.errors import ConfigError, DataError
from mrikit.models import LEARNED, build_model
from mrikit.models.cvpr19 import Cvpr19, Cvpr19Config
from mrikit.models.output import compute
from mrikit.physics.coils import rss
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.physics.sampling import keep


def build(**settings):
    torch.manual_seed(0)
    small = {"num_channels": 4, "num_residual_blocks": 1, "num_cascades": 2}
    model = build_model("cvpr19", {**small, **settings}).eval()
    for weight in model.parameters():  # with 0.02 a network of so few channels does next to nothing
        torch.nn.init.normal_(weight, std=0.2)
    return model


def lines(width, num=1):
    mask = torch.rand((num, 1, 1, width), generator=torch.Generator().manual_seed(1)) < 0.4
    mask[..., width // 2] = True
    return mask


def run(model, kspace, mask):
    return compute(model, keep(kspace, mask), mask, torch.zeros(len(kspace), dtype=torch.int64))


@pytest.mark.parametrize("size", [(16, 24), (17, 21), (9, 30), (30, 11)])
@pytest.mark.parametrize("num_coils", [1, 3])
@torch.inference_mode()
def test_it_keeps_what_was_measured_at_any_size(size, num_coils):
    kspace, mask = complex_normal((2, num_coils, *size)), lines(size[1], num=2)
    output = run(build(), kspace, mask)
    filled = fft2c(output.extras["coil_images"])
    assert relative_error(keep(filled, mask), keep(kspace, mask)) < 1e-5
    assert float(keep(filled, ~mask).abs().max()) > 1e-3
    torch.testing.assert_close(output.image, rss(output.extras["coil_images"]))
    assert output.extras["log_variance"].shape == output.image.shape


@torch.inference_mode()
def test_full_kspace_comes_back():
    kspace = complex_normal((1, 2, 16, 18))
    output = run(build(), kspace, torch.ones(1, 1, 1, 18, dtype=torch.bool))
    assert relative_error(output.image, rss(ifft2c(kspace))) < 1e-5


@torch.inference_mode()
def test_image_and_variance_follow_the_scale_of_the_data():
    kspace, mask, scale = complex_normal((1, 2, 16, 18)), lines(18), 3e-6
    one, other = (run(build(), factor * kspace, mask) for factor in (1, scale))
    assert relative_error(other.image, scale * one.image) < 1e-4
    ratio = other.extras["log_variance"] - one.extras["log_variance"]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2 * torch.tensor(scale).log().item()), atol=1e-3, rtol=0)


@torch.inference_mode()
def test_a_fixed_divisor_is_what_a_scaled_image_would_see():
    kspace, mask = complex_normal((1, 1, 16, 18)), lines(18)
    scaled, divided = run(build(divisor=1.0), kspace / 5, mask), run(build(divisor=5.0), kspace, mask)
    assert relative_error(divided.image, 5 * scaled.image) < 1e-5
    assert relative_error(run(build(), kspace, mask).image, divided.image) > 1e-3


@torch.inference_mode()
def test_two_equal_coils_are_as_uncertain_as_one():
    kspace, mask = complex_normal((1, 1, 16, 18)), lines(18)
    one, two = (run(build(), kspace.expand(1, num, 16, 18), mask).extras["log_variance"] for num in (1, 2))
    torch.testing.assert_close(two, one, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_coils_without_signal_give_numbers():
    kspace, mask = complex_normal((1, 2, 16, 18)), lines(18)
    for signal in (kspace * torch.tensor([1, 0])[:, None, None], torch.zeros_like(kspace)):
        output = run(build(), signal, mask)
        assert output.image.isfinite().all()
        assert output.extras["log_variance"].isfinite().all()


@torch.inference_mode()
def test_the_variance_of_several_coils_is_that_of_their_root_sum_of_squares():
    """Normal errors of each magnitude, of the deviations that the coils have."""
    kspace, mask = complex_normal((1, 3, 9, 10)), lines(10)
    model = build()
    output = run(model, kspace, mask)
    alone = [run(model, kspace[:, coil : coil + 1], mask) for coil in range(3)]
    magnitudes = torch.cat([each.image for each in alone])
    deviations = torch.cat([(each.extras["log_variance"] / 2).exp() for each in alone]) * 1e-3
    errors = torch.randn((4000, *magnitudes.shape), generator=torch.Generator().manual_seed(2)) * deviations
    found = (magnitudes + errors).square().sum(1).sqrt().std(0)
    expected = (output.extras["log_variance"][0] / 2).exp() * 1e-3
    assert float((found / expected).log().abs().max()) < 0.06


def test_every_weight_and_the_data_have_a_finite_gradient():
    kspace = complex_normal((2, 2, 17, 12)).requires_grad_()
    kspace_with_dark = torch.cat([kspace, torch.zeros(2, 1, 17, 12)], dim=1)
    model = build()
    output = run(model, kspace_with_dark, lines(12, num=2))
    (output.image.sum() + output.extras["log_variance"].sum()).backward()
    assert kspace.grad.isfinite().all()
    for name, weight in model.named_parameters():
        assert weight.grad.isfinite().all(), name
    assert float(model.cascades[0].output.weight.grad.abs().sum()) > 0


@torch.inference_mode()
def test_a_float_mask_gives_the_numbers_of_the_bool_one():
    kspace, mask = complex_normal((1, 2, 16, 18)), lines(18)
    torch.testing.assert_close(run(build(), kspace, mask).image, run(build(), kspace, mask.float()).image)


@torch.inference_mode()
def test_two_cascades_pass_features_on():
    model, kspace, mask = build(), complex_normal((1, 1, 16, 18)), lines(18)
    before = run(model, kspace, mask).image
    torch.nn.init.zeros_(model.cascades[0].residuals[0].second.weight)
    assert relative_error(run(model, kspace, mask).image, before) > 1e-4


@torch.inference_mode()
def test_the_embedding_reaches_the_evaluator_but_not_the_image():
    """An instance norm takes out what is the same in every pixel."""
    kspace, mask = complex_normal((1, 1, 16, 24)), lines(24)
    model = build(num_embedded=3, width=24)
    output = run(model, kspace, mask)
    assert output.extras["embedded"].shape == (1, 3)
    torch.nn.init.normal_(model.embedding.weight, std=0.5)
    changed = run(model, kspace, mask)
    assert relative_error(changed.extras["embedded"], output.extras["embedded"]) > 0.1
    assert relative_error(changed.image, output.image) < 1e-4


@torch.inference_mode()
def test_convolutions_in_bfloat16_change_little_and_give_float32():
    kspace, mask = complex_normal((1, 2, 16, 24)), lines(24)
    precise = run(build(), kspace, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = run(build(), kspace, mask)
    assert rounded.image.dtype == rounded.extras["log_variance"].dtype == torch.float32
    assert 0 < relative_error(rounded.image, precise.image) < 0.05


def test_dropout_acts_in_training_alone():
    kspace, mask = complex_normal((1, 1, 16, 24)), lines(24)
    model = build(dropout=0.5)
    with torch.inference_mode():
        assert torch.equal(run(model, kspace, mask).image, run(build(dropout=0.0), kspace, mask).image)
        model.train()
        assert relative_error(run(model, kspace, mask).image, run(model.eval(), kspace, mask).image) > 1e-3


def test_the_published_size_has_as_many_weights_as_published():
    """Their number is a quadratic function of the channels; three small networks tell it for 256."""
    small = [Cvpr19(Cvpr19Config(num_channels=num)) for num in (2, 4, 6)]
    first, second, third = (sum(weight.numel() for weight in model.parameters()) for model in small)
    steps = (256 - 2) // 2
    assert first + steps * (second - first) + steps * (steps - 1) // 2 * (third - 2 * second + first) == 294_180_864
    assert LEARNED["cvpr19"] == (Cvpr19, Cvpr19Config)


def test_its_initial_weights_have_the_published_deviation():
    torch.manual_seed(0)
    model = build_model("cvpr19", {"num_channels": 8, "num_cascades": 1, "num_residual_blocks": 1})
    residual = model.cascades[0].residuals[0].first
    assert abs(float(residual.weight.detach().std()) / 0.02 - 1) < 0.05
    assert not residual.bias.any()


def test_images_too_small_for_three_halvings_are_refused():
    with pytest.raises(DataError, match=r"^cvpr19 needs images of more than 8 rows and columns, found 20 x 8$"):
        run(build(), complex_normal((1, 1, 20, 8)), lines(8))


def test_masks_that_the_embedding_does_not_know_are_refused():
    model = build(num_embedded=2, width=20)
    for mask in (lines(24), lines(20).expand(1, 1, 16, 20)):
        with pytest.raises(DataError, match=r"^cvpr19 knows masks of 20 lines, found one of \d+ x \d+; crop the data"):
            run(model, complex_normal((1, 1, 16, mask.shape[-1])), mask)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"num_channels": 3},
            "cvpr19 needs an even num_channels, num_residual_blocks >= 0 and num_cascades >= 1, found",
        ),
        ({"num_cascades": 0}, "cvpr19 needs an even num_channels"),
        ({"num_residual_blocks": -1}, "cvpr19 needs an even num_channels"),
        ({"dropout": 1.0}, "cvpr19 needs 0 <= dropout < 1 and divisor >= 0, found 1.0 and 0.0"),
        ({"divisor": -1.0}, "cvpr19 needs 0 <= dropout < 1 and divisor >= 0, found 0.2 and -1.0"),
        ({"num_embedded": 6}, "cvpr19 needs num_embedded >= 0, and the width of k-space if it is not 0, found 6 and 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build(**settings)
