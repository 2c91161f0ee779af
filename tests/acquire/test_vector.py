import gymnasium
import numpy as np
import pytest
from acquire.scans import free_columns, make_env, make_scans, make_vector
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mrikit.errors import ConfigError, DataError
from mrikit.models import build_model

SMALL_VARNET = {"num_cascades": 2, "num_channels": 2, "num_pools": 1, "num_sens_channels": 2, "num_sens_pools": 1}


def reconstructor_named(name):
    if name == "varnet":
        return build_model("varnet", SMALL_VARNET)
    return build_model("unet", {"num_channels": 4, "num_pools": 1}) if name == "unet" else name


def assert_equal(found, expected, where=""):
    """The same keys, dtypes and bits, through all levels."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_equal(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, tuple) or (isinstance(expected, np.ndarray) and expected.dtype == object):
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_equal(one, other, f"{where}[{place}]")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, where
        assert np.array_equal(found, expected), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("name", ["zero_filled", "cg_sense", "varnet", "unet"])
def test_it_repeats_single_environments_to_the_last_bit(name):
    scans, reconstructor = make_scans(), reconstructor_named(name)
    settings = {"initial": (7, 9), "budget": 2, "more_scores": ("psnr", "nmse"), "one_by_one": name == "unet"}
    vector = make_vector(scans, reconstructor, **settings)
    loop = SyncVectorEnv(
        [lambda: make_env(scans, reconstructor, **settings)] * 3, autoreset_mode=AutoresetMode.SAME_STEP
    )
    assert vector.single_observation_space == loop.single_observation_space
    assert vector.action_space == loop.action_space
    found, expected = vector.reset(seed=5), loop.reset(seed=5)
    rng = np.random.default_rng(0)
    for number in range(5):
        assert_equal(found, expected, f"step {number}")
        actions = free_columns(vector, rng)
        found, expected = vector.step(actions), loop.step(actions)
        assert found[2].all() == (number % 2 == 1)


def test_the_end_of_an_episode_gives_the_last_image_beside_the_next_first_one():
    env = make_vector(budget=1, num_envs=2)
    first, _ = env.reset(seed=1)
    observation, rewards, is_over, is_truncated, info = env.step(np.array([2, 3]))
    assert is_over.all()
    assert not is_truncated.any()
    assert rewards.all()
    assert [int(last["mask"].sum()) for last in info["final_obs"]] == [7, 7]
    assert info["final_info"]["num_lines"].tolist() == [7, 7]
    assert observation["mask"].sum(1).tolist() == info["num_lines"].tolist() == [6, 6]
    assert first["mask"][0, 2] == 0


def test_without_autoreset_ended_rows_wait_to_be_reset():
    env = make_vector(budget=1, num_envs=2, autoreset_mode="DISABLED")
    env.reset(seed=1)
    observation, _, is_over, _, info = env.step(np.array([2, 3]))
    assert is_over.all()
    assert "final_obs" not in info
    with pytest.raises(DataError, match="the episode of row 0 is over"):
        env.step(np.array([4, 5]))
    again, info = env.reset(options={"reset_mask": np.array([True, False])})
    assert again["mask"].sum(1).tolist() == [6, 7]
    assert (again["reconstruction"][1] == observation["reconstruction"][1]).all()
    assert info["_volume"].tolist() == [True, False]
    with pytest.raises(DataError, match="the episode of row 1 is over"):
        env.step(np.array([4, 5]))


def test_rows_can_be_given_their_volumes_and_slices():
    env = make_vector(num_envs=3)
    _, info = env.reset(seed=1, options={"volume": ["file1", "file0", "file1"], "slice": [0, 1, 1]})
    assert [env.volume_ids[volume] for volume in info["volume"]] == ["file1", "file0", "file1"]
    assert info["slice"].tolist() == [0, 1, 1]


def test_rows_of_one_batch_are_different_episodes():
    _, info = make_vector(make_scans(4), num_envs=6).reset(seed=1)
    assert len(set(zip(info["volume"].tolist(), info["slice"].tolist(), strict=True))) > 2


def test_columns_can_be_tried_for_any_rows():
    env = make_vector(num_envs=2)
    env.reset(seed=1)
    rows = np.repeat([0, 1], 20)
    tried = env.try_actions(rows, np.tile(np.arange(20), 2))["ssim"].reshape(2, 20)
    _, _, _, _, info = env.step(np.array([4, 9]))
    np.testing.assert_allclose(info["ssim"], [tried[0, 4], tried[1, 9]], atol=1e-6)


def test_every_row_has_its_picture():
    env = make_vector(num_envs=2, render_mode="rgb_array")
    env.reset(seed=1)
    env.step(np.array([1, 2]))
    first, second = env.render()
    assert first.shape == second.shape
    assert (first != second).any()


def test_gymnasium_makes_it_by_name():
    env = gymnasium.make_vec(
        "mrikit/Acquire-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        data=make_scans(),
        budget=2,
        initial=6,
    )
    assert env.reset(seed=1)[0]["mask"].shape == (2, 28)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda env: make_vector(num_envs=0), "num_envs is a whole number from 1, found 0"),
        (lambda env: make_vector(num_envs=2.5), "num_envs is a whole number from 1, found 2.5"),
        (lambda env: env.reset(options={"slice": [0, 1]}), "slice is one for all, or one for each of 3; found 2"),
        (
            lambda env: make_vector(autoreset_mode="NEXT_STEP"),
            "autoreset_mode is SAME_STEP or DISABLED, found NEXT_STEP",
        ),
        (lambda env: env.reset(seed=[1, 2]), "seed is one number, or one for each of 3 rows; found 2"),
        (lambda env: env.reset(options={"reset_mask": np.zeros(3, bool)}), "reset_mask is .3,. bool with one True"),
        (lambda env: env.step(np.array([1, 2])), "a step takes one action for each of 3 rows"),
    ],
)
def test_bad_use_is_named_on_one_line(act, message):
    env = make_vector()
    env.reset(seed=1)
    with pytest.raises(ConfigError, match=message) as error:
        act(env)
    assert "\n" not in str(error.value)
