import pytest
import torch
from training.small_run import are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at

from mrikit.training import build
from mrikit.training.deepspeed_config import deepspeed_config


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_zero_stage_trains_as_one_process_does(study, finished, tmp_path, stage):
    rows = []
    run(study, tmp_path, rows, execution__zero_stage=stage)
    assert largest_difference(newest_state(tmp_path), newest_state(finished[0])) < 2e-6
    assert all(row["grad_norm"] > 0 for row in rows if row["kind"] == "train")


@pytest.mark.parametrize(("before", "after"), [(0, 3), (3, 1), (2, 0)])
def test_a_run_goes_on_with_another_zero_stage(study, finished, tmp_path, before, after):
    run(study, tmp_path, on_row=stop_at(4), execution__zero_stage=before)
    run(study, tmp_path, execution__zero_stage=after)
    assert largest_difference(newest_state(tmp_path), newest_state(finished[0])) < 2e-6


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_zero_stage_resumes_with_the_same_bits(study, tmp_path, stage):
    run(study, tmp_path / "whole", execution__zero_stage=stage)
    run(study, tmp_path / "parts", on_row=stop_at(4), execution__zero_stage=stage)
    run(study, tmp_path / "parts", execution__zero_stage=stage)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_sharded_weights_are_gathered_for_cascades_that_are_computed_twice(study, tmp_path, monkeypatch, precision):
    """Small weights stay whole on every process unless DeepSpeed is told otherwise; those of a real network do not."""
    told = deepspeed_config

    def shard_all(*arguments, **facts):
        config = told(*arguments, **facts)
        config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return config

    settings = {"training__precision": precision, "training__num_epochs": 1, "execution__checkpoint_minutes": 9}
    settings |= {"execution__zero_stage": 3}
    run(study, tmp_path / "plain", **settings)
    monkeypatch.setattr(build, "deepspeed_config", shard_all)
    run(study, tmp_path / "twice", **settings, model_config__use_checkpoint=True)
    assert are_same_bits(newest_state(tmp_path / "twice"), newest_state(tmp_path / "plain"))


def test_zero_3_leaves_torch_as_it_was(study, tmp_path):
    before = torch.nn.functional.linear
    run(study, tmp_path, execution__zero_stage=3, training__num_epochs=1)
    assert torch.nn.functional.linear is before
