"""What gymnasium, Stable-Baselines3, sb3-contrib and TorchRL ask of an environment."""

import warnings

import gymnasium
from acquire.scans import make_env, make_scans, make_vector
from gymnasium.utils.env_checker import check_env


def test_gymnasium_finds_nothing_wrong():
    with warnings.catch_warnings():
        # An image has no largest value.
        warnings.filterwarnings("ignore", message=".*maximum value is infinity", category=UserWarning)
        check_env(make_env(render_mode="rgb_array"), skip_render_check=True)


def test_gymnasium_makes_it_by_name_with_its_own_wrappers():
    env = gymnasium.make("mrikit/Acquire-v0", data=make_scans(), budget=2, initial=6, render_mode="rgb_array")
    env.reset(seed=1)
    assert [env.step(column)[2] for column in (2, 3)] == [False, True]
    assert env.render().ndim == 3


def test_stable_baselines3_finds_nothing_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that the image is no picture of 0 to 255
        from stable_baselines3.common import env_checker

        env_checker.check_env(make_env(render_mode="rgb_array"), warn=True, skip_render_check=False)


def test_torchrl_finds_nothing_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its compiled part does not load beside every torch
        from torchrl.envs import GymWrapper, check_env_specs

        check_env_specs(GymWrapper(make_env()))
        for mode in ("SAME_STEP", "DISABLED"):
            check_env_specs(GymWrapper(make_vector(num_envs=2, autoreset_mode=mode)))


def test_maskable_ppo_of_sb3_contrib_learns_on_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sb3_contrib

        env = make_env(budget=4, taken="refuse")
        policy = sb3_contrib.MaskablePPO("MultiInputPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=1)
        policy.learn(16)
    observation, _ = env.reset(seed=1)
    column, _ = policy.predict(observation, action_masks=env.action_masks())
    assert env.action_masks()[column]
