"""Each flaw of the published code is off, and comes back by its switch."""

import copy

import pytest
import torch
from helpers import relative_error
from promptmr_setting import SIZE, build, line_mask, noise, reconstruct

from mrikit.checkpoint.tensors import read_tensors, write_tensors
from mrikit.models.promptmr_config import CHALLENGE_FLAWS, PUBLISHED_FLAWS, PromptMRConfig
from mrikit.models.sensitivity import count_center_lines


def slopes(model):
    return [name for name in model.state_dict() if name.endswith("activation.weight")]


def full_mask():
    return torch.ones(1, 1, 1, 1, SIZE[1], dtype=torch.bool)


def test_no_flaw_is_on_unless_asked_for():
    config = PromptMRConfig()
    assert not any(getattr(config, name) for name in CHALLENGE_FLAWS)
    assert all(CHALLENGE_FLAWS.values())
    assert set(PUBLISHED_FLAWS) < set(CHALLENGE_FLAWS)


def test_every_site_has_its_own_slope_unless_they_share_one(tmp_path):
    own, shared = build(), build(shares_activation=True)
    assert len(slopes(own)) == 3 * 10
    first_blocks = [
        f"{owner}.unet.down.0.blocks.0" for owner in ("sens_net", "cascades.0.network", "cascades.1.network")
    ]
    assert set(slopes(shared)) == {"activation.weight", *(f"{block}.activation.weight" for block in first_blocks)}
    with torch.inference_mode():
        images = [reconstruct(shared, noise(), line_mask())]
        for model in (shared, copied := copy.deepcopy(shared)):
            model.activation.weight.fill_(1)
            images.append(reconstruct(model, noise(), line_mask()))
        assert relative_error(images[1], images[0]) > 1e-3
        assert torch.equal(images[1], images[2])
        assert copied.activation is not shared.activation
    write_tensors(tmp_path / "w.safetensors", shared.state_dict(), {})
    read = build(shares_activation=True)
    read.load_state_dict(read_tensors(tmp_path / "w.safetensors"))
    assert torch.equal(reconstruct(read, noise(), line_mask()), images[1])


@torch.inference_mode()
def test_the_maps_of_all_slices_multiply_the_image_by_the_root_of_their_number():
    image, scaled = (reconstruct(build(output_uses_all_maps=flaw), noise(), line_mask()) for flaw in (False, True))
    assert relative_error(scaled, 3**0.5 * image) < 1e-6


@torch.inference_mode()
def test_a_known_number_of_center_lines_counts_unless_they_are_counted_in_the_mask():
    for flaw, is_equal in ((False, False), (True, True)):
        model = build(counts_center_lines=flaw)
        images = [reconstruct(model, noise(), line_mask(), number) for number in (2, 6)]
        assert torch.equal(*images) == is_equal


@torch.inference_mode()
def test_all_lines_of_a_full_mask_are_its_center_unless_one_line_is_counted():
    for flaw, number in ((False, SIZE[1]), (True, 1)):
        model = build(counts_one_line_in_full_masks=flaw)
        expected = reconstruct(model, noise(), full_mask(), number)
        assert torch.equal(reconstruct(model, noise(), full_mask(), 0), expected)


@pytest.mark.parametrize(
    ("lines", "count"),
    [("011111111110", 10), ("111111111110", 1), ("011111111111", 1), ("111111111111", 1), ("110011110011", 4)],
)
def test_one_line_is_counted_where_a_side_has_no_gap(lines, count):
    mask = torch.tensor([character == "1" for character in lines]).view(1, 1, 1, -1)
    assert count_center_lines(mask, counts_one_in_full=True).tolist() == [count]


def test_no_output_is_unused_unless_there_are_as_many_as_inputs():
    for flaw, expected in ((False, [12, 6]), (True, [30, 30])):
        model = build(has_unused_outputs=flaw)
        outputs = [cascade.network.unet.output for cascade in model.cascades]
        assert [output.out_channels for output in outputs] == expected
        reconstruct(model, noise(), line_mask()).square().sum().backward()
        used = [[bool(row.any()) for row in output.weight.grad] for output in outputs]
        # Real parts, then imaginary parts, each of five groups of three slices: the second group and the last two are
        # never looked at, and of what the last cascade makes only the middle slice is.
        first, middle = [True] * 3, [False, True, False]
        nothing = [False] * 3
        with_flaw = [(first + nothing + first + 2 * nothing) * 2, (middle + 4 * nothing) * 2]
        assert used == (with_flaw if flaw else [first * 4, middle * 2])
