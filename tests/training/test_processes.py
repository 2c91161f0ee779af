"""Several processes train as one: they meet on the loopback, as torchrun starts them."""

import shutil
import signal

import h5py
import pytest
from training.children import newest_step, read_logs, start, start_several, wait
from training.small_run import CONFIG, largest_difference, newest_state, run
from waiting import until

from mrikit.checkpoint import load_weights
from mrikit.config import change_config
from mrikit.runs.run_folder import locked

TOLERANCE = 2e-6  # of rounding: two processes sum the same gradients in another order


@pytest.mark.parametrize("stage", [0, 3, *(pytest.param(stage, marks=pytest.mark.slow) for stage in (1, 2))])
def test_two_processes_train_as_one_and_only_the_first_talks_and_writes(study, finished, tmp_path, stage):
    settings = {"execution__zero_stage": stage, "execution__checkpoint_minutes": 9}
    assert wait(start_several(study, tmp_path / "run", 2, tmp_path, **settings)) == [0, 0]
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(finished[0])) < TOLERANCE
    found, wanted = load_weights(tmp_path / "run"), load_weights(finished[0])
    assert found.record["ssim"] == pytest.approx(wanted.record["ssim"], abs=1e-6)
    first, second = read_logs(tmp_path, 2)
    assert first["lines"][0].endswith("5 volumes to train on and 2 to validate on, 2 processes on cpu")
    assert (len(first["lines"]), first["num_rows"], first["is_first"]) == (2, 14, True)
    assert (second["lines"], second["num_rows"], second["is_first"]) == ([], 0, False)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 14
    assert len((tmp_path / "run" / "log.txt").read_text().splitlines()) == 2
    begun, wanted = (folder / "pictures" / "step-00000000-validation.png" for folder in (tmp_path / "run", finished[0]))
    assert begun.read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize(
    ("num_before", "stage_before", "stage_after"),
    [(2, 3, 1), *(pytest.param(*turn, marks=pytest.mark.slow) for turn in [(1, 0, 3), (2, 2, 0), (1, 1, 2)])],
)
def test_a_run_goes_on_with_another_number_of_processes(
    study, finished, tmp_path, num_before, stage_before, stage_after
):
    settings = {"execution__zero_stage": stage_before, "execution__checkpoint_minutes": 9}
    stop = [("after a step", 6, signal.SIGTERM)] + [None] * (num_before - 1)
    assert wait(start_several(study, tmp_path / "run", num_before, tmp_path, dies=stop, **settings)) == [0] * num_before
    assert [log["step"] for log in read_logs(tmp_path, num_before)] == [7] * num_before
    settings |= {"execution__zero_stage": stage_after}
    assert wait(start_several(study, tmp_path / "run", 3 - num_before, tmp_path, **settings)) == [0] * (3 - num_before)
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(finished[0])) < TOLERANCE


@pytest.mark.slow
def test_three_processes_share_a_step_of_three_slices(study, tmp_path):
    settings = {"training__batch_size": 3, "training__num_epochs": 1}
    assert wait(start_several(study, tmp_path / "three", 3, tmp_path, **settings)) == [0, 0, 0]
    run(study, tmp_path / "one", **settings)
    assert largest_difference(newest_state(tmp_path / "three"), newest_state(tmp_path / "one")) < TOLERANCE


def test_dropout_and_accumulated_short_micro_batches_do_not_depend_on_the_processes(study, tmp_path):
    network = {"num_channels": 2, "num_pools": 1, "dropout": 0.3}
    changes = {"model": "unet", "model_config": network, "training.micro_batch_size": 2, "training.batch_size": 4}
    config = change_config(CONFIG, changes, "test")
    assert wait(start_several(study, tmp_path / "two", 2, tmp_path, config=config)) == [0, 0]
    run(study, tmp_path / "one", config=config)
    assert largest_difference(newest_state(tmp_path / "two"), newest_state(tmp_path / "one")) < TOLERANCE


@pytest.mark.parametrize(
    ("victim", "place", "stage"),
    [
        (1, ("while a volume is scored", 1), 0),
        *(
            pytest.param(*turn, marks=pytest.mark.slow)
            for turn in [
                (0, ("between two tensors of a file", 700), 0),
                (0, ("while a volume is scored", 1), 1),
                (0, None, 0),
                (1, None, 0),
                (1, None, 3),
            ]
        ),
    ],
)
def test_when_one_process_is_killed_the_other_ends_with_one_line(study, finished, tmp_path, victim, place, stage):
    dies = [place if rank == victim else None for rank in range(2)]
    settings = {"execution__zero_stage": stage}
    processes = start_several(study, tmp_path / "run", 2, tmp_path, dies=dies, **settings)
    if place is None:  # at any moment
        until(lambda: newest_step(tmp_path / "run") >= 3)
        processes[victim].kill()
    codes = wait(processes)
    assert (codes[victim], codes[1 - victim]) == (-9, 1)
    error = read_logs(tmp_path, 2)[1 - victim]["error"]
    assert error["type"] == "JobError"
    assert error["message"].startswith(f"another process of the run in {tmp_path / 'run'} died (")
    assert error["message"].endswith("; the same command goes on from the last checkpoint")
    assert "\n" not in error["message"]
    step = newest_step(tmp_path / "run")
    assert step >= 1
    assert wait(start_several(study, tmp_path / "run", 2, tmp_path, **settings)) == [0, 0]
    assert read_logs(tmp_path, 2)[0]["lines"][0].startswith(f"going on after step {step} of 10")
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(finished[0])) < TOLERANCE


def test_a_run_that_no_process_can_begin_is_told_once(study, tmp_path):
    """Each finds the same; only one says it."""
    assert wait(start_several(study, tmp_path / "run", 2, tmp_path, training__batch_size=1)) == [1, 1]
    errors = sorted(log["error"]["type"] for log in read_logs(tmp_path, 2))
    assert errors == ["ConfigError", "ToldElsewhereError"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kspace", "reconstruction_rss"])
def test_what_one_process_cannot_use_is_named_once(study, tmp_path, name):
    """The one that reads it tells; the other one, left alone, does not hang and says nothing else."""
    data = shutil.copytree(study, tmp_path / "data")
    for path in data.glob("v*.h5"):
        with h5py.File(path, "r+") as file:
            file[name][1] = float("nan")
    settings = {"data__num_validation": 0, "training__num_epochs": 3}
    assert wait(start_several(data, tmp_path / "run", 2, tmp_path, **settings)) == [1, 1]
    errors = {log["error"]["type"]: log["error"]["message"] for log in read_logs(tmp_path, 2)}
    assert set(errors) == {"DamageError", "ToldElsewhereError"}
    assert "slice 1" in errors["DamageError"]
    assert "v" in errors["DamageError"]


@pytest.mark.slow
def test_a_disk_that_is_full_is_told_once_and_the_last_checkpoint_stays(study, finished, full_disk, tmp_path):
    (full_disk / "ballast").write_bytes(bytes(900_000))
    settings = {"execution__keep": 9}
    assert wait(start_several(study, full_disk / "run", 2, tmp_path, **settings)) == [1, 1]
    errors = {log["error"]["type"]: log["error"]["message"] for log in read_logs(tmp_path, 2)}
    assert set(errors) == {"StorageError", "ToldElsewhereError"}
    assert "the disk is full" in errors["StorageError"]
    (full_disk / "ballast").unlink()
    assert wait(start_several(study, full_disk / "run", 2, tmp_path, **settings)) == [0, 0]
    assert largest_difference(newest_state(full_disk / "run"), newest_state(finished[0])) < TOLERANCE


def test_processes_that_were_started_with_other_settings_are_told_so(study, tmp_path):
    assert wait(start_several(study, tmp_path / "run", 2, tmp_path, training__seed=[4, 5])) == [1, 1]
    errors = {log["error"]["type"]: log["error"]["message"] for log in read_logs(tmp_path, 2)}
    assert set(errors) == {"JobError", "ToldElsewhereError"}
    assert errors["JobError"].startswith("process 1 differs from the first one in its settings (")


@pytest.mark.slow
def test_processes_that_see_other_disks_are_told_so(study, tmp_path):
    other = shutil.copytree(study, tmp_path / "other")
    (other / "v0.h5").unlink()
    assert wait(start_several([study, other], tmp_path / "run", 2, tmp_path)) == [1, 1]
    errors = {log["error"]["type"]: log["error"]["message"] for log in read_logs(tmp_path, 2)}
    assert errors["JobError"].startswith("process 1 differs from the first one in its volumes (")
    assert wait([start(study, tmp_path / "run", dies=("after a step", 3))]) == [-9]
    step = newest_step(tmp_path / "run")
    assert wait(start_several(study, [tmp_path / "run", tmp_path / "elsewhere"], 2, tmp_path)) == [1, 1]
    errors = {log["error"]["type"]: log["error"]["message"] for log in read_logs(tmp_path, 2)}
    message = f"process 1 differs from the first one in its step of the newest checkpoint (0, not {step}); start all"
    assert errors["JobError"].startswith(message)


def test_a_folder_that_another_run_holds_is_told_once_and_nobody_waits(study, tmp_path):
    with locked(tmp_path / "run"):
        assert wait(start_several(study, tmp_path / "run", 2, tmp_path)) == [1, 1]
    errors = {log["error"]["type"]: log["error"]["message"] for log in read_logs(tmp_path, 2)}
    assert set(errors) == {"JobError", "ToldElsewhereError"}
    assert "another process trains in" in errors["JobError"]


@pytest.mark.slow
def test_two_processes_train_two_stages_although_one_is_slow(study, tmp_path):
    """Words and addresses of the first stage are still in the store that they share when the second begins."""
    stages = [
        change_config(CONFIG, {"stage": number, "training.num_epochs": 1, "training.first_epoch": number - 1}, "test")
        for number in (1, 2)
    ]
    quick = {"execution__checkpoint_minutes": 9, "execution__keep_best": True}
    then = {"folder": tmp_path / "two" / "stage-2", "config": stages[1], **quick}
    first = tmp_path / "two" / "stage-1"
    assert wait(start_several(study, first, 2, tmp_path, config=stages[0], then=then, **quick)) == [0, 0]
    run(study, tmp_path / "one" / "stage-1", config=stages[0], **quick)
    run(study, tmp_path / "one" / "stage-2", config=stages[1], start=tmp_path / "one" / "stage-1", **quick)
    found, wanted = (newest_state(tmp_path / name / "stage-2") for name in ("two", "one"))
    assert largest_difference(found, wanted) < TOLERANCE
