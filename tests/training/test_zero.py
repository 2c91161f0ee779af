import pytest
from training.small_run import are_same_bits, largest_difference, newest_state, run
from training.test_train import stop_at


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


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 3])
def test_offloaded_moments_train_alike_and_resume_with_the_same_bits(study, finished, tmp_path, stage):
    lines = []
    settings = {"execution__zero_stage": stage, "execution__offload_optimizer": True}
    run(study, tmp_path / "whole", lines=lines, **settings)
    assert any("CPU-Adam" in line for line in lines)
    assert not any("cannot be compiled" in line for line in lines)
    assert largest_difference(newest_state(tmp_path / "whole"), newest_state(finished[0])) < 2e-5
    run(study, tmp_path / "parts", on_row=stop_at(4), **settings)
    run(study, tmp_path / "parts", **settings)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))
