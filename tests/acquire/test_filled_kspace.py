"""Episodes of a reconstructor that fills k-space."""

import numpy as np
import pytest
import torch
from acquire.scans import SIZE, make_env, make_scans, make_vector
from episodes import masks_of

from mrikit.acquire.method import PolicyMethod
from mrikit.acquire.policies import FixedOrder
from mrikit.errors import ConfigError, DataError
from mrikit.metrics import kspace_nmse
from mrikit.models import build_model
from mrikit.models.adaptive import keyed_draws, scan_of


def spirit_net(num_coils=1):
    torch.manual_seed(0)
    return build_model("spirit_net", {"num_coils": num_coils, "num_blocks": 2, "kernel": (3, 3)})


def scans():
    return make_scans(num_coils=1)


def filled(volume, slice_index, mask):
    """By hand."""
    samples = torch.from_numpy(mask)[None, None, None]
    masked = torch.where(samples, torch.from_numpy(volume.kspace[slice_index])[None], 0)
    with torch.no_grad():
        return spirit_net().compute(masked, samples, torch.tensor([4])).kspace


def test_the_reward_is_the_decrease_of_the_error_of_k_space():
    env = make_env(scans(), spirit_net(), initial=4, score="kspace_nmse")
    _, info = env.reset(seed=0, options={"volume": "file1", "slice": 1})
    full = torch.from_numpy(scans()[1].kspace[1])[None]
    mask = env.episodes.mask[0]
    before = float(kspace_nmse(filled(scans()[1], 1, mask), full))
    assert info["kspace_nmse"] == pytest.approx(before, rel=1e-5)
    _, reward, *_ = env.step(11)
    after = float(kspace_nmse(filled(scans()[1], 1, env.episodes.mask[0]), full))
    assert reward == pytest.approx(before - after, rel=1e-3)
    assert reward > 0


def test_rows_have_k_space_of_their_own_whichever_begin_and_change():
    env = make_vector(scans(), spirit_net(), initial=4, num_envs=2, autoreset_mode="DISABLED")
    env.reset(options={"volume": ["file0", "file1"], "slice": [0, 1]})
    env.step(np.array([11, 14]))  # the second is measured already
    masks = env.episodes.mask
    for row, (volume, index) in enumerate([(0, 0), (1, 1)]):
        expected = filled(scans()[volume], index, masks[row])
        assert torch.allclose(env.episodes.kspace[row], expected[0], rtol=1e-4, atol=1e-5)


def test_tried_columns_have_the_score_that_measuring_them_gives():
    env = make_env(scans(), spirit_net(), initial=4, score="kspace_nmse")
    env.reset(seed=0)
    before = env.episodes.kspace.clone()
    tried = env.try_actions(np.array([3, 11]))["kspace_nmse"]
    assert torch.equal(env.episodes.kspace, before)
    assert env.step(11)[4]["kspace_nmse"] == pytest.approx(tried[1], rel=1e-6)


def test_a_method_shows_its_policy_the_k_space_that_it_fills():
    seen = []

    class Looks:
        def choose(self, observation, generators):
            seen.append(observation)
            return torch.tensor([2])

    kspace, start = torch.from_numpy(scans()[0].kspace[:1]), masks_of([[13, 14]], SIZE[1])
    PolicyMethod(policy=Looks(), reconstructor=spirit_net(), budget=1).acquire(
        scan_of(kspace), start[:, None, None], keyed_draws([(0,)])
    )
    assert torch.equal(seen[0].kspace, filled(scans()[0], 0, start[0].numpy()))
    images_alone = PolicyMethod(policy=Looks(), reconstructor=build_model("zero_filled", {}), budget=1)
    images_alone.acquire(scan_of(kspace), start[:, None, None], keyed_draws([(0,)]))
    assert seen[1].kspace is None


def test_a_policy_that_does_not_look_gets_no_k_space():
    method = PolicyMethod(policy=FixedOrder(order=(2,)), reconstructor=spirit_net(), budget=1)
    kspace, start = torch.from_numpy(scans()[0].kspace[:1]), masks_of([[13, 14]], SIZE[1])
    output = method.acquire(scan_of(kspace), start[:, None, None], keyed_draws([(0,)]))
    assert output.kspace is not None


@pytest.mark.parametrize("settings", [{"score": "kspace_nmse"}, {"more_scores": ("kspace_nmse",)}])
def test_a_score_of_k_space_is_refused_for_images_alone(settings):
    with pytest.raises(ConfigError, match="kspace_nmse compares k-space, and zero_filled makes images alone; spirit"):
        make_env(**settings)


def test_k_space_of_virtual_coils_is_not_compared():
    env = make_env(make_scans(num_coils=3), spirit_net(2), score="kspace_nmse")
    with pytest.raises(DataError, match="k-space of 2 x 32 x 28 cannot be compared with one of 3 x 32 x 28"):
        env.reset(seed=0)
