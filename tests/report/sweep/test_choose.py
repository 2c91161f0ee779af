"""The best settings of a sweep: by validation, over seeds, never by test."""

import math

import pytest
from scipy import stats

from mrikit.errors import ConfigError
from mrikit.report.sweep.choose import choose, seed_mean
from mrikit.report.sweep.runs import SweepRun
from mrikit.report.training import RunScore

NMSE = RunScore("kspace_nmse", "k-space NMSE", higher_is_better=False)


def member(kind, seed, best, test=None, **more):
    settings = {"data.mask_kind": kind, "training.max_lr": "0.1", "training.seed": str(seed), **more.pop("also", {})}
    given = {"state": "succeeded", "is_done": True, "task": "brain_sampling", **more}
    scores = {} if test is None else {"ssim": test, "psnr": 30.0, "nmse": 0.1}
    return SweepRun(name=f"{kind}-{seed}", settings=settings, best=best, test=scores, **given)


def test_the_interval_is_students_and_covers_the_mean_19_times_of_20():
    values = stats.norm(3, 2).rvs((1500, 5), random_state=1)
    found = [seed_mean(row) for row in values]
    inside = sum(abs(one.mean - 3) <= one.half_width for one in found) / len(found)
    assert inside == pytest.approx(0.95, abs=0.015)
    assert seed_mean([1.0, 2.0, 3.0]).half_width == pytest.approx(4.302652729749 / math.sqrt(3))


def test_one_seed_has_no_interval_and_an_infinite_value_neither():
    assert seed_mean([2.0]).half_width is None
    assert seed_mean([2.0, math.inf]).half_width is None


def test_the_mean_over_seeds_chooses_and_not_the_luckiest_seed():
    runs = [member("a", 1, 0.9), member("a", 2, 0.1), member("b", 1, 0.6), member("b", 2, 0.7)]
    (choice,) = choose(runs)
    assert [run.name for run in choice.runs] == ["b-1", "b-2"]
    assert choice.validation.mean == pytest.approx(0.65)
    assert choice.settings == {"data.mask_kind": "b", "training.max_lr": "0.1"}
    assert choice.num_settings == 2


def test_the_best_test_score_chooses_nothing():
    runs = [member("a", 1, 0.8, test=0.1), member("b", 1, 0.7, test=0.9)]
    (choice,) = choose(runs)
    assert choice.runs[0].name == "a-1"
    assert choice.test["ssim"].mean == 0.1


def test_a_lower_score_is_better_where_the_run_says_so():
    runs = [member("a", 1, 0.8, score=NMSE), member("b", 1, 0.7, score=NMSE)]
    assert choose(runs)[0].runs[0].name == "b-1"


def test_each_value_of_a_key_has_a_best_of_its_own_in_the_order_of_the_file():
    runs = [
        member(kind, seed, best, also={"model_config.num_blocks": blocks})
        for kind in ("b", "a")
        for blocks, best in (("1", 0.5), ("5", 0.9))
        for seed in (1, 2)
    ]
    choices = choose(runs, ["data.mask_kind"])
    assert [choice.group["data.mask_kind"] for choice in choices] == ["b", "a"]
    assert [choice.settings["model_config.num_blocks"] for choice in choices] == ["5", "5"]
    assert len(choose(runs, ["data.mask_kind", "model_config.num_blocks"])) == 4


def test_tasks_are_always_told_apart():
    runs = [member("a", 1, 0.8), member("a", 1, 0.7, task="digits_sampling")]
    assert [choice.group for choice in choose(runs)] == [{"task": "brain_sampling"}, {"task": "digits_sampling"}]
    assert choose(runs, ["task"]) == choose(runs)


def test_a_group_of_members_without_the_key_is_named_as_such():
    runs = [member("tile", 1, 0.8, also={"data.mask_settings.seed": "7"}), member("uniform", 1, 0.7)]
    assert [one.group["data.mask_settings.seed"] for one in choose(runs, ["data.mask_settings.seed"])] == ["7", ""]


def test_members_that_are_not_done_take_no_part():
    runs = [member("a", 1, 0.9, is_done=False, state="running"), member("b", 1, 0.7), member("c", 1, None)]
    (choice,) = choose(runs)
    assert choice.runs[0].name == "b-1"


def test_settings_of_fewer_seeds_are_left_out_and_counted():
    runs = [member("a", 1, 0.9), member("b", 1, 0.6), member("b", 2, 0.7)]
    (choice,) = choose(runs)
    assert choice.settings["data.mask_kind"] == "b"
    assert (choice.num_settings, choice.num_fewer) == (1, 1)


def test_there_are_no_test_scores_unless_every_seed_was_tested():
    assert choose([member("a", 1, 0.9, test=0.5), member("a", 2, 0.9)])[0].test == {}
    both = choose([member("a", 1, 0.9, test=0.5), member("a", 2, 0.9, test=0.7)])[0].test
    assert both["ssim"].mean == pytest.approx(0.6)


def test_an_unknown_key_is_one_line_with_the_nearest():
    runs = [member("a", 1, 0.9)]
    with pytest.raises(
        ConfigError, match=r"--by data\.mask_kin: no setting of this sweep; did you mean data\.mask_kind"
    ):
        choose(runs, ["data.mask_kin"])
    with pytest.raises(
        ConfigError, match=r"--by xyz: .* it has task, data\.mask_kind, training\.max_lr, training\.seed"
    ):
        choose(runs, ["xyz"])


def test_scores_that_do_not_compare_are_refused():
    runs = [member("a", 1, 0.9), member("b", 1, 0.8, score=NMSE)]
    with pytest.raises(ConfigError, match="were validated by SSIM and k-space NMSE, which do not compare"):
        choose(runs)
    assert len(choose(runs, ["data.mask_kind"])) == 2
