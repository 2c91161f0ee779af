import numpy as np
import pytest
import torch
from acquire.scans import SIZE, WINDOW, make_env, make_scans

from mrikit.data import center_crop
from mrikit.errors import ConfigError, DataError
from mrikit.metrics import nmse, psnr, ssim
from mrikit.physics.coils import rss
from mrikit.physics.fft import ifft2c
from mrikit.physics.sampling import keep


def zero_filled(volume, slice_index, mask):
    """The full field of view by hand."""
    return rss(ifft2c(keep(torch.from_numpy(volume.kspace[slice_index]), torch.from_numpy(mask))))


def test_an_episode_begins_with_the_middle_lines_and_the_image_that_they_give():
    scans = make_scans()
    env = make_env(scans, initial=6, observation_scale="data")
    observation, info = env.reset(seed=1, options={"volume": "file1", "slice": 1})
    assert (env.volume_ids[info["volume"]], info["slice"], info["num_lines"]) == ("file1", 1, 6)
    assert np.flatnonzero(observation["mask"]).tolist() == [11, 12, 13, 14, 15, 16]
    expected = zero_filled(scans[1], 1, observation["mask"].astype(bool))
    np.testing.assert_allclose(observation["reconstruction"][0], expected, rtol=1e-5, atol=1e-6)
    assert observation["reconstruction"].shape == (1, *SIZE)


def test_the_observed_image_is_in_units_of_the_first_one():
    env = make_env()
    observation, _ = env.reset(seed=1)
    assert observation["reconstruction"].max() == 1
    first = env.unwrapped.episodes.unit.copy()
    env.step(2)
    assert (env.unwrapped.episodes.unit == first).all()


@pytest.mark.parametrize("score", ["ssim", "psnr", "nmse", "mse"])
def test_the_reward_is_the_gain_of_the_score_that_mrikit_measures(score):
    scans = make_scans()
    env = make_env(scans, score=score)
    observation, info = env.reset(seed=1, options={"volume": "file0", "slice": 0})
    reference = torch.from_numpy(scans[0].reference[:1])
    largest = scans[0].info.reference_max
    measures = {
        "ssim": lambda image: float(ssim(image, reference, largest)),
        "psnr": lambda image: psnr(image, reference, largest),
        "nmse": lambda image: nmse(image, reference),
        "mse": lambda image: float((image - reference).square().mean()),
    }

    def by_hand(observation):
        image = zero_filled(scans[0], 0, observation["mask"].astype(bool))
        return measures[score](center_crop(image[None], WINDOW))

    before = by_hand(observation)
    assert info[score] == pytest.approx(before, rel=1e-5)
    observation, reward, *_ = env.step(10)
    sign = -1 if score in ("nmse", "mse") else 1
    assert reward == pytest.approx(sign * (by_hand(observation) - before), rel=1e-3, abs=1e-6)
    assert reward > 0


def test_the_gains_of_an_episode_add_up_to_what_the_score_gained():
    env = make_env()
    _, info = env.reset(seed=1)
    first = info["ssim"]
    rewards = [env.step(column)[1] for column in (10, 17, 9, 18)]
    assert sum(rewards) == pytest.approx(env.episodes.scores["ssim"][0] - first, abs=1e-9)


@pytest.mark.parametrize(("score", "sign"), [("ssim", 1), ("nmse", -1)])
def test_the_final_reward_is_the_last_score_alone(score, sign):
    env = make_env(score=score, reward="final", budget=2)
    env.reset(seed=1)
    assert env.step(10)[1] == 0
    _, reward, is_over, _, info = env.step(17)
    assert is_over
    assert reward == sign * info[score]


def test_the_end_of_the_budget_is_terminated_and_never_truncated():
    env = make_env(budget=3)
    env.reset(seed=1)
    ends = [env.step(column)[2:4] for column in (2, 3, 4)]
    assert ends == [(False, False), (False, False), (True, False)]
    with pytest.raises(DataError, match="is over; reset it"):
        env.step(5)


def test_with_all_columns_the_image_is_the_reference():
    env = make_env(initial=6, budget=SIZE[1] - 6, more_scores=("nmse",))
    _, info = env.reset(seed=1)
    while (free := np.flatnonzero(env.action_masks())).size:
        _, _, is_over, _, info = env.step(free[0])
    assert is_over
    assert info["ssim"] == pytest.approx(1, abs=1e-6)
    assert info["nmse"] < 1e-10


def test_legal_actions_are_told_in_two_ways():
    env = make_env()
    _, info = env.reset(seed=1)
    _, _, _, _, after = env.step(3)
    assert env.action_masks().dtype == bool
    assert after["action_mask"].dtype == np.int8
    assert (after["action_mask"] == env.action_masks()).all()
    assert np.flatnonzero(info["action_mask"] != after["action_mask"]).tolist() == [3]
    assert env.action_space.sample(mask=after["action_mask"]) in np.flatnonzero(env.action_masks())


def test_a_taken_column_costs_a_step_and_changes_nothing():
    env = make_env(budget=2)
    before, _ = env.reset(seed=1)
    after, reward, is_over, _, info = env.step(14)
    assert (reward, is_over, info["num_lines"]) == (0, False, 6)
    assert (before["reconstruction"] == after["reconstruction"]).all()
    assert env.step(14)[2]


def test_a_taken_column_is_refused_where_that_is_asked_for():
    env = make_env(taken="refuse")
    env.reset(seed=1)
    with pytest.raises(DataError, match="column 14 is measured already; choose one that the action mask allows"):
        env.step(14)
    assert env.step(2)[4]["num_lines"] == 7, "the refused step did not count"


def test_columns_that_the_scanner_did_not_acquire_are_no_choice():
    env = make_env(acquired=(3, 25), taken="refuse")
    observation, info = env.reset(seed=1)
    assert not info["action_mask"][:3].any()
    assert not info["action_mask"][25:].any()
    assert not observation["mask"][0]
    with pytest.raises(DataError, match="column 26 is not acquired by the scanner"):
        env.step(26)
    marked, _ = make_env(acquired=(3, 25), marks_unacquired=True).reset(seed=1)
    assert np.flatnonzero(marked["mask"]).tolist() == [0, 1, 2, *range(11, 17), 25, 26, 27]


def test_trying_columns_tells_what_a_step_would_score_and_changes_nothing():
    env = make_env()
    env.reset(seed=1)
    mask = env.episodes.mask.copy()
    tried = env.try_actions(np.arange(20))
    assert (env.episodes.mask == mask).all()
    assert tried["ssim"].shape == (20,)
    assert env.step(9)[4]["ssim"] == pytest.approx(tried["ssim"][9], abs=1e-6)


def test_a_number_of_given_lines_can_be_drawn_for_each_episode():
    env = make_env(initial=(2, 6))
    env.reset(seed=1)
    assert {env.reset()[1]["num_lines"] for _ in range(40)} == {2, 3, 4, 5, 6}


def test_given_lines_can_be_any_mask():
    mask = np.zeros(SIZE[1], bool)
    mask[[1, 13, 14, 20]] = True
    observation, _ = make_env(initial=mask).reset(seed=1)
    assert (observation["mask"] == mask).all()


def test_the_same_seed_gives_the_same_episodes():
    def play(env, seed):
        return [env.reset(seed=seed)[1], *(env.reset()[1] for _ in range(5))]

    first, second, other = (play(make_env(make_scans(4)), seed) for seed in (3, 3, 4))
    places = [[(info["volume"], info["slice"]) for info in one] for one in (first, second, other)]
    assert places[0] == places[1]
    assert places[0] != places[2]


def test_a_seed_goes_through_every_slice_once_before_any_comes_again():
    env = make_env(make_scans(3))
    places = [env.reset(seed=2 if number == 0 else None)[1] for number in range(12)]
    found = [(info["volume"], info["slice"]) for info in places]
    assert len(set(found[:6])) == len(set(found[6:])) == 6
    assert found[:6] != found[6:]


def test_a_picture_shows_mask_image_and_error():
    env = make_env(render_mode="rgb_array")
    env.reset(seed=1)
    picture = env.render()
    assert picture.shape == (WINDOW[0], SIZE[1] + 4 + WINDOW[1] + 4 + WINDOW[1], 3)
    assert picture.dtype == np.uint8
    assert np.flatnonzero(picture[0, : SIZE[1], 0] == 255).tolist() == [11, 12, 13, 14, 15, 16]
    assert picture[:, SIZE[1] + 4 : SIZE[1] + 4 + WINDOW[1]].max() > 100
    assert picture[:, -WINDOW[1] :].max() > 10
    assert make_env().render() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 23}, "a budget of 23 lines, but only 22 columns of 28 are free; a budget of at most 22 would do"),
        ({"budget": 21, "acquired": (3, 25)}, "only 16 columns in file., of 22 acquired are free"),
        ({"budget": 0}, "budget is a whole number from 1, found 0"),
        ({"budget": 1.5}, "budget is a whole number from 1, found 1.5"),
        ({"budget": np.nan}, "budget is a whole number from 1, found nan"),
        ({"budget": "8"}, "budget is a whole number from 1, found '8'"),
        ({"budget": [3, 4]}, r"budget is a whole number from 1, found \[3, 4\]"),
        ({"initial": np.ones(30, bool)}, "the initial mask has 30 columns, and k-space 28; make one for this data"),
        ({"initial": 0}, "initial has 1 to 28 lines"),
        ({"initial": (6, 2)}, "initial has 1 to 28 lines"),
        ({"initial": "many"}, "initial is a number of middle lines"),
        ({"initial": torch.ones(28, dtype=torch.bool)}, "or a numpy bool mask; found tensor"),
        ({"initial": np.ones(28, int)}, "or a numpy bool mask; found array"),
        ({"initial": [[1], [2, 3]]}, r"or a numpy bool mask; found \[\[1\], \[2, 3\]\]"),
        ({"initial": []}, r"or a numpy bool mask; found \[\]"),
        ({"initial": None}, "needs `initial`, or a preset"),
        ({"render_mode": "human"}, "render_mode is 'rgb_array' or nothing, found 'human'"),
        ({"score": "sim"}, "score is ssim or psnr or nmse or mse or kspace_nmse, found 'sim'"),
        ({"reward": "last"}, "reward is gain or final, found 'last'"),
        ({"more_scores": ("dice",)}, "more_scores are of ssim, psnr, nmse, mse, kspace_nmse, found 'dice'"),
        ({"rewards": "gain"}, "no setting 'rewards'; did you mean 'reward'"),
        ({"preset": "miccai"}, "no preset is called 'miccai'; there are miccai_normal, miccai_extreme"),
        ({"acquired": (9, 3)}, "acquired is the first column and the one after the last"),
        ({"held_bytes": -1}, "width and held_bytes are at least 0"),
    ],
)
def test_bad_settings_are_named_on_one_line(change, message):
    with pytest.raises(ConfigError, match=message) as error:
        make_env(**change).reset(seed=1)
    assert "\n" not in str(error.value)


def test_an_action_out_of_range_is_named():
    env = make_env()
    env.reset(seed=1)
    for column in (-1, 28):
        with pytest.raises(DataError, match=f"an action is a column from 0 to 27, found {column}"):
            env.step(column)
        with pytest.raises(DataError, match=f"found {column}"):
            env.try_actions(np.array([column]))


@pytest.mark.parametrize("action", [2.5, np.nan, None, "3", True, [3, 4], [], np.float64(3)])
def test_what_is_no_column_is_refused_and_costs_no_step(action):
    env = make_env()
    env.reset(seed=1)
    before = env.episodes.mask.copy()
    with pytest.raises(DataError, match="an action is a column from 0 to 27, one for each of 1; found") as error:
        env.step(action)
    assert "\n" not in str(error.value)
    assert (env.episodes.mask == before).all()
    assert env.episodes.num_steps == 0
    with pytest.raises(DataError, match=r"from 0 to 27, one for each of 2; found \[1.5, 2.0\]"):
        env.try_actions(np.array([1.5, 2.0]))


def test_a_column_may_be_any_whole_number_and_none_need_be_tried():
    env = make_env()
    env.reset(seed=1)
    for count, column in enumerate((3, np.int32(4), np.array(5), np.array([6], np.uint8)), 7):
        assert env.step(column)[4]["num_lines"] == count
    assert env.try_actions(np.array([], int))["ssim"].shape == (0,)


def test_unknown_options_volumes_and_slices_are_named():
    env = make_env()
    with pytest.raises(ConfigError, match="reset has the options volume and slice, found 'volumes'"):
        env.reset(options={"volumes": "file0"})
    with pytest.raises(DataError, match="there is no volume 'file7' in this split; it has file0, file1"):
        env.reset(options={"volume": "file7"})
    with pytest.raises(DataError, match="there is no slice 9 of a volume 'file0'"):
        env.reset(options={"volume": "file0", "slice": 9})
