from dataclasses import replace

import numpy as np
import pytest
import torch
from episodes import masks_of, observe

from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.errors import ConfigError, DataError
from mrikit.randomness import generator

MATRIX = (36, 40)
MASKS = masks_of([[19, 20], [3, 20, 30], range(38)], MATRIX[1])


def policy(**settings):
    torch.manual_seed(0)
    return build_policy("greedy_gradient", settings, PolicySetting(matrix=MATRIX, num_given=2, budget=4))


def seen(masks=MASKS, scale=1.0):
    images = scale * torch.rand(len(masks), 1, *MATRIX, generator=torch.Generator().manual_seed(1))
    return replace(observe(masks), reconstruction=images)


def generators(count=3, seed=0):
    return [generator(seed, index) for index in range(count)]


def chances_of(policy, observation):
    with torch.no_grad():
        return policy.log_chances(observation).exp()


def test_probabilities_are_of_free_lines_and_add_up_to_1():
    chances = policy(is_drawn=True).probabilities(seen())
    assert torch.allclose(chances.sum(-1), torch.ones(3))
    assert not chances[MASKS].any()
    assert (chances[~MASKS] > 0).all()


def test_the_likeliest_line_is_taken_for_certain():
    lines = policy().choose(seen(), [])
    assert torch.equal(lines, chances_of(policy(), seen()).argmax(-1))
    assert torch.equal(policy().probabilities(seen()).argmax(-1), lines)
    assert (policy().probabilities(seen()).sum(-1) == 1).all()
    assert (policy().probabilities(seen()).amax(-1) == 1).all()


def test_drawn_lines_come_as_often_as_their_probabilities_say():
    drawing = policy(is_drawn=True)
    with torch.no_grad():
        drawing.network.output.bias.copy_(torch.linspace(0, 3, MATRIX[1]))
    lines = torch.stack([drawing.choose(seen(), generators(seed=seed)) for seed in range(400)])
    found = torch.stack([torch.bincount(row, minlength=MATRIX[1]) for row in lines.mT]) / len(lines)
    assert torch.allclose(found, drawing.probabilities(seen()), atol=0.06)
    assert not found[MASKS].any()


def test_a_drawn_line_depends_on_its_own_generator_alone():
    drawing, last = policy(is_drawn=True), slice(1, 2)
    lines = drawing.choose(seen(), generators())
    one = seen()
    alone = replace(
        one,
        reconstruction=one.reconstruction[last],
        mask=one.mask[last],
        is_free=one.is_free[last],
        num_decisions=one.num_decisions[last],
    )
    assert torch.equal(drawing.choose(alone, generators()[last]), lines[last])


def test_the_scale_of_the_image_does_not_count_and_its_content_and_the_mask_do():
    first = chances_of(policy(), seen())
    assert torch.allclose(chances_of(policy(), seen(scale=1e-6)), first, rtol=1e-3)
    other = replace(seen(), reconstruction=seen().reconstruction.flip(0))
    assert not torch.allclose(chances_of(policy(), other), first, rtol=1e-3)
    moved = masks_of([[0, 1], [3, 20, 30], range(38)], MATRIX[1])
    free = ~(MASKS | moved)
    before, after = (chances_of(policy(), replace(seen(), mask=mask, is_free=free)) for mask in (MASKS, moved))
    assert not torch.allclose(before[0], after[0], rtol=1e-3)


def test_an_image_of_zeros_has_probabilities_too():
    dark = replace(seen(), reconstruction=torch.zeros(3, 1, *MATRIX))
    assert torch.allclose(chances_of(policy(), dark).sum(-1), torch.ones(3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_channels": 0}, "num_channels and num_hidden >= 1, found 0 and 256"),
        ({"num_hidden": 0}, "num_channels and num_hidden >= 1, found 8 and 0"),
        ({"num_tried": 1}, "compares lines with one another: num_tried is 2 or more, found 1"),
        ({"num_tries": 3}, "no setting 'num_tries'; did you mean 'num_tried'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        policy(**settings)


def test_a_small_matrix_is_refused():
    with pytest.raises(ConfigError, match="greedy_gradient needs a matrix of 32 x 32 or more, found 40 x 31"):
        build_policy("greedy_gradient", {}, PolicySetting(matrix=(40, 31), num_given=2, budget=4))


def test_images_of_another_matrix_are_refused():
    other = replace(seen(), reconstruction=torch.zeros(3, 1, 36, 36))
    with pytest.raises(DataError, match="this policy chooses lines by images of 36 x 40, found 36 x 36"):
        policy().choose(other, [])


def test_a_full_mask_is_refused():
    with pytest.raises(DataError, match="none of the 40 lines of an episode is free"):
        policy().choose(seen(masks_of([range(40), [1], [2]], MATRIX[1])), [])


def test_settings_do_not_touch_the_global_generators():
    before = np.random.get_state()[1].copy()
    policy(is_drawn=True).choose(seen(), generators())
    assert (np.random.get_state()[1] == before).all()
