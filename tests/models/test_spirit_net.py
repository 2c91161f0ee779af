import dataclasses
import re

import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace

from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model
from mrikit.models.output import compute
from mrikit.models.spirit_net import SpiritNetConfig, as_many_coils
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.physics.sampling import keep


def build(**settings):
    torch.manual_seed(0)
    return build_model("spirit_net", {"num_coils": 3, "num_blocks": 2, "kernel": (3, 5), "init_std": 0.1, **settings})


def pattern(size, num=1, keeps=0.4):
    return torch.rand((num, 1, *size), generator=torch.Generator().manual_seed(1)) < keeps


def run(model, kspace, mask):
    return compute(model, keep(kspace, mask), mask, torch.zeros(len(kspace), dtype=torch.int64))


@pytest.mark.parametrize("padding", ["zero", "circular"])
@pytest.mark.parametrize("size", [(16, 16), (9, 14), (3, 5)])
@torch.inference_mode()
def test_it_fills_kspace_of_any_size_and_keeps_what_was_measured(size, padding):
    kspace, mask = complex_normal((2, 3, *size)), pattern(size, num=2)
    output = run(build(padding=padding), kspace, mask)
    assert output.kspace.shape == kspace.shape
    assert torch.equal(keep(output.kspace, mask), keep(kspace, mask))
    assert float(keep(output.kspace, ~mask).abs().sum()) > 0
    torch.testing.assert_close(output.image, rss(ifft2c(output.kspace)))


@torch.inference_mode()
def test_line_masks_equal_their_patterns():
    kspace, lines = complex_normal((1, 3, 12, 14)), pattern((1, 14))
    of_lines, of_pattern = (run(build(), kspace, mask).kspace for mask in (lines, lines.expand(1, 1, 12, 14)))
    assert torch.equal(of_lines, of_pattern)


@torch.inference_mode()
def test_full_kspace_comes_back():
    kspace = complex_normal((1, 3, 12, 14))
    full = torch.ones(1, 1, 1, 14, dtype=torch.bool)
    torch.testing.assert_close(run(build(), kspace, full).kspace, kspace)


@torch.inference_mode()
def test_it_follows_the_scale_and_phase_of_the_data():
    kspace, mask = complex_normal((1, 3, 12, 14)), pattern((12, 14))
    scaled = run(build(), (3e-6 - 4e-6j) * kspace, mask).kspace
    assert relative_error(scaled, (3e-6 - 4e-6j) * run(build(), kspace, mask).kspace) < 1e-5


@torch.inference_mode()
def test_a_sample_is_never_made_from_itself():
    """One block of kernel 1 x 1 sees nothing but the other coils."""
    mask = pattern((8, 8), keeps=0.5)
    kspace = complex_normal((1, 2, 8, 8))
    one = build(num_coils=2, num_blocks=1, kernel=1)
    weight = torch.complex(one.blocks[0].weight_real, one.blocks[0].weight_imag)[..., 0, 0]
    found = one.blocks[0](torch.cat([kspace.real, kspace.imag], dim=1))
    expected = torch.stack([weight[0, 1] * kspace[0, 1], weight[1, 0] * kspace[0, 0]])[None]
    torch.testing.assert_close(torch.complex(found[:, :2], found[:, 2:]), expected)
    alone = build(num_coils=2, num_blocks=1, kernel=1, zeroes_all_centers=True)
    assert torch.equal(run(alone, kspace, mask).kspace, keep(kspace, mask))


def test_the_centre_taps_of_its_own_coil_are_no_parameters():
    model = build()
    run(model, complex_normal((1, 3, 12, 14)), pattern((12, 14))).image.sum().backward()
    for weight in model.blocks[1].parameters():
        centre = weight.grad[..., 1, 2]
        assert torch.equal(centre.diagonal(), torch.zeros(3))
        assert (centre + torch.eye(3) != 0).all()


def test_circular_padding_makes_it_shift_with_kspace():
    kspace, mask = complex_normal((1, 3, 12, 14)), pattern((12, 14))
    shifted = run(build(padding="circular"), kspace.roll((5, 3), (-2, -1)), mask.roll((5, 3), (-2, -1))).kspace
    straight = run(build(padding="circular"), kspace, mask).kspace
    torch.testing.assert_close(shifted, straight.roll((5, 3), (-2, -1)))
    assert relative_error(run(build(), kspace, mask).kspace.detach(), straight.detach()) > 1e-3


def test_a_learned_mask_gets_the_gradient_of_what_it_would_measure():
    """The finite difference along a change of the mask, which k-space and data consistency both feel."""
    kspace, model = complex_normal((1, 3, 8, 10)), build()
    weights = complex_normal((1, 3, 8, 10), seed=1)

    def loss(mask):
        return (run(model, kspace, mask).kspace * weights).real.sum()

    mask = pattern((8, 10)).float().requires_grad_()
    loss(mask).backward()
    direction = torch.randn(mask.shape, generator=torch.Generator().manual_seed(2))
    step = 1e-2
    with torch.no_grad():
        difference = (loss(mask + step * direction) - loss(mask - step * direction)) / (2 * step)
    assert abs(float((mask.grad * direction).sum() / difference) - 1) < 1e-2
    assert (mask.grad[mask == 0] != 0).all()


@torch.inference_mode()
def test_a_float_mask_gives_the_numbers_of_the_bool_one():
    kspace, mask = complex_normal((1, 3, 12, 14)), pattern((12, 14))
    assert torch.equal(run(build(), kspace, mask).kspace, run(build(), kspace, mask.float()).kspace)


@torch.inference_mode()
def test_more_coils_are_compressed_and_their_image_stays():
    kspace = make_kspace(6)[None]
    full = torch.ones(1, 1, 1, kspace.shape[-1], dtype=torch.bool)
    output = run(build(num_coils=4), kspace, full)
    assert output.kspace.shape[1] == 4
    assert relative_error(output.image, rss(ifft2c(kspace))) < 0.05


@torch.inference_mode()
def test_virtual_coils_turn_with_the_phase_of_the_data_only():
    kspace = complex_normal((2, 5, 12, 14)) * torch.linspace(1, 3, 5)[:, None, None]
    virtual = as_many_coils(kspace, 3)
    assert relative_error(as_many_coils(1j * kspace, 3), 1j * virtual) < 1e-4
    mean_weight = torch.linalg.vecdot(kspace.sum(1, keepdim=True).flatten(-2), virtual.flatten(-2))
    assert (mean_weight.real > 0).all()
    assert float(mean_weight.imag.abs().max()) < 1e-3 * float(mean_weight.real.min())


def test_fewer_coils_are_refused():
    message = r"^spirit_net joins 3 coils, found k-space of 2; weights trained with num_coils=2 or less would do$"
    with pytest.raises(DataError, match=message):
        run(build(), complex_normal((1, 2, 12, 14)), pattern((12, 14)))


def test_circular_padding_beyond_kspace_is_refused():
    with pytest.raises(DataError, match=r"pads k-space with its other side by \[1, 7\], more than all of it: found"):
        run(build(padding="circular", kernel=(3, 15)), complex_normal((1, 3, 6, 6)), pattern((6, 6)))


def test_it_stays_float32_under_autocast():
    kspace, mask = complex_normal((1, 3, 12, 14)), pattern((12, 14))
    model = build()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = run(model, kspace, mask).kspace
    assert torch.equal(rounded, run(model, kspace, mask).kspace)


def test_its_initial_weights_have_the_deviation_asked_for():
    for std, expected in ((0.05, 0.05), (0.0, (3 * 4 * 121) ** -0.5)):
        weights = build(num_coils=4, kernel=(11, 11), init_std=std).blocks[0].weight_real
        assert abs(float(weights.detach().std()) / expected - 1) < 0.1


def test_settings_are_read_from_words():
    assert build(kernel="7", num_blocks="4").config == dataclasses.replace(
        SpiritNetConfig(num_coils=3, init_std=0.1), kernel=(7,), num_blocks=4
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kernel": (4, 5)},
            "spirit_net needs num_coils >= 1, num_blocks >= 1 and an odd kernel, found 3, 2 and (4",
        ),
        ({"kernel": (3, 3, 3)}, "spirit_net needs num_coils >= 1"),
        ({"num_coils": 0}, "spirit_net needs num_coils >= 1"),
        ({"num_blocks": 0}, "spirit_net needs num_coils >= 1"),
        ({"padding": "same"}, "spirit_net.padding is zero or circular, found 'same'"),
        ({"init_std": -1.0}, "spirit_net needs init_std >= 0, found -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build(**settings)
