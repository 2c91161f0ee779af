"""The environment of active-mri-acquisition (Pineda et al. 2020): episodes, scores, orders and inputs."""

import json

import numpy as np
import pytest
import torch

from mrikit.acquire.chance import PublishedChance
from mrikit.acquire.environment import AcquireEnv
from mrikit.acquire.presets import PRESETS, published_column, published_images
from mrikit.acquire.vector import AcquireVectorEnv
from mrikit.physics.sampling import keep
from mrikit.volumes import ScanInfo, Volume

METRICS = ("mse", "nmse", "ssim", "psnr")
PUBLISHED = {"data_range": "slice", "observation_scale": "data"}
"""What repeats the published numbers, with `PublishedChance`."""


@pytest.fixture(scope="module")
def arrays(golden):
    with np.load(golden / "active_mri_env.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def config(arrays):
    return json.loads(str(arrays["config"]))


def volumes_of(arrays, split):
    return [volume_of(kspace, f"file{number}") for number, kspace in enumerate(arrays[f"kspace::{split}"])]


def volume_of(kspace, volume_id):
    rows, columns = kspace.shape
    info = ScanInfo(volume_id=volume_id, matrix=(rows, columns), recon_matrix=(rows, columns), padding=(0, columns))
    return Volume(kspace=kspace[None, None], info=info)


def make_env(arrays, metric, split, chance, num_envs=2, initial=(2, 4)):
    return AcquireVectorEnv(
        volumes_of(arrays, split),
        budget=4,
        initial=initial,
        num_envs=num_envs,
        autoreset_mode="DISABLED",
        chance=chance,
        split="all",
        score=metric,
        more_scores=METRICS,
        **PUBLISHED,
    )


class OfSplit:
    """Chance that several environments share, each of the volumes of one split."""

    def __init__(self, chance, split):
        self.chance, self.split = chance, split

    def reseed(self, row, seed):
        self.chance.reseed(row, seed)

    def draw(self, rows, split, num_slices, num_lines):
        return self.chance.draw(rows, self.split, num_slices, num_lines)


@pytest.mark.parametrize("metric", METRICS)
def test_episodes_have_the_published_images_lines_rewards_and_scores(arrays, config, metric):
    chance = PublishedChance(config["seed"])
    runs = [run for run in config["runs"] if run["metric"] == metric]
    for split in ("train", "val"):
        env = make_env(arrays, metric, split, OfSplit(chance, split))
        for run in (run for run in runs if run["split"] == split):
            check_episode(env, run, arrays)
        env.reset()  # the recorded run began a fourth episode of training, whose lines came from the same generator


def check_episode(env, run, arrays):
    rows = slice(len(run["fname"]))  # the published last batch of a split is smaller; ours goes on from the beginning
    _, info = env.reset()
    assert names(env, info)[rows] == run["fname"]
    assert columns(env)[rows] == run["initial_columns"]
    check_scores(info, run["initial_scores"], rows)
    check_tried(env, run["try_action"], rows)
    for step in run["steps"]:
        actions = np.zeros(env.num_envs, np.int64)
        actions[rows] = step["actions"]
        observation, rewards, is_over, _, info = env.step(actions)
        np.testing.assert_allclose(rewards[rows], step["reward"], atol=2e-6)
        assert is_over[rows].tolist() == step["done"]
        assert columns(env)[rows] == step["columns"]
        check_scores(info, step["scores"], rows)
    if run["episode"] == 0 and run["metric"] == "mse":
        last = arrays[f"last_reconstruction::{run['split']}"]
        np.testing.assert_allclose(observation["reconstruction"][rows, 0], last, rtol=1e-5, atol=1e-6)


def check_tried(env, tried, rows):
    before = env.episodes.mask.copy()
    scores = env.try_actions(np.arange(env.num_envs)[rows], np.array(tried["actions"]))
    check_scores(scores, tried["scores"])
    assert (env.episodes.mask == before).all()


def names(env, info):
    return [env.volume_ids[volume] for volume in info["volume"]]


def columns(env):
    return [np.flatnonzero(mask).tolist() for mask in env.episodes.mask]


def check_scores(found, expected, rows=slice(None)):
    for name in METRICS:
        np.testing.assert_allclose(found[name][rows], expected[name], rtol=2e-6, atol=2e-6, err_msg=name)


def test_an_evaluation_begins_with_the_published_images_and_scores(arrays, config):
    evaluation = next(one for one in config["evaluations"] if one["policy"] == "low_to_high")
    env = make_env(arrays, "ssim", "test", OfSplit(PublishedChance(config["seed"]), "test"))
    for first, seed in ((0, evaluation["seed"]), (2, None)):
        _, info = env.reset(seed=seed)
        found = list(zip(names(env, info), info["slice"].tolist(), strict=True))
        assert found == [(name, 0) for name, _ in evaluation["images"][first : first + 2]]
        expected = {name: arrays[f"evaluate::low_to_high::{name}"][first : first + 2, 0] for name in METRICS}
        check_scores(info, expected)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_orders_are_the_published_ones_before_and_after_a_reseeding(config, split):
    for order in config["orders"]:
        if not order[split]:
            continue  # without a seed there, by chance
        chance, count = PublishedChance(order["seed"]), config["counts"][("train", "val", "test").index(split)]
        assert drawn(chance, split, count, len(order[split])) == order[split]
        chance.reseed(0, 9)
        again = order[f"{split}_after_seed_9"]
        assert drawn(chance, split, count, len(again)) == again


def drawn(chance, split, num_slices, number):
    return [chance.draw([0], split, num_slices, (2, 4))[0].position for _ in range(number)]


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_give_the_published_inputs_and_masks(golden, name):
    with np.load(golden / "active_mri_transform.npz") as file:
        kspace, mask, model_mask = file["kspace"], file["mask"], file["model_mask"]
        target, zero_filled = (file[part][:, 0] + 1j * file[part][:, 1] for part in ("target", "zero_filled"))
    # There the first column is the centre of k-space.
    place = np.array([published_column(column, 368) for column in range(368)])
    full = torch.from_numpy(kspace)
    close = {"rtol": 1e-5, "atol": 1e-6 * float(np.abs(target).max())}
    np.testing.assert_allclose(published_images(full).numpy(), target, **close)
    lines = torch.from_numpy(mask[:, place])[:, None]
    np.testing.assert_allclose(published_images(keep(full, lines)).numpy(), zero_filled, **close)

    volumes = [volume_of(kspace[0], "file0")]
    env = AcquireEnv(volumes, initial=mask[0, place], preset=name, score="mse", more_scores=())
    observation, _ = env.reset(seed=1)
    assert observation["mask"].astype(bool).tolist() == model_mask[0, place].tolist()


def test_the_presets_give_and_choose_as_many_lines_as_published():
    assert {name: (preset.initial, preset.budget) for name, preset in PRESETS.items()} == {
        "miccai_normal": (30, 70),
        "miccai_extreme": (2, 98),
    }
