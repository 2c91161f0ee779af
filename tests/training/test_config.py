import dataclasses
import json
import re

import pytest
from training.small_run import CONFIG

from mrikit.config import build_config, change_config
from mrikit.errors import ConfigError
from mrikit.training import DataConfig, ExecutionConfig, RunConfig, TrainingConfig


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (
            TrainingConfig,
            {"loss": "l2"},
            (
                "training.loss: no term is called 'l2', known: ssim, l1, ssim_body, kspace_nmse, uncertainty; "
                "try 'ssim + 0.01 l1'"
            ),
        ),
        (TrainingConfig, {"schedule": "flat"}, "training.schedule is one of cosine, step, found 'flat'"),
        (TrainingConfig, {"precision": "fp16"}, "training.precision is one of fp32, bf16, found 'fp16'"),
        (TrainingConfig, {"num_epochs": 0}, "training.num_epochs is at least 1, found 0"),
        (TrainingConfig, {"batch_size": 0}, "training.batch_size is at least 1, found 0"),
        (TrainingConfig, {"micro_batch_size": -1}, "training.micro_batch_size is at least 1, found -1"),
        (TrainingConfig, {"step_epochs": 0}, "training.step_epochs is at least 1, found 0"),
        (
            TrainingConfig,
            {"batch_size": 3, "micro_batch_size": 2},
            "training.batch_size is a multiple of training.micro_batch_size, found 3 and 2",
        ),
        (
            TrainingConfig,
            {"max_lr": 0.0},
            "training needs max_lr above 0 and min_lr from 0 to max_lr, found max_lr 0 and min_lr 0",
        ),
        (
            TrainingConfig,
            {"max_lr": 1e-3, "min_lr": 1e-2},
            "training needs max_lr above 0 and min_lr from 0 to max_lr, found max_lr 0.001 and min_lr 0.01",
        ),
        (
            TrainingConfig,
            {"max_lr": float("nan")},
            "training needs max_lr above 0 and min_lr from 0 to max_lr, found max_lr nan and min_lr 0",
        ),
        (TrainingConfig, {"beta1": 1.0}, "training.beta1 is in [0, 1), found 1"),
        (TrainingConfig, {"beta2": -0.1}, "training.beta2 is in [0, 1), found -0.1"),
        (TrainingConfig, {"ema_decay": 1.5}, "training.ema_decay is in [0, 1), found 1.5"),
        (TrainingConfig, {"warmup_epochs": -1.0}, "training.warmup_epochs is 0 or more, found -1"),
        (TrainingConfig, {"max_grad_norm": float("inf")}, "training.max_grad_norm is 0 or more, found inf"),
        (TrainingConfig, {"seed": -1}, "training.seed is 0 or more, found -1"),
        (ExecutionConfig, {"zero_stage": 4}, "execution.zero_stage is 0, 1, 2 or 3, found 4"),
        (
            ExecutionConfig,
            {"offload_optimizer": True},
            "execution.offload_optimizer needs execution.zero_stage from 1; set zero_stage=1",
        ),
        (ExecutionConfig, {"keep": 0}, "execution.keep is at least 1, found 0"),
        (ExecutionConfig, {"num_workers": -1}, "execution.num_workers is 0 or more, found -1"),
        (ExecutionConfig, {"max_disk_gb": -0.5}, "execution.max_disk_gb is 0 or more, found -0.5"),
        (ExecutionConfig, {"checkpoint_minutes": -2.0}, "execution.checkpoint_minutes is 0 or more, found -2"),
        (DataConfig, {"mask_kind": "spiral"}, "no mask is called 'spiral'; there are "),
        (
            DataConfig,
            {"accelerations": (4.0, 8.0)},
            (
                "each acceleration needs its centre fraction, found 2 and 1; give as many "
                "data.center_fractions as data.accelerations"
            ),
        ),
        (
            DataConfig,
            {"accelerations": (), "center_fractions": ()},
            (
                "each acceleration needs its centre fraction, found 0 and 0; give as many "
                "data.center_fractions as data.accelerations"
            ),
        ),
        (DataConfig, {"num_validation": -1.0}, "data.num_validation is 0 or more, found -1"),
        (DataConfig, {"num_volumes": -1}, "data.num_volumes is 0 or more, found -1"),
        (DataConfig, {"max_readout": -1}, "data.max_readout is 0 or more, found -1"),
        (DataConfig, {"num_coils": -1}, "data.num_coils is 0 or more, found -1"),
        (DataConfig, {"matrix": (128,)}, "data.matrix is readout,phase, such as 128,128, found 128"),
        (DataConfig, {"matrix": (0, 8)}, "data.matrix is readout,phase, such as 128,128, found 0,8"),
        (
            DataConfig,
            {"matrix": (8, 8), "max_readout": 16},
            "data.matrix crops the readout, and so does data.max_readout 16; set the latter to 0",
        ),
        (DataConfig, {"validation_mask_kind": "star"}, "no mask is called 'star'; there are "),
        (
            TrainingConfig,
            {"schedule_epochs": 3, "num_epochs": 4},
            "training.schedule_epochs is 0 or at least training.num_epochs, found 3 and 4",
        ),
        (TrainingConfig, {"first_epoch": -1}, "training.first_epoch is 0 or more, found -1"),
    ],
)
def test_a_value_out_of_range_is_one_clear_line(config, settings, message):
    with pytest.raises(ConfigError) as caught:
        config(**settings)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ({"training.max_rl": "1"}, "train.training has no setting 'max_rl'; did you mean 'max_lr'?"),
        ({"trainig.max_lr": "1"}, "train has no setting 'trainig'; did you mean 'training'?"),
        ({"training.max_lr": "fast"}, "train.training.max_lr is of type float, found 'fast'"),
        (
            {"training": "fast"},
            "train.training is a group of settings; set one of them, as in train.training.n",
        ),
        ({"model_config.num_cascade": 3}, "model_config has no setting 'num_cascade'; did you mean 'num_cascades'?"),
        ({"model_config.num_cascades": "a"}, "model_config.num_cascades is of type int, found 'a'"),
        ({"model_config.num_cascades": 0}, "varnet needs at least 1 cascade, channel and pooling"),
        (
            {"model": "resnet"},
            "model is one of unet, varnet, promptmr, spirit_net, adaptive_varnet, cvpr19, soft_varnet, anatomy_net",
        ),
        (
            {"training.loss": "cross_entropy"},
            "training.loss is cross_entropy for anatomy_net, orientation_net and no other, found varnet with",
        ),
    ],
)
def test_a_wrong_setting_of_a_run_is_one_clear_line(assignment, message):
    with pytest.raises(ConfigError) as caught:
        change_config(CONFIG, assignment, "train")
    assert str(caught.value).startswith(message)


def test_a_run_keeps_every_setting_of_its_network():
    settings = change_config(CONFIG, {"model_config": {"num_cascades": "3"}}, "train").model_config
    assert settings["num_cascades"] == 3
    assert settings["use_checkpoint"] is False


def test_a_run_is_the_same_in_whichever_way_its_settings_are_written():
    words = {"model_config.num_cascades": "2", "model_config.use_checkpoint": "false", "data.accelerations": "4"}
    assert change_config(CONFIG, words, "train") == CONFIG


def test_a_run_comes_back_from_json_as_it_was():
    text = json.dumps(dataclasses.asdict(CONFIG))
    assert build_config(RunConfig, json.loads(text), "config") == CONFIG


def test_a_kind_of_mask_has_its_settings():
    words = {"data.mask_kind": "variable_density", "data.mask_settings.power": "3"}
    data = change_config(CONFIG, words, "train").data
    assert dict(data.plans[0].settings) == dict(data.validation_plans[0].settings) == {"power": 3.0}
    assert data == dataclasses.replace(CONFIG.data, mask_kind="variable_density", mask_settings={"power": 3.0})
    other = change_config(CONFIG, words | {"data.validation_mask_kind": "fixed"}, "train").data
    assert dict(other.validation_plans[0].settings) == {}


def test_tiles_and_steps_are_set_from_words_as_a_sweep_gives_them():
    words = {"data.mask_kind": "random_tile", "data.accelerations": "4,8", "data.center_fractions": "0,0"}
    settings = {"data.mask_settings.seed": "86672", "data.mask_settings.acs": "square"}
    data = change_config(CONFIG, words | settings | {"data.mask_settings.is_whole": "true"}, "train").data
    assert [dict(plan.settings) for plan in data.plans] == [{"seed": 86672, "acs": "square", "is_whole": True}] * 2
    words = {"data.mask_kind": "caipirinha", "data.mask_settings.steps": "2,4", "data.mask_settings.shift": "2"}
    data = change_config(CONFIG, words, "train").data
    assert dict(data.plans[0].settings) == {"steps": (2, 4), "shift": 2}
    assert json.loads(json.dumps(data.plans[0].facts))["settings"] == {"steps": [2, 4], "shift": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"data.mask_settings.power": "3"},
            "the equispaced_fraction mask has no setting 'power'; it has num_center_lines",
        ),
        (
            {"data.mask_kind": "poisson_disc", "data.mask_settings.centre": "8,8"},
            "the poisson_disc mask has no setting 'centre'; did you mean 'center'?",
        ),
        (
            {"data.validation_mask_settings.power": "3"},
            "data.validation_mask_settings need data.validation_mask_kind; found none",
        ),
        ({"data.mask_kind": "a.npy", "data.mask_settings.power": "3"}, "a mask file has no settings, found power"),
    ],
)
def test_settings_of_another_kind_of_mask_are_refused(words, message):
    with pytest.raises(ConfigError) as raised:
        change_config(CONFIG, words, "train")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"augment.transpose_probability": "1.5"},
            "augment.transpose_probability is a probability in [0, 1], found 1.5",
        ),
        (
            {"augment.transpose_probability": "0.5", "data.mask_kind": "poisson_disc"},
            "augment.transpose_probability swaps readout and phase, and poisson_disc has no orientation; set it to 0,",
        ),
        (
            {"augment.transpose_probability": "0.5", "sampler.kind": "lines"},
            "augment.transpose_probability swaps readout and phase, and masks are learned for one orientation; set it",
        ),
    ],
)
def test_what_has_no_orientation_is_not_transposed(words, message):
    with pytest.raises(ConfigError) as raised:
        change_config(CONFIG, words, "train")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"data.max_phase": "-1"}, "data.max_phase is 0 or more, found -1"),
        ({"data.epoch_share": "0"}, "data.epoch_share is above 0 and at most 1, found 0; try 0.2"),
        ({"data.epoch_share": "1.2"}, "data.epoch_share is above 0 and at most 1, found 1.2; try 0.2"),
        ({"data.field_strength_t": "nan"}, "data.field_strength_t is 0 or more, found nan"),
        (
            {"data.min_coils": "8", "data.max_coils": "4"},
            "data.max_coils is 0 or at least data.min_coils, found 4 and 8",
        ),
        ({"data.min_phase": "369", "data.max_phase": "368"}, "data.max_phase is 0 or at least data.min_phase"),
    ],
)
def test_a_choice_of_data_that_nothing_can_fit_is_refused(words, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        change_config(CONFIG, words, "train")


def test_each_acceleration_has_its_plan():
    data = DataConfig(mask_kind="random", accelerations=(4.0, 8.0), center_fractions=(0.08, 0.04))
    assert [(plan.kind, plan.acceleration, plan.center_fraction) for plan in data.plans] == [
        ("random", 4.0, 0.08),
        ("random", 8.0, 0.04),
    ]
