from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from helpers import complex_normal, relative_error
from phantoms import make_volume
from reconstruct.networks import Watch, trained, unet

from mrikit.data import MaskPlan, center_crop, choose_mask, make_example
from mrikit.models import build_model
from mrikit.physics.fft import ifft2c
from mrikit.reconstruct import Method, reconstruct_volume
from mrikit.reconstruct.flips import FLIPS, PHASE, READOUT, mirror, mirror_inputs

PLAN = MaskPlan(kind="equispaced", acceleration=4, center_fraction=0.25)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (6, 7), (1, 4)])
@pytest.mark.parametrize("dims", FLIPS)
def test_a_sample_k_goes_to_minus_k_mod_n(size, dims):
    kspace = complex_normal((2, *size))
    expected = kspace.clone()
    for row in range(size[0]):
        for column in range(size[1]):
            k = [row - size[0] // 2, column - size[1] // 2]
            source = [(-one if dim in dims else one) for one, dim in zip(k, (READOUT, PHASE), strict=True)]
            source = [(one + n // 2) % n for one, n in zip(source, size, strict=True)]
            expected[:, row, column] = kspace[:, source[0], source[1]]
    assert torch.equal(mirror(kspace, dims), expected)
    assert torch.equal(mirror(mirror(kspace, dims), dims), kspace)
    torch.testing.assert_close(ifft2c(mirror(kspace, dims)), mirror(ifft2c(kspace), dims))


def test_the_mask_is_mirrored_too_and_the_centre_is_what_is_left_of_it():
    lines = torch.zeros(2, 1, 1, 10, dtype=torch.bool)
    lines[0, ..., 3:7] = lines[0, ..., 0] = True
    lines[1, ..., 4:6] = True
    inputs = (complex_normal((2, 3, 4, 10)) * lines, lines, torch.tensor([4, 2]))
    kspace, mask, num_center_lines = mirror_inputs(inputs, (READOUT, PHASE))
    assert torch.equal(mask[0].flatten().nonzero().flatten(), torch.tensor([0, 4, 5, 6, 7]))
    assert not kspace[~mask.expand_as(kspace)].any()
    assert num_center_lines.tolist() == [3, 1]
    assert mirror_inputs(inputs, (READOUT,))[2].tolist() == [4, 2]
    assert mirror_inputs(inputs, ()) == inputs


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("zero_filled", (64, 60)),
        ("zero_filled", (63, 61)),
        ("zero_filled", (64, 61)),
        # Maps are made from the middle 24 rows, which are not symmetric where there are more.
        ("cg_sense", (23, 60)),
        ("cg_sense", (23, 61)),
    ],
)
def test_a_method_that_mirrors_with_its_input_gives_the_same_with_flips(name, size):
    volume, plan = make_volume(num_slices=1, num_coils=4, size=size, window=(20, 44)), PLAN
    method = Method(name=name, model=build_model(name))
    plain = reconstruct_volume(volume, method, plan)
    flipped = reconstruct_volume(volume, replace(method, flips=True), plan)
    np.testing.assert_allclose(flipped.image, plain.image, rtol=0, atol=1e-4 * plain.image.max())
    assert (flipped.config["flips"], plain.config["flips"]) == (True, False)


@torch.inference_mode()
def test_a_network_gives_the_mean_of_four_reconstructions():
    volume, network = make_volume(num_slices=1, size=(64, 61)), unet()
    flipped = reconstruct_volume(volume, Method(name="unet", model=network, flips=True), PLAN).image[0]
    example = make_example(volume, (0,), choose_mask(volume, PLAN))
    images = []
    for dims in ([], [-2], [-1], [-2, -1]):
        # Odd axes are simply turned round; the even one by hand.
        def turn(values, dims=dims):
            values = values.flip([dim for dim in dims if values.shape[dim] % 2])
            is_even = -2 in dims and values.shape[-2] > 1
            return values[..., [0, *range(values.shape[-2] - 1, 0, -1)], :] if is_even else values

        images.append(turn(network(turn(example.masked_kspace), turn(example.mask), example.num_center_lines)))
    mean = center_crop(torch.stack(images).mean(0), example.crop)[0]
    assert relative_error(torch.from_numpy(flipped), mean) < 1e-5
    assert relative_error(center_crop(images[0], example.crop)[0], mean) > 1e-4


def test_neighbours_are_mirrored_with_the_slice():
    model, volume = Watch(num_adjacent=3), make_volume(num_slices=2, num_coils=2)
    reconstruct_volume(volume, trained(model, flips=True), PLAN)
    assert len(model.seen) == 8
    plain, _, phase, _ = (seen for seen in model.seen if torch.equal(seen[0, 0], seen[0, 1]))
    assert torch.equal(phase, mirror(plain, (PHASE,)))


@dataclass(frozen=True)
class WindowConfig:
    num_adjacent: int = 1
    crops_before: bool = True


@pytest.mark.parametrize(("size", "window"), [((64, 60), (40, 44)), ((63, 61), (40, 44)), ((64, 61), (41, 43))])
def test_the_window_alone_is_mirrored_for_a_network_that_crops_before(size, window):
    model = Watch()
    model.config = WindowConfig()
    volume = make_volume(num_slices=1, num_coils=2, size=size, window=window)
    plain, flipped = (reconstruct_volume(volume, trained(model, flips=flips), PLAN).image for flips in (False, True))
    assert relative_error(torch.from_numpy(flipped), torch.from_numpy(plain)) < 1e-6
    assert {tuple(seen.shape[-2:]) for seen in model.seen} == {window}
    assert len(model.seen) == 1 + len(FLIPS)
