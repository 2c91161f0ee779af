import pytest
import torch
from helpers import relative_error
from phantoms import make_kspace
from promptmr_setting import KINDS, PLUS, SIZE, Nothing, build, line_mask, noise, pattern, reconstruct

from mrikit.errors import DataError
from mrikit.models.sensitivity import divide_by_rss, keep_center
from mrikit.physics.coils import combine, rss
from mrikit.physics.fft import fft2c, ifft2c

kinds = pytest.mark.parametrize("kind", sorted(KINDS))
masks = pytest.mark.parametrize("make_mask", [lambda size: line_mask(size[1]), pattern], ids=["lines", "pattern"])


def scan_of_slices(num_slices=3):
    """(1, slice, coil, readout, phase) k-space of slices that differ."""
    return torch.stack([make_kspace() * (1 + 0.3j * index) for index in range(num_slices)])[None]


@kinds
@masks
@pytest.mark.parametrize("size", [(16, 16), (21, 17), (7, 12)])
@torch.inference_mode()
def test_any_size_comes_back_as_finite_float32(kind, make_mask, size):
    image = reconstruct(build(**KINDS[kind]), noise(2, size=size), make_mask(size))
    assert image.shape == (2, *size)
    assert image.dtype == torch.float32
    assert torch.isfinite(image).all()


def from_the_papers(model, masked, mask, num_center):
    """The cascades of both papers, written with centred transforms of all coils."""
    center = ifft2c(keep_center(masked.flatten(1, 2), mask[:, 0], num_center)).view_as(masked)
    maps = torch.stack([model.sens_net.map_images(center[:, :, coil]) for coil in range(masked.shape[2])], dim=2)
    maps = divide_by_rss(maps)

    def adjoint(kspace):
        return combine(ifft2c(kspace), maps)

    start = adjoint(masked)
    state, latent, history = (masked if model.config.kspace_cascades else start), start, ()
    for cascade in model.cascades:
        if model.config.kspace_cascades:
            image, seen = adjoint(state), adjoint(torch.where(mask, state, 0.0))
            is_first = cascade is model.cascades[0]
            buffers = [start] * 4 if is_first else [seen, latent, start, seen - start]
        else:
            image = state
            seen = adjoint(torch.where(mask, fft2c(maps * image[:, :, None]), 0.0))
            buffers = [seen, latent, start, seen - start]
        outputs, history = cascade.network(torch.cat([image, *buffers], dim=1), history)
        correction, latent = outputs[:, :3], outputs[:, 3:]
        if model.config.kspace_cascades:
            towards_data = cascade.dc_weight * torch.where(mask, state - masked, 0.0)
            state = state - towards_data - fft2c(maps * correction[:, :, None])
        else:
            state = state - cascade.dc_weight * (seen - start) - correction
    return rss(ifft2c(state[:, 1]) if model.config.kspace_cascades else (maps * state[:, :, None])[:, 1])


@masks
@pytest.mark.parametrize("size", [(20, 18), (21, 17)])
@pytest.mark.parametrize("kind", ["images", "plus"])
def test_the_cascades_and_their_gradient_are_those_of_the_papers(kind, size, make_mask):
    model, mask, num_center = build(**KINDS[kind]), make_mask(size), torch.tensor([6])
    for cascade in model.cascades:
        torch.nn.init.constant_(cascade.dc_weight, 0.7)
    masked = torch.where(mask, noise(size=size), 0.0).requires_grad_()
    images = model(masked, mask, num_center), from_the_papers(model, masked, mask, num_center)
    assert relative_error(images[0].detach(), images[1].detach()) < 1e-5
    leaves = [masked, *model.parameters()]
    found, expected = (torch.autograd.grad(image.square().sum(), leaves) for image in images)
    assert relative_error(torch.view_as_real(found[0]), torch.view_as_real(expected[0])) < 1e-4
    largest = max(gradient.norm() for gradient in expected[1:])
    for (name, _), one, other in zip(model.named_parameters(), found[1:], expected[1:], strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm() + 1e-6 * largest, name


@kinds
@pytest.mark.parametrize("is_rounded", [False, True], ids=["float32", "autocast"])
@torch.inference_mode()
def test_a_full_scan_is_recovered_where_networks_find_nothing_to_correct(kind, is_rounded):
    """Also under autocast: transforms and data consistency stay in float32. Its scale is 1, not sqrt(num_adjacent)."""
    kspace = scan_of_slices()
    model = build(**{**KINDS[kind], "sens_stem_width": 0})
    for cascade in model.cascades:
        cascade.network = Nothing(cascade.network.unet.output.out_channels // 2)
    mask = torch.ones(1, 1, 1, 1, kspace.shape[-1], dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_rounded):
        image = reconstruct(model, kspace, mask, num_center=0)
    assert relative_error(image, rss(ifft2c(kspace[:, 1]))) < 1e-5


@kinds
@torch.inference_mode()
def test_the_image_scales_with_the_data(kind):
    model, mask = build(**KINDS[kind]), line_mask()
    image = reconstruct(model, noise(), mask)
    for scale in (1e-6, 1e3):
        assert relative_error(reconstruct(model, scale * noise(), mask) / scale, image) < 1e-5


@kinds
@torch.inference_mode()
def test_every_batch_element_has_its_own_mask_center_and_scale(kind):
    kspace = torch.cat([noise(seed=1), 1e-4 * noise(seed=2)])
    sampled = torch.cat([line_mask(step=3, num_center=8), line_mask(step=4, num_center=5)])
    num_center, model = torch.tensor([8, 5]), build(**KINDS[kind])
    masked = torch.where(sampled, kspace, 0.0)
    both = model(masked, sampled, num_center)
    for index in range(2):
        one = slice(index, index + 1)
        assert relative_error(both[one], model(masked[one], sampled[one], num_center[one])) < 1e-5


@kinds
@torch.inference_mode()
def test_neighbouring_slices_change_the_image_of_the_middle_one(kind):
    model, kspace, other = build(**KINDS[kind]), noise(), noise()
    other[:, 2] = noise(seed=5)[:, 2]
    found, expected = (reconstruct(model, one, line_mask()) for one in (other, kspace))
    assert relative_error(found, expected) > 1e-3


@torch.inference_mode()
def test_one_slice_may_come_without_its_axis():
    model, kspace = build(num_adjacent=1), noise(num_slices=1)
    with_axis = reconstruct(model, kspace, line_mask())
    assert torch.equal(reconstruct(model, kspace[:, 0], line_mask()[:, 0]), with_axis)


@kinds
def test_cascades_share_no_weights(kind):
    first, second = (dict(cascade.named_parameters()) for cascade in build(**KINDS[kind]).cascades[:2])
    constant = ("dc_weight", "activation.weight")
    for name, weight in first.items():
        assert weight.data_ptr() != second[name].data_ptr()
        assert name.endswith(constant) or weight.shape != second[name].shape or not weight.equal(second[name]), name


@kinds
def test_every_weight_learns(kind):
    model = build(**KINDS[kind])
    reconstruct(model, noise(), line_mask()).square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())
    idle = {name for name, weight in model.named_parameters() if not weight.grad.any()}
    # The one hidden number of attention to so few channels may be negative, and is 0 then.
    dead = {name for name in idle if ".attention." in name}
    assert len(dead) <= 0.5 * sum(".attention." in name for name in model.state_dict())
    # In the first cascade k-space is what was measured: no weight changes what data consistency does.
    assert idle - dead == ({"cascades.0.dc_weight"} if model.config.kspace_cascades else set())


def test_frozen_prompts_stay_as_they_are():
    model = build(learnable_prompts=False)
    reconstruct(model, noise(), line_mask()).square().sum().backward()
    banks = {name: weight for name, weight in model.named_parameters() if name.endswith("prompt.bank")}
    assert len(banks) == 6
    for name, weight in model.named_parameters():
        assert (weight.grad is None) == (name in banks), name
        assert weight.requires_grad == (name not in banks), name


@kinds
@pytest.mark.parametrize("use_checkpoint", [False, True])
def test_an_empty_scan_stays_empty_with_finite_gradients(kind, use_checkpoint):
    model = build(**KINDS[kind], use_checkpoint=use_checkpoint)
    kspace = noise(2)
    kspace[0] = 0
    kspace.requires_grad_()
    image = reconstruct(model, kspace, line_mask())
    assert (image[0] == 0).all()
    assert (image[1] > 0).all()
    image.sum().backward()
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


@torch.inference_mode()
def test_an_empty_slice_between_others_stays_empty():
    """Its own maps are 0; those of its neighbours are not."""
    kspace = noise()
    kspace[:, 1] = 0
    for kind in KINDS.values():
        assert not reconstruct(build(**{**kind, "sens_stem_width": 0}), kspace, line_mask()).any()


@torch.inference_mode()
def test_sensitivities_have_root_sum_of_squares_1_for_each_slice():
    model, kspace = build(), noise(2)
    kspace[1, 0] = 0
    seen = []
    model.cascades[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[2].sens_maps))
    reconstruct(model, kspace, line_mask())
    norm = rss(seen[0])
    assert norm.shape == (2, 3, *SIZE)
    assert (norm - 1).abs().max() < 1e-5


@torch.inference_mode()
def test_without_a_sensitivity_network_the_centre_gives_the_maps():
    model, kspace, mask, seen = build(sens_stem_width=0), noise(), line_mask(), []
    assert not any(name.startswith("sens_net") for name in model.state_dict())
    model.cascades[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[2].sens_maps))
    reconstruct(model, kspace, mask)
    center = ifft2c(keep_center(kspace[0], mask[0], torch.tensor([6])))
    expected = center / rss(center).unsqueeze(1)
    torch.testing.assert_close(torch.fft.fftshift(seen[0][0], dim=(-2, -1)), expected)


@torch.inference_mode()
def test_the_sensitivity_network_sees_adjacent_slices_if_told():
    kspace, other = noise(), noise()
    other[:, 2] = noise(seed=5)[:, 2]
    for sens_uses_adjacent in (False, True):
        model, seen = build(sens_uses_adjacent=sens_uses_adjacent), []
        model.cascades[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[2].sens_maps))  # noqa: B023
        for scan in (kspace, other):
            reconstruct(model, scan, line_mask())
        assert torch.equal(seen[0][:, 0], seen[1][:, 0]) == (not sens_uses_adjacent)


def test_more_buffers_repeat_the_difference():
    fewer, more = build(num_buffers=3), build(num_buffers=5)
    assert fewer.cascades[0].network.unet.stem.in_channels == 2 * 3 * 4
    assert more.cascades[0].network.unet.stem.in_channels == 2 * 3 * 6
    images, differences = [], []
    for model in (fewer, more):
        image = torch.zeros(1, 3, *SIZE, dtype=torch.complex64)
        images.append(model.cascades[0].fill_buffers(image + 3, image + 2, image + 1))
        differences.append([float(one.real.mean()) for one in images[-1]])
    assert differences == [[3, 2, 1], [3, 2, 1, 2, 2]]


@torch.inference_mode()
def test_the_same_input_gives_the_same_bits():
    model, kspace, mask = build(**PLUS), noise(), line_mask()
    assert torch.equal(reconstruct(model, kspace, mask), reconstruct(model, kspace, mask))


@pytest.mark.parametrize(
    ("shape", "mask_shape"),
    [((1, 1, 3, 20, 18), (1, 1, 1, 1, 18)), ((1, 3, 20, 18), (1, 1, 1, 18)), ((1, 3, 3, 20, 18), (1, 1, 1, 18))],
    ids=["one slice", "no slice axis", "mask without slice axis"],
)
def test_another_number_of_slices_is_one_clear_line(shape, mask_shape):
    message = (
        r"^promptmr was built for num_adjacent 3 and needs k-space \(batch, 3, coil, readout, phase\) and a mask "
        r"\(batch, 1, 1, 1, phase\); found \(1, .* and \(1, .*; load as many slices, or build it for those$"
    )
    with pytest.raises(DataError, match=message):
        build()(torch.zeros(shape, dtype=torch.complex64), torch.ones(mask_shape, dtype=torch.bool), torch.tensor([6]))


def test_a_mask_without_center_is_one_clear_line():
    mask = line_mask()
    mask[..., 8:10] = False
    with pytest.raises(DataError, match=r"^batch element 0: the mask does not sample the middle of k-space, "):
        reconstruct(build(), noise(), mask, 0)
