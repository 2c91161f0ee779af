"""Training on a CUDA device; these tests skip where there is none."""

import pytest
import torch
from training.small_run import are_same_bits, largest_difference, newest_state, run
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
