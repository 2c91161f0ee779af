"""active-mri-acquisition's policies without networks (golden/active_mri_baselines.json), and where they are wrong."""

import json

import numpy as np
import pytest
import torch
from episodes import choose, follow, masks_of, observe

from mrikit.acquire.policies import LowToHigh, RandomLine, RandomLowBiased


@pytest.fixture(scope="module")
def cases(golden):
    return json.loads((golden / "active_mri_baselines.json").read_text())


def published_stream(seed, batch):
    """The one generator of all episodes, as published: the numbers of numpy's RandomState."""
    bits = np.random.MT19937()
    bits.state = np.random.RandomState(seed).get_state(legacy=False)
    return [np.random.Generator(bits)] * batch


def low_to_high(case):
    return LowToHigh(alternates_sides=case["alternate_sides"], is_centered=case["centered"])


def test_low_to_high_chooses_the_published_lines(cases):
    assert len(cases["low_to_high"]) == 12
    for case in cases["low_to_high"]:
        lines = follow(low_to_high(case), [case["start"]], case["width"], len(case["actions"]))
        assert lines == [[line] for line in case["actions"]]


def test_published_episodes_leak_into_one_another_and_ours_do_not(cases):
    published_alone = {
        (case["width"], case["centered"], tuple(case["start"])): case["actions"]
        for case in cases["low_to_high"]
        if case["alternate_sides"]
    }
    for case in cases["low_to_high_leak"]:
        ours = follow(low_to_high(case), case["start"], case["width"], len(case["actions"]))
        assert ours != case["actions"]
        for start, lines in zip(case["start"], zip(*ours, strict=True), strict=True):
            # Centred masks of odd width are wrong as published even alone.
            assert list(lines) == published_alone[case["width"], case["centered"], tuple(start)]


def test_published_low_to_high_takes_one_column_for_another_if_centred_and_odd():
    width, start = 21, [1, *range(5, 16)]
    (ours,) = choose(LowToHigh(), [start], width)
    assert ours == 16
    # As published: the mask with the picked column goes back from the order of frequencies by the shift that brought
    # it there, and the action is the first column that was not set before.
    order = np.fft.ifftshift(np.arange(width))
    after = np.fft.ifftshift(np.isin(order, [*start, ours]))
    assert np.flatnonzero(after & ~np.isin(np.arange(width), start))[0] == 2


def test_low_biased_chances_and_lines_are_the_published_ones(cases):
    assert len(cases["random_low_bias"]) == 4
    for case in cases["random_low_bias"]:
        width = case["width"]
        policy = RandomLowBiased(acceleration=case["acceleration"], is_centered=case["centered"])
        chances = policy.probabilities(observe(masks_of(case["start"], width)))
        # The published ones are told from the lowest frequency to the highest.
        ordered = chances if case["centered"] else torch.fft.fftshift(chances, dim=-1)
        assert torch.allclose(ordered, torch.tensor(case["pdf_of_first_call"]), atol=1e-6)
        lines = follow(policy, case["start"], width, len(case["actions"]), published_stream(case["seed"], 2))
        assert lines == case["actions"]


def test_published_low_biased_takes_measured_columns_if_odd_and_not_centred():
    width, measured = 21, [0]
    # As published: to the order of frequencies by ifftshift, and back by ifftshift again.
    free = np.fft.ifftshift(~masks_of([measured], width)[0].numpy())
    back = np.fft.ifftshift(np.arange(width))
    published = {int(np.flatnonzero(back == place)[0]) for place in np.flatnonzero(free)}
    ours = RandomLowBiased(is_centered=False).probabilities(observe(masks_of([measured], width)))[0]
    assert published & set(measured)
    assert set(ours.nonzero()[:, 0].tolist()) == set(range(width)) - set(measured)


def test_random_is_as_likely_for_every_free_line_but_not_torchs_own_draw(cases):
    case = cases["random"]
    masks = masks_of(case["taken"], case["width"])
    torch.manual_seed(case["seed"])
    # As published: torch's global generator, and 1e-6 for measured lines.
    weights = (~masks).float() + 1e-6
    published = [torch.multinomial(weights, 1)[:, 0].tolist() for _ in case["actions"]]
    assert published == case["actions"]
    ours = RandomLine().probabilities(observe(masks))
    assert torch.allclose(ours, weights / weights.sum(-1, keepdim=True), atol=1e-5)
    assert not ours[masks].any()
