import sys

import pytest
import torch

from mrikit.acquire.policies import Observation
from mrikit.acquire.policies.highest_value import HighestValue
from mrikit.acquire.policies.table import POLICIES, PolicySetting, build_policy
from mrikit.errors import ConfigError, DataError

SETTING = PolicySetting(matrix=(16, 32), num_given=4, budget=6)


def observation(width=32, num_given=4, is_free=None):
    mask = torch.zeros(3, width, dtype=torch.bool)
    mask[:, width // 2 - num_given // 2 : width // 2 + num_given // 2] = True
    return Observation(
        reconstruction=torch.rand(3, 1, 16, width, generator=torch.Generator().manual_seed(0)),
        mask=mask,
        is_free=~mask if is_free is None else is_free,
        num_decisions=torch.zeros(3, dtype=torch.int64),
    )


class Rising(torch.nn.Module):
    """Values that rise from line to line, and with the image."""

    def forward(self, image, mask):
        return torch.arange(mask.shape[-1]) + image.flatten(1).sum(-1, keepdim=True)


def test_the_free_line_of_the_highest_value_is_chosen():
    is_free = torch.ones(3, 32, dtype=torch.bool)
    is_free[0, 30:], is_free[1, 31:] = False, False
    policy = HighestValue(network=Rising())
    assert policy.choose(observation(is_free=is_free), []).tolist() == [29, 30, 31]


def test_an_episode_without_a_free_line_is_refused():
    with pytest.raises(DataError, match="is free"):
        HighestValue(network=Rising()).choose(observation(is_free=torch.zeros(3, 32, dtype=torch.bool)), [])


@pytest.mark.parametrize("name", ["ss_ddqn", "ds_ddqn"])
def test_policies_of_double_q_learning_choose_free_lines(name):
    settings = {"num_channels": 2} if name == "ss_ddqn" else {}
    torch.manual_seed(0)
    policy = build_policy(name, settings, SETTING)
    seen = observation()
    chosen = policy.choose(seen, [])
    assert seen.is_free.gather(-1, chosen[:, None]).all()
    assert POLICIES[name].learns


def test_the_policy_of_the_step_chooses_alike_for_all_images():
    policy = build_policy("ds_ddqn", {}, SETTING)
    assert policy.ignores_image
    assert len(set(policy.choose(observation(), []).tolist())) == 1


def test_a_small_matrix_needs_fewer_layers():
    with pytest.raises(ConfigError, match="num_layers 5 halve images of 32 x 64 or more, found 16 x 32"):
        build_policy("ss_ddqn", {"num_layers": 5}, SETTING)


def test_learning_without_torchrl_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("mrikit.acquire.learning.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchrl.objectives", None)
    kind = POLICIES["ds_ddqn"]
    settings = kind.config()
    with pytest.raises(ConfigError, match=r"double Q-learning needs packages .* `pip install 'mrikit\[rl\]'`"):
        kind.learner(kind.build(settings, SETTING), settings, SETTING, None)
