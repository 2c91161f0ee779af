"""Training on a CUDA device; these tests skip where there is none."""

import dataclasses

import pytest
import torch
from training.small_run import CONFIG, are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_training_on_the_device_is_training_on_the_cpu(study, finished, tmp_path, stage):
    run(study, tmp_path, device="cuda", execution__zero_stage=stage)
    assert largest_difference(newest_state(tmp_path), newest_state(finished[0])) < 1e-3


@pytest.mark.parametrize("offload", [False, True])
def test_a_deterministic_run_on_the_device_resumes_with_the_same_bits(study, tmp_path, offload):
    settings = {"execution__deterministic": True, "execution__zero_stage": 1, "execution__offload_optimizer": offload}
    run(study, tmp_path / "whole", device="cuda", **settings)
    run(study, tmp_path / "parts", device="cuda", on_row=stop_at(3), **settings)
    run(study, tmp_path / "parts", device="cuda", **settings)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


def test_bf16_trains_on_the_device(study, finished, tmp_path):
    run(study, tmp_path, device="cuda", training__precision="bf16")
    assert largest_difference(newest_state(tmp_path), newest_state(finished[0])) < 0.1


PROMPTMR = {
    "num_cascades": 2,
    "stem_width": 4,
    "feature_widths": (4, 4, 4),
    "prompt_widths": (4, 4, 4),
    "prompt_sizes": (4, 4, 4),
    "sens_stem_width": 4,
    "sens_feature_widths": (4, 4, 4),
    "sens_prompt_widths": (4, 4, 4),
}


@pytest.mark.parametrize("settings", [{}, {"use_checkpoint": True}, {"use_checkpoint": True, "checkpoint_every": 0}])
def test_promptmr_with_augmentation_trains_to_the_same_bits_twice(study, tmp_path, settings):
    config = dataclasses.replace(CONFIG, model="promptmr", model_config={**PROMPTMR, **settings})
    changes = {"execution__deterministic": True, "augment__strength": 1.0, "training__loss": "ssim_body"}
    for name in ("first", "second"):
        run(study, tmp_path / name, device="cuda", config=config, **changes)
    assert are_same_bits(newest_state(tmp_path / "first"), newest_state(tmp_path / "second"))


def test_a_compiled_network_learns_the_same_on_the_device(study, tmp_path):
    config = dataclasses.replace(CONFIG, model="promptmr", model_config=PROMPTMR)
    for name, is_compiled in (("eager", False), ("compiled", True)):
        run(study, tmp_path / name, device="cuda", config=config, execution__compile=is_compiled)
    assert largest_difference(newest_state(tmp_path / "eager"), newest_state(tmp_path / "compiled")) < 1e-3
