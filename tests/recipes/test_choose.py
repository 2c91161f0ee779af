import pytest

from mrikit.errors import ConfigError
from mrikit.recipes.choose import chosen_configs, run_name


def chosen(*settings, task="knee_acquire", stage=None):
    return chosen_configs(task, "tiny", stage, settings, {"keep": 5})


def test_a_setting_counts_for_the_stages_that_have_it():
    first, second = chosen(
        "data.num_validation=3", "training.batch_size=16", "learning.num_rows=2", "training.max_lr=1"
    )
    assert first.data.num_validation == second.data.num_validation == 3
    assert (first.training.batch_size, first.training.max_lr, second.learning.num_rows) == (16, 1, 2)
    assert first.execution.keep == second.execution.keep == 5
    assert second.learning.max_lr < 1


def test_who_is_held_out_is_the_same_in_both_stages():
    first, second = chosen("training.seed=4", "learning.seed=5")
    assert (first.training.seed, second.learning.split_seed, second.learning.seed) == (4, 4, 5)
    (alone,) = chosen("training.seed=4", stage=2)
    assert alone.learning.split_seed == 4


def test_another_policy_begins_with_its_own_settings():
    _, second = chosen("policy=ds_ddqn", "policy_config.discount=0.9")
    assert second.policy == "ds_ddqn"
    assert second.policy_config["num_hidden"] == 32
    assert second.policy_config["discount"] == 0.9
    assert "num_channels" not in second.policy_config


@pytest.mark.parametrize("task", ["knee_acquire", "digits_acquire"])
def test_stages_learn_on_the_same_data_and_lines(task):
    first, second = chosen(task=task)
    assert first.data == second.data
    assert (first.stage, second.stage) == (1, 2)
    drawn = first.data.plans[0].typed_settings
    assert (drawn.num_given, drawn.budget) == (second.episode.num_given, second.episode.budget)


def test_digits_are_learned_by_the_error_of_their_kspace():
    _, second = chosen(task="digits_acquire")
    assert (second.policy, second.episode.score, second.policy_config["discount"]) == ("digits_ddqn", "kspace_nmse", 1)


def test_a_run_is_called_by_its_policy():
    assert run_name(chosen("policy=ds_ddqn")) == "knee_acquire-ds_ddqn-tiny"
    assert run_name(chosen(stage=1)).startswith("knee_acquire-unet")
    assert run_name(chosen(task="knee_multicoil")) == "knee_multicoil-varnet-tiny"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["learn.num_steps=3"], "train has no setting 'learn'"),
        (["policy=random"], "the policy random needs no training"),
        (["policy_config=3"], "policy_config is a group of settings"),
        (["episode.budget=9"], "episode.budget is 9, and the reconstructor is trained for 12; set data.mask_settings"),
        (["reconstructor=zero_filled"], "reconstructor=zero_filled is ready"),
    ],
)
def test_what_no_stage_can_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        chosen(*settings)


def test_another_kind_of_mask_keeps_the_settings_that_it_has_too():
    first, second = chosen_configs("knee_banding", "tiny", None, ["data.mask_kind=equispaced"], {})
    assert first.data.mask_settings == second.data.mask_settings == {"num_center_lines": 8, "offset": "acquired"}
    (random, _) = chosen_configs(
        "knee_banding", "tiny", None, ["data.mask_kind=random", "data.mask_settings.num_center_lines=4"], {}
    )
    assert random.data.mask_settings == {"num_center_lines": 4}
    with pytest.raises(ConfigError, match="has no setting 'rule'"):
        chosen_configs("knee_banding", "tiny", None, ["data.mask_kind=equispaced", "data.mask_settings.rule=even"], {})


def test_a_task_without_a_policy_has_no_settings_of_one():
    with pytest.raises(ConfigError, match="train has no setting 'policy'"):
        chosen("policy=ss_ddqn", task="knee_multicoil")
    with pytest.raises(ConfigError, match="train has no setting 'training'"):
        chosen("training.max_lr=1", stage=2)
