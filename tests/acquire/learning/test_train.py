import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from acquire.learning.small_policy import CONFIG, learn
from training.small_run import are_same_bits, newest_state

from mrikit.acquire.learning import loop, validate
from mrikit.acquire.learning.config import load_policy_config
from mrikit.acquire.trained import load_trained
from mrikit.checkpoint import find_checkpoints, read_record, read_tensors, write_tensors
from mrikit.errors import CheckpointError, ConfigError, DataError
from mrikit.runs import run_folder

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from acquire.learning.small_policy import learn
def die(row, _):
    if row["kind"] == "train" and row["step"] == 32:
        os.kill(os.getpid(), signal.SIGKILL)
learn(Path(sys.argv[1]), Path(sys.argv[2]), on_row=die)
"""


class Killed(BaseException):
    """What no code of ours catches."""


@pytest.fixture(scope="module")
def finished(study, once):
    """An undisturbed run; nobody learns there."""
    return once("policy-run", lambda folder: learn(study, folder))


def die_at(number):
    """A function that is killed when it is called for the number-th time."""
    calls = []

    def die(*_arguments, **_settings):
        calls.append(1)
        if len(calls) == number:
            raise Killed

    return die


def rows_of(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def assert_as_if_nothing_had_happened(folder, finished):
    assert are_same_bits(newest_state(folder), newest_state(finished))
    assert (folder / "weights.safetensors").read_bytes() == (finished / "weights.safetensors").read_bytes()
    assert rows_of(folder) == rows_of(finished)


@pytest.mark.parametrize("number", [1, 3, 4, 7, 9, 18])
def test_a_run_that_is_killed_after_a_row_ends_with_the_same_bits(study, finished, tmp_path, number):
    """In the middle of episodes, before the first update, and between two copies to the target network."""
    with pytest.raises(Killed):
        learn(study, tmp_path, on_row=die_at(number))
    learn(study, tmp_path)
    assert_as_if_nothing_had_happened(tmp_path, finished)


@pytest.mark.parametrize("number", [5, 12])
def test_rounds_after_the_last_checkpoint_are_played_again(study, finished, tmp_path, number):
    with pytest.raises(Killed):
        learn(study, tmp_path, on_row=die_at(number), execution__checkpoint_minutes=9.0)
    assert [read_record(path)["position"]["step"] for path in find_checkpoints(tmp_path)] == [24] * (number > 6)
    learn(study, tmp_path, execution__checkpoint_minutes=9.0)
    assert_as_if_nothing_had_happened(tmp_path, finished)


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        (run_folder, "write_tensors", 1),
        (run_folder, "write_tensors", 8),
        (loop, "save_trained", 1),
        (loop, "save_trained", 2),
        (validate, "observe", 3),
    ],
)
def test_a_run_that_is_killed_while_it_writes_or_validates_ends_with_the_same_bits(
    study, finished, tmp_path, module, name, number, monkeypatch
):
    real, die = getattr(module, name), die_at(number)

    def dying(*arguments, **settings):
        die()
        return real(*arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, dying)
        with pytest.raises(Killed):
            learn(study, tmp_path)
    learn(study, tmp_path)
    assert_as_if_nothing_had_happened(tmp_path, finished)


def test_a_process_that_is_killed_goes_on_with_the_same_bits(study, finished, tmp_path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    died = subprocess.run([sys.executable, "-c", KILLED, study, tmp_path], env=env, check=False)
    assert died.returncode == -9
    learn(study, tmp_path)
    assert_as_if_nothing_had_happened(tmp_path, finished)


def test_images_that_are_made_again_have_the_bits_of_those_that_were_kept(study, finished, tmp_path):
    learn(study, tmp_path, policy_config__cache_mb=0.004)
    own, other = newest_state(tmp_path), newest_state(finished)
    assert are_same_bits(own, other)


def test_a_policy_of_the_step_learns_and_goes_on_too(study, tmp_path):
    ds = dataclasses.replace(
        CONFIG,
        policy="ds_ddqn",
        policy_config={name: CONFIG.policy_config[name] for name in ("batch_size", "burn_in", "target_steps")},
    )
    learn(study, tmp_path / "whole", config=ds)
    with pytest.raises(Killed):
        learn(study, tmp_path / "cut", config=ds, on_row=die_at(9))
    learn(study, tmp_path / "cut", config=ds)
    assert_as_if_nothing_had_happened(tmp_path / "cut", tmp_path / "whole")
    assert load_trained(tmp_path / "cut").policy.ignores_image


def test_rows_say_how_it_learns_and_how_good_it_is(finished):
    rows = rows_of(finished)
    train = [row for row in rows if row["kind"] == "train"]
    validations = [row for row in rows if row["kind"] == "validation"]
    assert [row["step"] for row in train] == list(range(4, 64, 4))
    assert [row["step"] for row in validations] == [24, 48, 60]
    assert "loss" not in train[0]  # nothing is learned before burn_in
    assert {"loss", "grad_norm", "reward", "exploration"} <= train[-1].keys()
    assert all(row["num_volumes"] == 2 and row["num_slices"] == 4 for row in validations)
    assert all(0 < row["area"] < row["final"] < 1 for row in validations)
    best = max(row["area"] for row in validations)
    assert read_record(finished / "weights.safetensors")["area"] == best


def test_the_best_weights_by_the_area_are_kept(study, tmp_path, monkeypatch):
    found = iter([0.5, 0.7, 0.6])
    played = lambda *_: validate.Played(np.full((4, 6), next(found)), tuple(range(2, 8)))  # noqa: E731
    monkeypatch.setattr(loop, "play_all", played)
    learn(study, tmp_path)
    assert read_record(tmp_path / "weights.safetensors")["step"] == 48


def test_an_error_is_best_where_it_is_smallest():
    assert validate.is_better("nmse", 0.1, 0.2)
    assert not validate.is_better("ssim", 0.1, 0.2)


def test_without_anybody_held_out_the_last_weights_are_kept(study, tmp_path):
    rows = []
    learn(study, tmp_path, rows, data__num_validation=0.0)
    assert {row["kind"] for row in rows} == {"train"}
    assert read_record(tmp_path / "weights.safetensors")["step"] == 60


def test_another_seed_learns_other_weights_from_the_same_patients(study, finished, tmp_path):
    learn(study, tmp_path, learning__seed=4)
    own, other = (read_record(folder / "weights.safetensors") for folder in (tmp_path, finished))
    assert own["trained_on"] == other["trained_on"]
    weights = [read_tensors(folder / "weights.safetensors") for folder in (tmp_path, finished)]
    assert not are_same_bits(*weights)


def test_what_decides_the_result_cannot_be_changed_on_the_way(study, tmp_path):
    with pytest.raises(Killed):
        learn(study, tmp_path, on_row=die_at(3))
    with pytest.raises(ConfigError, match=r"other settings: policy_config.discount was 0.5, now 0.9"):
        learn(study, tmp_path, policy_config__discount=0.9)
    learn(study, tmp_path, execution__keep=1, policy_config__cache_mb=1.0)
    assert load_policy_config(tmp_path).execution.keep == 1
    assert len(find_checkpoints(tmp_path)) == 1


def test_another_reconstructor_cannot_be_taken_on_the_way(study, tmp_path, trained_reconstructor):
    first, other = trained_reconstructor
    settings = {"reconstructor": "", "data__num_validation": 2.0}
    with pytest.raises(Killed):
        learn(study, tmp_path, on_row=die_at(3), start=first, **settings)
    with pytest.raises(ConfigError, match="it began with other weights"):
        learn(study, tmp_path, start=other, **settings)
    learn(study, tmp_path, start=first, **settings)
    assert load_trained(tmp_path).reconstructor.name == "unet"


def test_patients_that_the_reconstructor_knows_do_not_judge_the_policy(study, tmp_path, trained_reconstructor):
    with pytest.raises(DataError, match=r"volumes to validate on, such as v\d, were trained on by the reconstructor"):
        learn(study, tmp_path, start=trained_reconstructor[0], reconstructor="", learning__split_seed=1)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"reconstructor": ""}, ConfigError, "needs the reconstructor of the stage before it"),
        ({"episode__budget": 15}, ConfigError, "a budget of 15 lines, but only 14 columns of 16 are free"),
        ({"episode__num_given": 17}, ConfigError, "initial has 1 to 16 lines"),
        ({"policy_config__num_layers": 4}, ConfigError, "num_layers 4 halve images of 16 x 32 or more, found 16 x 16"),
        ({"data__matrix": ()}, DataError, "an environment needs volumes of one matrix"),
    ],
)
def test_what_does_not_fit_is_refused_on_one_line(study, tmp_path, settings, error, message):
    with pytest.raises(error, match=message) as caught:
        learn(study, tmp_path / "run", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_several_processes_are_refused(study, tmp_path, monkeypatch):
    for name, value in {"RANK": 1, "LOCAL_RANK": 1, "WORLD_SIZE": 2, "MASTER_PORT": 1, "MASTER_ADDR": "x"}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ConfigError, match="a policy learns in one process, found 2"):
        learn(study, tmp_path)


def test_a_damaged_checkpoint_is_passed_over(study, finished, tmp_path):
    with pytest.raises(Killed):
        learn(study, tmp_path, on_row=die_at(9))
    newest = find_checkpoints(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    lines = []
    learn(study, tmp_path, lines=lines)
    assert "going back to the checkpoint before it" in lines[0]
    assert_as_if_nothing_had_happened(tmp_path, finished)


def test_a_checkpoint_that_lacks_something_is_refused(study, tmp_path):
    with pytest.raises(Killed):
        learn(study, tmp_path, on_row=die_at(9), learning__num_rows=4)
    for path in find_checkpoints(tmp_path):
        tensors = {name: value for name, value in read_tensors(path).items() if "unit" not in name}
        write_tensors(path, tensors, read_record(path))
    with pytest.raises(CheckpointError, match="the checkpoint's episodes/unit is missing"):
        learn(study, tmp_path)
