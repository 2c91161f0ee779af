import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace, make_volume
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from mrikit.errors import ConfigError, DataError
from mrikit.models import LEARNED, build_model
from mrikit.models.blocks import ConvBlock
from mrikit.models.varnet import NormUnet, SensitivityNet, VarNet, VarNetConfig, keep_center
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import fft2c, ifft2c
from mrikit.reconstruct import ReconstructConfig, reconstruct_folder
from mrikit.volumes import write_fastmri

SMALL = {"num_cascades": 2, "num_channels": 4, "num_pools": 2, "num_sens_channels": 2, "num_sens_pools": 2}


def build(**settings):
    torch.manual_seed(0)
    return build_model("varnet", {**SMALL, **settings})


def line_mask(width, step=3, num_center=6):
    lines = torch.zeros(width, dtype=torch.bool)
    lines[::step] = True
    start = (width - num_center + 1) // 2
    lines[start : start + num_center] = True
    return lines.view(1, 1, 1, -1)


def pattern(size, num_center=6):
    sampled = torch.rand(size, generator=torch.Generator().manual_seed(0)) < 0.4
    rows, columns = ((length - num_center + 1) // 2 for length in size)
    sampled[rows : rows + num_center, columns : columns + num_center] = True
    return sampled.view(1, 1, *size)


def reconstruct(model, kspace, mask, num_center=6):
    return model(torch.where(mask, kspace, 0.0), mask, torch.full((len(kspace),), num_center))


def test_it_has_as_many_parameters_as_fastmri():
    with torch.device("meta"):
        model = VarNet(VarNetConfig())
    assert sum(weight.numel() for weight in model.parameters()) == 29_936_966
    assert sum(weight.numel() for weight in model.sens_net.parameters()) == 484_898


@pytest.mark.parametrize("make_mask", [lambda size: line_mask(size[1]), pattern], ids=["lines", "pattern"])
@pytest.mark.parametrize("size", [(32, 32), (33, 29), (18, 51), (7, 12)])
@torch.inference_mode()
def test_any_size_comes_back_as_finite_float32(size, make_mask):
    image = reconstruct(build(), complex_normal((2, 3, *size)), make_mask(size))
    assert image.shape == (2, *size)
    assert image.dtype == torch.float32
    assert torch.isfinite(image).all()


def from_the_paper(model, masked, mask, num_center):
    """Equation 9 of arXiv:2004.06688, written with centred transforms of all coils."""
    sens_maps = model.sens_net(ifft2c(keep_center(masked, mask, num_center)), has_checkpoints=False)
    kspace = masked
    for cascade in model.cascades:
        correction = fft2c(sens_maps * cascade.network(combine(ifft2c(kspace), sens_maps)[:, None]))
        kspace = kspace - cascade.dc_weight * torch.where(mask, kspace - masked, 0.0) - correction
    return rss(ifft2c(kspace))


@pytest.mark.parametrize("use_checkpoint", [False, True])
@pytest.mark.parametrize("make_mask", [lambda size: line_mask(size[1]), pattern], ids=["lines", "pattern"])
@pytest.mark.parametrize("size", [(20, 18), (21, 17), (20, 17)])
def test_the_cascades_and_their_gradient_are_those_of_the_paper(size, make_mask, use_checkpoint):
    model, mask, num_center = build(use_checkpoint=use_checkpoint), make_mask(size), torch.tensor([6])
    for cascade in model.cascades:
        torch.nn.init.constant_(cascade.dc_weight, 0.7)
    masked = torch.where(mask, complex_normal((1, 3, *size)), 0.0).requires_grad_()
    images = model(masked, mask, num_center), from_the_paper(model, masked, mask, num_center)
    assert relative_error(images[0].detach(), images[1].detach()) < 1e-5
    leaves = [masked, *model.parameters()]
    found, expected = (torch.autograd.grad(image.square().sum(), leaves) for image in images)
    assert relative_error(torch.view_as_real(found[0]), torch.view_as_real(expected[0])) < 1e-4
    for (name, _), one, other in zip(model.named_parameters(), found[1:], expected[1:], strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm(), name


class Nothing(nn.Module):
    def forward(self, image):
        return torch.zeros_like(image)


@pytest.mark.parametrize("is_rounded", [False, True], ids=["float32", "autocast"])
@torch.inference_mode()
def test_a_full_scan_is_recovered_where_networks_find_nothing_to_correct(is_rounded):
    """Also under autocast: transforms and data consistency stay in float32."""
    kspace = make_kspace()[None]
    model = build()
    for cascade in model.cascades:
        cascade.network = Nothing()
    mask = torch.ones(1, 1, 1, kspace.shape[-1], dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_rounded):
        image = reconstruct(model, kspace, mask)
    assert relative_error(image, rss(ifft2c(kspace))) < 1e-6


@torch.inference_mode()
def test_bfloat16_rounds_the_networks_and_nothing_else():
    model, kspace, mask = build(), make_kspace()[None], line_mask(60)
    types = set()
    for cascade in model.cascades:
        cascade.register_forward_hook(
            lambda _module, inputs, output: types.update(array.dtype for array in (*inputs[:2], inputs[3], output))
        )
    image = reconstruct(model, kspace, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = reconstruct(model, kspace, mask)
    assert rounded.dtype == torch.float32
    assert 0 < relative_error(rounded, image) < 0.03
    assert 0 < relative_error(reconstruct(model.bfloat16(), kspace, mask), image) < 0.03
    assert types == {torch.complex64}


@torch.inference_mode()
def test_sensitivities_have_root_sum_of_squares_1_and_0_where_all_coils_are_0():
    torch.manual_seed(0)
    network = SensitivityNet(NormUnet(2, 1))
    images = complex_normal((2, 5, 20, 18))
    images[1] = 0
    sens_maps = network(images, has_checkpoints=False)
    assert rss(sens_maps[0]).sub(1).abs().max() < 1e-5
    assert (sens_maps[1] == 0).all()


@torch.inference_mode()
def test_a_dead_coil_is_as_good_as_none():
    kspace, mask, model = make_kspace()[None], line_mask(60), build()
    dead = torch.cat([kspace, torch.zeros_like(kspace[:, :1])], dim=1)
    assert relative_error(reconstruct(model, dead, mask), reconstruct(model, kspace, mask)) < 1e-5


@torch.inference_mode()
def test_the_image_scales_with_the_data():
    kspace, mask, model = make_kspace()[None], line_mask(60), build()
    image = reconstruct(model, kspace, mask)
    for scale in (1e-6, 1e6):
        assert relative_error(reconstruct(model, scale * kspace, mask) / scale, image) < 1e-5


@torch.inference_mode()
def test_every_batch_element_has_its_own_mask_center_and_scale():
    kspace = torch.stack([make_kspace(), 1e-4 * make_kspace().flip(-2)])
    masks = torch.cat([line_mask(60, 3, 20), line_mask(60, 4, 9)])
    num_center, model = torch.tensor([20, 9]), build()
    masked = torch.where(masks, kspace, 0.0)
    both = model(masked, masks, num_center)
    for index in range(2):
        one = slice(index, index + 1)
        assert relative_error(both[one], model(masked[one], masks[one], num_center[one])) < 1e-5


def test_cascades_share_no_weights():
    model = build()
    first, second = (dict(cascade.named_parameters()) for cascade in model.cascades)
    for name, weight in first.items():
        assert weight.data_ptr() != second[name].data_ptr()
        assert name == "dc_weight" or not torch.equal(weight, second[name]), name


def test_every_weight_learns():
    model = build()
    reconstruct(model, complex_normal((1, 3, 32, 30)), line_mask(30)).square().sum().backward()
    # In the first cascade k-space is what was measured: no weight changes what data consistency does.
    assert model.cascades[0].dc_weight.grad.item() == 0
    for name, weight in model.named_parameters():
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().max() > 0 or name == "cascades.0.dc_weight", name


@pytest.mark.parametrize("use_checkpoint", [False, True])
def test_an_empty_slice_stays_empty_with_finite_gradients(use_checkpoint):
    model = build(use_checkpoint=use_checkpoint)
    kspace = complex_normal((2, 3, 32, 30))
    kspace[0] = 0
    kspace.requires_grad_()
    image = reconstruct(model, kspace, line_mask(30))
    assert (image[0] == 0).all()
    assert (image[1] > 0).all()
    image.sum().backward()
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@pytest.mark.parametrize("is_rounded", [False, True], ids=["float32", "autocast"])
def test_checkpoints_change_neither_output_nor_gradient(is_rounded):
    kept = []

    def run(**settings):
        model, sizes = build(**settings), []

        def keep(array):
            sizes.append(array.numel())
            return array

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda array: array)
        with hooks, torch.autocast("cpu", torch.bfloat16, enabled=is_rounded):
            image = reconstruct(model, complex_normal((2, 5, 32, 30)), line_mask(30))
        kept.append(sum(sizes))
        image.square().mean().backward()
        return image.detach(), [weight.grad for weight in model.parameters()]

    (image, gradients), (again, gradients_again) = run(), run(use_checkpoint=True)
    assert torch.equal(image, again)
    for one, other in zip(gradients, gradients_again, strict=True):
        assert torch.equal(one, other)
    assert kept[1] < 0.3 * kept[0]


def most_held(num_coils, **settings):
    """The most outputs of blocks of the sensitivity network that are in memory at once, over a whole training step."""
    model, outputs, counts = build(**settings), [], []

    def count(_module, _inputs, output):
        outputs.append(StorageWeakRef(output.untyped_storage()))
        counts.append(sum(not one.expired() for one in outputs))

    for module in model.sens_net.modules():
        if isinstance(module, ConvBlock):
            module.register_forward_hook(count)
    reconstruct(model, complex_normal((1, num_coils, 32, 30)), line_mask(30)).sum().backward()
    return max(counts)


def test_with_checkpoints_one_group_of_coils_is_held_at_a_time_forward_and_backward():
    one_group = most_held(2, use_checkpoint=True)
    assert most_held(8, use_checkpoint=True) == one_group
    assert most_held(8) > 3 * one_group


def center_columns(mask, num_center):
    kept = keep_center(
        torch.ones(*mask.shape[:2], 24, mask.shape[-1], dtype=torch.complex64), mask, torch.tensor([num_center])
    )
    return kept[0, 0].abs()


@pytest.mark.parametrize(("width", "columns"), [(20, [8, 9, 10, 11]), (21, [9, 10, 11, 12])])
def test_the_center_lies_where_fastmri_puts_it(width, columns):
    kept = center_columns(line_mask(width, num_center=4), 4)
    assert kept.all(0).nonzero().flatten().tolist() == columns
    assert kept.count_nonzero() == 24 * 4


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        ("010011110010", [4, 5, 6, 7]),
        ("010011111010", [4, 5, 6, 7]),
        ("000000100000", [6]),
        ("000000111000", [6]),
        ("111111111111", list(range(12))),
        ("01001111001", [5, 6]),
    ],
)
def test_an_unknown_center_is_counted_in_the_mask(lines, columns):
    mask = torch.tensor([character == "1" for character in lines]).view(1, 1, 1, -1)
    assert center_columns(mask, 0).all(0).nonzero().flatten().tolist() == columns


@pytest.mark.parametrize("num_center", [6, 0])
def test_the_center_of_a_pattern_is_a_square(num_center):
    mask = torch.zeros(1, 1, 24, 22, dtype=torch.bool)
    mask[..., 9:15, 8:14] = True
    kept = center_columns(mask, num_center)
    assert torch.equal(kept > 0, mask[0, 0])


def test_a_mask_without_center_is_one_clear_line():
    mask = torch.cat([line_mask(30), torch.ones(1, 1, 1, 30, dtype=torch.bool)])
    mask[0, ..., 14:16] = False
    message = (
        r"^batch element 0: the mask does not sample the middle of k-space, .*; a mask with centre lines would do$"
    )
    with pytest.raises(DataError, match=message):
        reconstruct(build(), complex_normal((2, 3, 32, 30)), mask, 0)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_wrong_setting_is_one_clear_line(name):
    with pytest.raises(ConfigError, match="varnet needs at least 1 cascade, channel and pooling, found"):
        build_model("varnet", {name: -1 if name == "num_sens_channels" else 0})


def test_settings_change_the_network():
    weights = {name: sum(weight.numel() for weight in build(**{name: 3}).parameters()) for name in SMALL}
    assert len({*weights.values(), sum(weight.numel() for weight in build().parameters())}) == 6


@pytest.mark.parametrize("name", sorted(LEARNED))
def test_a_network_without_weights_reconstructs_nothing(name, tmp_path):
    write_fastmri(tmp_path / "data" / "file1000001.h5", make_volume())
    with pytest.raises(ConfigError, match=rf"^{name} needs --weights of a training run; without: zero_filled, "):
        reconstruct_folder(tmp_path / "data", tmp_path / "out", ReconstructConfig(model=name))
    assert not (tmp_path / "out").exists()


def test_without_a_sensitivity_network_the_centre_gives_the_maps(monkeypatch):
    model = build(num_cascades=1, num_sens_channels=0)
    assert not any(name.startswith("sens_net") for name in model.state_dict())
    mask, kspace = line_mask(30), make_kspace(3, (32, 30))[None]
    seen = []
    monkeypatch.setattr(
        model.cascades[0], "forward", lambda kspace, measured, sampled, maps, dims: seen.append(maps) or kspace
    )
    reconstruct(model, kspace, mask)
    center = ifft2c(keep_center(kspace, mask, torch.tensor([6])))
    torch.testing.assert_close(torch.fft.fftshift(seen[0], dim=(-2, -1)), center / rss(center).unsqueeze(1))


@torch.inference_mode()
def test_sensitivities_come_from_all_that_was_sampled_where_its_weights_are_used_to_it():
    kspace, mask = make_kspace()[None], line_mask(60)
    of_all, of_center = build(mask_center=False), build()
    images = [reconstruct(of_all, kspace, mask, number) for number in (2, 6)]
    assert torch.equal(*images)
    assert relative_error(reconstruct(of_center, kspace, mask), images[0]) > 1e-3
    # Without gaps all that was sampled is the centre.
    full = torch.ones_like(mask)
    assert torch.equal(reconstruct(of_all, kspace, full), reconstruct(of_center, kspace, full, 60))
