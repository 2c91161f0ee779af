from dataclasses import replace

import pytest
import torch
from episodes import masks_of, observe

from mrikit.acquire.method import PolicyMethod
from mrikit.acquire.policies.table import PolicySetting, build_policy
from mrikit.errors import DataError
from mrikit.models import build_model
from mrikit.models.adaptive import keyed_draws, scan_of

MATRIX = (20, 18)


def agent(**settings):
    torch.manual_seed(0)
    setting = PolicySetting(matrix=MATRIX, num_given=2, budget=4)
    policy = build_policy("digits_ddqn", {"num_channels": (2, 3), "num_hidden": 6, **settings}, setting)
    policy.network.eval()
    return policy


def kspace(*shape, seed=0):
    return torch.randn(*shape, *MATRIX, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_the_free_line_of_the_highest_value_is_taken():
    policy, filled, masks = agent(), kspace(3, 1), masks_of([[8, 9], [0, 9], [3]], MATRIX[1])
    with torch.no_grad():
        values = policy.network(filled[:, 0], masks)
    chosen = policy.choose(replace(observe(masks), kspace=filled), [])
    assert torch.equal(chosen, values.argmax(-1))
    cannot = torch.zeros_like(masks)
    cannot[range(3), chosen] = True
    again = policy.choose(replace(observe(masks, is_free=~masks & ~cannot), kspace=filled), [])
    assert torch.equal(again, values.masked_fill(cannot, -1e10).argmax(-1))


def test_it_chooses_for_each_episode_alone_while_its_network_learns_too():
    policy, filled, masks = agent(), kspace(3, 1), masks_of([[8, 9], [0, 9], [3]], MATRIX[1])
    observation = replace(observe(masks), kspace=filled)
    expected, statistics = policy.choose(observation, []), policy.network.norm.running_mean.clone()
    policy.network.train()
    assert torch.equal(policy.choose(observation, []), expected)
    assert torch.equal(policy.network.norm.running_mean, statistics)
    assert policy.network.training


def test_its_lines_depend_on_k_space_and_not_on_its_magnitude_alone():
    policy, masks = agent(), masks_of([[8, 9]] * 12, MATRIX[1])
    filled = kspace(12, 1)
    turned = filled * torch.exp(1j * torch.arange(12)[:, None, None, None])
    same, other = (policy.choose(replace(observe(masks), kspace=one), []) for one in (filled, turned))
    assert len(set(same.tolist())) > 1
    assert not torch.equal(same, other)


def test_it_measures_what_a_network_of_k_space_fills():
    reconstructor = build_model("spirit_net", {"num_coils": 1, "num_blocks": 1, "kernel": (3, 3)})
    method = PolicyMethod(policy=agent(), reconstructor=reconstructor, budget=4)
    start = masks_of([[8, 9]] * 2, MATRIX[1])[:, None, None]
    output = method.acquire(scan_of(kspace(2, 1)), start, keyed_draws([(0,), (1,)]))
    assert output.extras["mask"].sum((1, 2, 3)).tolist() == [6, 6]


def test_images_alone_and_several_coils_are_refused():
    observation = observe(masks_of([[8, 9]], MATRIX[1]))
    with pytest.raises(DataError, match="digits_ddqn looks at filled k-space, found images alone; spirit_net would"):
        agent().choose(observation, [])
    with pytest.raises(DataError, match="digits_ddqn looks at k-space of one coil, found 2; data of one would do"):
        agent().choose(replace(observation, kspace=kspace(1, 2)), [])


def test_a_full_mask_is_refused():
    masks = masks_of([range(MATRIX[1])], MATRIX[1])
    with pytest.raises(DataError, match="none of the 18 lines of an episode is free"):
        agent().choose(replace(observe(masks), kspace=kspace(1, 1)), [])
