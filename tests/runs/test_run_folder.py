import json
from dataclasses import asdict

import pytest
import torch
from training.small_run import CONFIG

from mrikit.checkpoint import checkpoint_path, find_checkpoints, read_tensors
from mrikit.config import change_config
from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.runs.run_folder import Claim, append_log, claim_folder, locked, save_checkpoint
from mrikit.training.config import is_free, load_run_config

TENSORS = {"weights/a": torch.zeros(1000)}


def save(folder, *steps, last_good_step=None, keep=2, max_disk_gb=0.0):
    for step in steps:
        last = step - 1 if last_good_step is None else last_good_step
        save_checkpoint(folder, step, TENSORS, {}, last_good_step=last, keep=keep, max_disk_gb=max_disk_gb)


def steps(folder):
    return [int(path.stem[5:]) for path in find_checkpoints(folder)]


@pytest.mark.parametrize("keep", [1, 2, 3, 5, 9])
def test_so_many_checkpoints_stay_as_are_to_be_kept(tmp_path, keep):
    for step in range(1, 13):
        save(tmp_path, step, keep=keep)
        assert steps(tmp_path) == list(range(max(1, step - keep + 1), step + 1))


def test_writing_a_step_again_removes_no_other(tmp_path):
    save(tmp_path, 1, 2, 2)
    assert steps(tmp_path) == [1, 2]


@pytest.mark.parametrize("step", [5, 8, 11])
@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_checkpoints_go_before_good_ones(tmp_path, step, keep):
    save(tmp_path, 3, keep=9)
    for damaged in (7, 9):
        checkpoint_path(tmp_path, damaged).write_bytes(b"torn")
    save(tmp_path, step, last_good_step=3, keep=keep)
    assert steps(tmp_path) == [3, step][-keep:]


def test_under_a_limit_the_last_good_checkpoint_stays_until_the_new_one_is_whole(tmp_path):
    save(tmp_path, 3, 4, keep=9)
    size = checkpoint_path(tmp_path, 3).stat().st_size
    checkpoint_path(tmp_path, 7).write_bytes(bytes(size))
    checkpoint_path(tmp_path, 9).mkdir()  # nothing can be written here
    with pytest.raises(StorageError):
        save(tmp_path, 9, last_good_step=4, max_disk_gb=2.5 * size / 1e9)
    checkpoint_path(tmp_path, 9).rmdir()
    assert steps(tmp_path) == [4]
    assert read_tensors(checkpoint_path(tmp_path, 4)).keys() == TENSORS.keys()


def test_a_limit_that_has_no_room_for_two_is_refused_before_anything_is_removed(tmp_path):
    save(tmp_path, 3)
    size = checkpoint_path(tmp_path, 3).stat().st_size
    with pytest.raises(StorageError) as caught:
        save(tmp_path, 4, max_disk_gb=1.9 * size / 1e9)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: checkpoints may take ")
    assert message.endswith(" GB; raise execution.max_disk_gb")
    assert steps(tmp_path) == [3]


def claim(folder, digest="d", data=None, **changes):
    config = change_config(CONFIG, {name.replace("__", "."): value for name, value in changes.items()}, "test")
    claimed = Claim(
        title={"task": config.task, "size": config.size, "model": config.model},
        settings=asdict(config),
        data=[data or folder],
        data_digest=digest,
        is_free=is_free,
    )
    claim_folder(folder, claimed)


def test_what_a_run_was_started_with_can_be_read_back(tmp_path):
    claim(tmp_path, data=tmp_path / "data")
    found = json.loads((tmp_path / "config.json").read_text())
    assert (found["task"], found["size"], found["model"]) == ("knee_multicoil", "tiny", "varnet")
    assert (found["data"], found["data_digest"]) == (str(tmp_path / "data"), "d")
    assert load_run_config(tmp_path) == CONFIG


def test_a_run_without_checkpoints_may_be_anything_else(tmp_path):
    claim(tmp_path)
    claim(tmp_path, "other", training__seed=9)
    assert load_run_config(tmp_path).training.seed == 9


def test_every_change_is_listed(tmp_path):
    claim(tmp_path)
    save(tmp_path, 1)
    changes = {"training__max_lr": 0.1, "data__accelerations": "8", "model_config__num_pools": 2, "task": "t"}
    with pytest.raises(ConfigError) as caught:
        claim(tmp_path, **changes)
    assert str(caught.value) == (
        f"{tmp_path} holds a run with other settings: task was knee_multicoil, now t; model_config.num_pools was 1, "
        f"now 2; data.accelerations was [4.0], now [8.0]; training.max_lr was 0.003, now 0.1; go back to those, or "
        f"choose another --out"
    )
    assert load_run_config(tmp_path) == CONFIG


def test_other_volumes_are_a_change_wherever_they_are(tmp_path):
    claim(tmp_path, "d", data=tmp_path / "here")
    save(tmp_path, 1)
    with pytest.raises(ConfigError) as caught:
        claim(tmp_path, "e", data=tmp_path / "there")
    message = f"the volumes were those of {tmp_path}/here, now others or changed ones of {tmp_path}/there; go back"
    assert message in str(caught.value)


def test_the_same_volumes_may_be_elsewhere(tmp_path):
    claim(tmp_path, "d", data=tmp_path / "here")
    save(tmp_path, 1)
    claim(tmp_path, "d", data=tmp_path / "there")
    assert json.loads((tmp_path / "config.json").read_text())["data"] == str(tmp_path / "there")


def test_how_a_run_is_computed_may_change(tmp_path):
    claim(tmp_path)
    save(tmp_path, 1)
    changes = {"zero_stage": 3, "offload_optimizer": True, "num_workers": 0, "deterministic": True, "keep": 5}
    changes |= {"checkpoint_minutes": 3, "max_disk_gb": 4}
    claim(
        tmp_path, **{f"execution__{name}": value for name, value in changes.items()}, model_config__use_checkpoint=True
    )
    execution = load_run_config(tmp_path).execution
    assert {name: getattr(execution, name) for name in changes} == changes


def test_only_leftovers_of_training_are_removed(tmp_path):
    leftovers = [
        ".config.host.1.tmp.json",
        ".metrics.host.1.tmp.jsonl",
        ".weights.host.1.tmp.safetensors",
        "checkpoints/.step-00000003.host.1.tmp.safetensors",
        "pictures/.step-00000003-validation.host.1.tmp.png",
    ]
    others = [".report.host.1.tmp.html", "notes.tmp.txt", "checkpoints/mine.tmp.safetensors", "tensorboard/.a.tmp.json"]
    for name in leftovers + others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    claim(tmp_path)
    assert [name for name in leftovers if (tmp_path / name).exists()] == []
    assert [name for name in others if not (tmp_path / name).exists()] == []


def test_the_log_has_a_line_with_its_time(tmp_path):
    append_log(tmp_path, "one")
    append_log(tmp_path, "two")
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first[:4].isdigit()
    assert (first[25:], second[25:]) == (" one", " two")


def test_the_checkpoint_that_is_replaced_counts_too(tmp_path):
    save(tmp_path, 3, 4, keep=9)
    size = checkpoint_path(tmp_path, 3).stat().st_size
    save(tmp_path, 4, last_good_step=4, keep=9, max_disk_gb=2.5 * size / 1e9)
    assert steps(tmp_path) == [4]


def test_one_run_at_a_time_is_in_a_folder(tmp_path):
    message = r"another process trains in .*run; wait for it"
    with locked(tmp_path / "run"), pytest.raises(JobError, match=message), locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_weights_without_checkpoints_are_never_overwritten(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="holds the weights of a run but none of its checkpoints"):
        claim(tmp_path)


def test_another_size_is_told_without_all_that_comes_with_it(tmp_path):
    claim(tmp_path)
    save(tmp_path, 1)
    with pytest.raises(ConfigError) as caught:
        claim(tmp_path, size="full", training__max_lr=0.1)
    assert "holds a run with other settings: size was tiny, now full; go back to those" in str(caught.value)
