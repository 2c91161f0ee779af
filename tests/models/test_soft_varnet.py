import itertools

import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_kspace
from torch import nn

from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model
from mrikit.models.sensitivity import keep_center
from mrikit.models.soft_varnet import MODES, SPACES, SoftVarNet, SoftVarNetConfig
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import fft2c, ifft2c

SMALL = {"num_cascades": 2, "num_channels": 4, "num_pools": 2, "num_sens_channels": 2, "num_sens_pools": 2}
FORMS = [{"space": space, "mode": mode} for space, mode in itertools.product(SPACES, MODES)]


@pytest.fixture(params=FORMS, ids=lambda form: " ".join(form.values()))
def form(request):
    return request.param


def build(**settings):
    torch.manual_seed(0)
    return build_model("soft_varnet", {**SMALL, **settings})


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


def test_it_has_as_many_parameters_as_the_published_one():
    with torch.device("meta"):
        model = SoftVarNet(SoftVarNetConfig())
    assert sum(weight.numel() for weight in model.parameters()) == 12_931_532
    assert sum(weight.numel() for weight in model.sens_net.parameters()) == 209_780


def from_the_paper(model, masked, mask, num_center, space, mode):
    """The cascades with centred transforms of all coils."""
    maps = model.sens_net(ifft2c(keep_center(masked, mask, num_center)), has_checkpoints=False)

    def mismatch(estimate):
        if space == "kspace":
            return torch.where(mask, estimate - masked, 0.0)
        return combine(ifft2c(torch.where(mask, fft2c(maps * estimate[:, None]) - masked, 0.0)), maps)

    def correct(network, estimate):
        if space == "kspace":
            return fft2c(maps * network(combine(ifft2c(estimate), maps)[:, None]))
        return network(estimate[:, None])[:, 0]

    estimate = masked if space == "kspace" else combine(ifft2c(masked), maps)
    for cascade in model.cascades:
        if mode == "sequential":
            estimate = correct(cascade.network, estimate)
            estimate = estimate - cascade.dc_weight * mismatch(estimate)
        else:
            correction = correct(cascade.network, estimate)
            estimate = estimate - cascade.dc_weight * mismatch(estimate) - correction
    return rss(ifft2c(estimate)) if space == "kspace" else estimate.abs()


@pytest.mark.parametrize("make_mask", [lambda size: line_mask(size[1]), pattern], ids=["lines", "pattern"])
@pytest.mark.parametrize("size", [(32, 48), (21, 37)])
def test_the_cascades_and_their_gradient_are_those_of_the_study(form, size, make_mask):
    model, mask, num_center = build(**form), make_mask(size), torch.tensor([6])
    for cascade in model.cascades:
        nn.init.constant_(cascade.dc_weight, 0.7)
    masked = torch.where(mask, complex_normal((1, 3, *size)), 0.0)
    images = model(masked, mask, num_center), from_the_paper(model, masked, mask, num_center, **form)
    assert relative_error(images[0].detach(), images[1].detach()) < 1e-5
    leaves = [weight for name, weight in model.named_parameters() if name.endswith(("dc_weight", "output.2.weight"))]
    found, expected = (torch.autograd.grad(image.square().sum(), leaves) for image in images)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm()


@pytest.mark.parametrize("size", [(33, 29), (18, 51), (7, 12), (16, 16)])
@torch.inference_mode()
def test_any_size_and_a_single_coil_come_back_as_finite_float32(form, size):
    """Also where the bottom of the network sees a single pixel, of which the published one makes an error."""
    for num_coils in (1, 3):
        model = build(**form, num_pools=4, num_sens_pools=4)
        image = reconstruct(model, complex_normal((2, num_coils, *size)), line_mask(size[1]))
        assert image.shape == (2, *size)
        assert image.dtype == torch.float32
        assert torch.isfinite(image).all()


class Nothing(nn.Module):
    def forward(self, image):
        return torch.zeros_like(image)


@pytest.mark.parametrize("space", SPACES)
@torch.inference_mode()
def test_a_full_scan_is_recovered_where_networks_find_nothing_to_correct(space):
    kspace, model = make_kspace()[None], build(space=space)
    for cascade in model.cascades:
        cascade.network = Nothing()
    full = torch.ones(1, 1, 1, kspace.shape[-1], dtype=torch.bool)
    expected = rss(ifft2c(kspace))
    if space == "image":
        maps = model.sens_net(ifft2c(keep_center(kspace, full, torch.tensor([6]))), has_checkpoints=False)
        expected = combine(ifft2c(kspace), maps).abs()
    assert relative_error(reconstruct(model, kspace, full), expected) < 1e-6


@torch.inference_mode()
def test_the_image_scales_with_the_data(form):
    kspace, mask, model = make_kspace()[None], line_mask(60), build(**form)
    image = reconstruct(model, kspace, mask)
    for scale in (1e-6, 1e6):
        assert relative_error(reconstruct(model, scale * kspace, mask) / scale, image) < 1e-4


@torch.inference_mode()
def test_every_batch_element_has_its_own_mask_center_and_scale(form):
    kspace = torch.stack([make_kspace(), 1e-4 * make_kspace().flip(-2)])
    masks = torch.cat([line_mask(60, 3, 20), line_mask(60, 4, 9)])
    num_center, model = torch.tensor([20, 9]), build(**form)
    masked = torch.where(masks, kspace, 0.0)
    both = model(masked, masks, num_center)
    for index in range(2):
        one = slice(index, index + 1)
        assert relative_error(both[one], model(masked[one], masks[one], num_center[one])) < 1e-4


@torch.inference_mode()
def test_bfloat16_rounds_the_networks_and_nothing_else(form):
    model, kspace, mask = build(**form), make_kspace()[None], line_mask(60)
    types = set()
    for cascade in model.cascades:
        cascade.register_forward_hook(lambda _module, inputs, output: types.update({inputs[0].dtype, output.dtype}))
    image = reconstruct(model, kspace, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = reconstruct(model, kspace, mask)
    assert rounded.dtype == torch.float32
    assert 0 < relative_error(rounded, image) < 0.1
    assert types == {torch.complex64}


def test_with_checkpoints_the_gradients_are_the_same_and_less_is_kept(form):
    kept = []

    def run(**settings):
        model, sizes = build(**form, **settings), []

        def keep(array):
            sizes.append(array.numel())
            return array

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda array: array):
            image = reconstruct(model, complex_normal((1, 5, 32, 48)), line_mask(48))
        kept.append(sum(sizes))
        image.square().mean().backward()
        return image.detach(), [weight.grad for weight in model.parameters()]

    (image, gradients), (again, gradients_again) = run(), run(use_checkpoint=True)
    assert torch.equal(image, again)
    for one, other in zip(gradients, gradients_again, strict=True):
        assert torch.equal(one, other)
    assert kept[1] < 0.3 * kept[0]


def test_every_weight_learns(form):
    model = build(**form)
    reconstruct(model, complex_normal((1, 3, 32, 48)), line_mask(48)).square().sum().backward()
    for name, weight in model.named_parameters():
        assert torch.isfinite(weight.grad).all(), name
        if name == "cascades.0.dc_weight" and form == {"space": "kspace", "mode": "parallel"}:
            # K-space is what was measured there: no weight changes what data consistency does.
            assert weight.grad.item() == 0
        else:
            assert weight.grad.abs().max() > 0, name


def test_an_empty_slice_stays_empty_and_has_a_finite_gradient(form):
    model = build(**form)
    image = reconstruct(model, torch.zeros(1, 3, 32, 48, dtype=torch.complex64), line_mask(48))
    image.sum().backward()
    assert (image == 0).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@torch.inference_mode()
def test_without_a_sensitivity_network_the_centre_gives_the_maps(form):
    model = build(**form, num_cascades=1, num_sens_channels=0)
    assert not any(name.startswith("sens_net") for name in model.state_dict())
    seen = []
    model.cascades[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[3]))
    mask, kspace = line_mask(30), make_kspace(3, (32, 30))[None]
    reconstruct(model, kspace, mask)
    center = ifft2c(keep_center(kspace, mask, torch.tensor([6])))
    torch.testing.assert_close(torch.fft.fftshift(seen[0], dim=(-2, -1)), center / rss(center).unsqueeze(1))


def test_a_mask_without_center_is_one_clear_line():
    mask = line_mask(30)
    mask[..., 14:16] = False
    with pytest.raises(DataError, match=r"^batch element 0: the mask does not sample the middle of k-space, .*$"):
        reconstruct(build(), complex_normal((1, 3, 32, 30)), mask, 0)


@pytest.mark.parametrize(
    "settings",
    [{"num_cascades": 0}, {"num_channels": 1}, {"num_sens_channels": 1}, {"num_pools": 0}, {"num_sens_pools": 5}],
    ids=str,
)
def test_a_wrong_size_is_one_clear_line(settings):
    with pytest.raises(ConfigError, match=r"^soft_varnet needs 1 cascade, 2 channels and 1 to 4 poolings or more, fo"):
        build(**settings)


@pytest.mark.parametrize("settings", [{"space": "img-space"}, {"mode": "series"}], ids=str)
def test_another_form_is_one_clear_line(settings):
    expected = "^soft_varnet needs a space of kspace or image and a mode of parallel or sequential, found '"
    with pytest.raises(ConfigError, match=expected):
        build(**settings)


def test_settings_change_the_network():
    weights = {name: sum(weight.numel() for weight in build(**{name: 3}).parameters()) for name in SMALL}
    assert len({*weights.values(), sum(weight.numel() for weight in build().parameters())}) == 6
