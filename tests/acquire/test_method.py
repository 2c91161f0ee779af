import numpy as np
import pytest
import torch
from episodes import masks_of
from phantoms import make_kspace

from mrikit.acquire.method import PolicyMethod
from mrikit.acquire.policies import FixedOrder, LowToHigh, OneStepOracle, RandomLine, RandomLowBiased
from mrikit.errors import ConfigError, DataError
from mrikit.masks.mask import center_sizes
from mrikit.metrics.adaptivity import measure_adaptivity
from mrikit.models import build_model
from mrikit.models.adaptive import keyed_draws, scan_of
from mrikit.models.output import compute

WIDTH = 20
STARTS = [[9, 10], [8, 9, 10, 11]]
RECONSTRUCTORS = {
    "zero_filled": {},
    "spirit_net": {"num_coils": 2, "num_blocks": 1, "kernel": (3, 3)},
}


def scans():
    return torch.stack([make_kspace(2, (16, WIDTH)), make_kspace(2, (16, WIDTH)).flip(-2)])


def build(name):
    torch.manual_seed(0)
    return build_model(name, RECONSTRUCTORS[name])


def acquire(method, seed=0, starts=STARTS):
    start = masks_of(starts, WIDTH)[:, None, None]
    return method.acquire(scan_of(scans()), start, keyed_draws([(seed, index) for index in range(2)]))


def reconstruct(model, mask):
    return compute(model, scan_of(scans())(mask), mask, torch.from_numpy(center_sizes(mask[:, 0, 0].numpy())))


class Brightest:
    """Looks: the free column of the image that is brightest in the mean."""

    def __init__(self):
        self.seen = []

    def choose(self, observation, generators):
        self.seen.append(observation)
        return observation.reconstruction.mean((1, 2)).masked_fill(observation.mask, -1).argmax(-1)


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_the_image_is_that_of_the_lines_measured_in_the_end(name):
    model = build(name)
    output = acquire(PolicyMethod(policy=RandomLine(), reconstructor=model, budget=5))
    mask = output.extras["mask"].bool()
    assert mask.sum((1, 2, 3)).tolist() == [7, 9]
    expected = reconstruct(model, mask)
    assert torch.equal(output.image, expected.image)
    assert (output.kspace is None) == (expected.kspace is None)


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_the_policy_sees_the_reconstruction_of_the_lines_so_far(name):
    model, policy = build(name), Brightest()
    output = acquire(PolicyMethod(policy=policy, reconstructor=model, budget=3))
    masks = output.extras["masks"].bool()
    assert [observation.num_decisions.tolist() for observation in policy.seen] == [[0, 0], [1, 1], [2, 2]]
    for mask, observation in zip(masks, policy.seen, strict=False):
        lines = mask[:, None, None]
        expected = reconstruct(model, lines).image
        assert torch.equal(observation.mask, mask)
        assert torch.equal(observation.reconstruction[:, 0], expected)
        assert not observation.reconstruction.requires_grad


def test_the_model_is_told_a_centre_that_grows_to_either_side():
    told = []

    class Told(torch.nn.Module):
        def forward(self, masked_kspace, mask, num_center_lines):
            told.append(num_center_lines.tolist())
            return masked_kspace.abs().sum(1)

    order = FixedOrder(order=(8, 11, 12))
    acquire(PolicyMethod(policy=order, reconstructor=Told(), budget=2), starts=[[9, 10], [9, 10, 11]])
    assert told == [[4, 5]]


def test_masks_grow_by_one_line_each_and_chances_are_of_free_lines():
    output = acquire(PolicyMethod(policy=RandomLowBiased(), reconstructor=build("zero_filled"), budget=6))
    masks, chances = output.extras["masks"], output.extras["probabilities"]
    assert masks.shape == (7, 2, WIDTH)
    assert torch.equal(masks[0], masks_of(STARTS, WIDTH).float())
    assert ((masks[1:] - masks[:-1]).sum(-1) == 1).all()
    assert torch.allclose(chances.sum(-1), torch.ones(6, 2))
    assert not chances[masks[:-1] > 0].any()
    assert (chances[masks[1:] - masks[:-1] > 0] > 0).all()


def test_a_policy_that_does_not_look_carries_no_information_and_one_that_looks_some():
    def bits(policy):
        output = acquire(PolicyMethod(policy=policy, reconstructor=build("zero_filled"), budget=1), starts=[[9], [9]])
        return measure_adaptivity(output.extras["probabilities"][0].numpy()).information_bits

    wanted = torch.tensor([3, 12])
    oracle = OneStepOracle(score=lambda images, masks: masks[torch.arange(len(masks)), wanted[images]].float())
    assert bits(RandomLine()) == bits(LowToHigh()) == 0
    assert bits(oracle) == pytest.approx(2)


def test_lines_depend_on_the_draws_of_their_own_element_alone():
    method = PolicyMethod(policy=RandomLine(), reconstructor=build("zero_filled"), budget=6)
    first, again, other = (acquire(method, seed).extras["mask"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    start = masks_of(STARTS[1:], WIDTH)[:, None, None]
    alone = method.acquire(scan_of(scans()[1:]), start, keyed_draws([(0, 1)])).extras["mask"]
    assert torch.equal(alone[0], first[1])


def test_nothing_is_reconstructed_for_a_policy_that_does_not_look():
    class Counting(torch.nn.Module):
        num_calls = 0

        def forward(self, masked_kspace, mask, num_center_lines):
            self.num_calls += 1
            return masked_kspace.abs().sum(1)

    for policy, expected in ((LowToHigh(), 1), (Brightest(), 5)):
        model = Counting()
        acquire(PolicyMethod(policy=policy, reconstructor=model, budget=4))
        assert model.num_calls == expected


def test_the_last_reconstruction_has_a_gradient():
    model = build("spirit_net")
    acquire(PolicyMethod(policy=Brightest(), reconstructor=model, budget=2)).image.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_budget_of_nothing_reconstructs_the_start():
    output = acquire(PolicyMethod(policy=LowToHigh(), reconstructor=build("zero_filled"), budget=0))
    assert np.array_equal(output.extras["mask"][:, 0, 0], masks_of(STARTS, WIDTH).float())
    assert output.extras["probabilities"].shape == (0, 2, WIDTH)


def test_a_budget_larger_than_the_free_columns_is_refused():
    with pytest.raises(DataError, match="a budget of 17 lines is more than the 16 of 20 columns that are free"):
        acquire(PolicyMethod(policy=LowToHigh(), reconstructor=build("zero_filled"), budget=17))


def test_a_budget_below_0_is_refused():
    with pytest.raises(ConfigError, match="a number of lines from 0, found -1"):
        PolicyMethod(policy=LowToHigh(), reconstructor=build("zero_filled"), budget=-1)


def test_a_start_of_two_directions_is_refused():
    method = PolicyMethod(policy=LowToHigh(), reconstructor=build("zero_filled"), budget=1)
    with pytest.raises(DataError, match="a start of two directions"):
        method.acquire(scan_of(scans()), torch.ones(2, 1, 16, WIDTH, dtype=torch.bool), keyed_draws([(0,), (1,)]))


def test_a_line_chosen_twice_is_refused():
    class Stuck:
        def choose(self, observation, generators):
            return torch.tensor([9, 3])

    with pytest.raises(DataError, match=r"a policy chose a measured line, one of \[9, 3\]"):
        acquire(PolicyMethod(policy=Stuck(), reconstructor=build("zero_filled"), budget=1))
