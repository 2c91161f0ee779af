"""Moments in host memory, updated by DeepSpeed's CPU-Adam where it can be compiled."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training.small_run import (
    CONFIG,
    are_same_bits,
    command_line,
    largest_difference,
    newest_state,
    run,
)
from training.test_train import stop_at

from mrikit.config import change_config
from mrikit.storage.lock import alone

BIN = Path(sys.executable).parent
# Against a hang only: CPU-Adam compiles for 40 to 150 s on two quiet cores, for longer on busy ones.
TIMEOUT_S = 900
OFFLOADED = change_config(CONFIG, {"execution.zero_stage": 1, "execution.offload_optimizer": True}, "test")
SETTINGS = {"execution__zero_stage": 1, "execution__offload_optimizer": True}


def train(study, folder, config=OFFLOADED, path="/nonexistent", **environment):
    """The real command; by default where no program can be found."""
    words = [BIN / "mrikit", "train", *command_line(config), "--data", study, "--out", folder]
    environment = {**os.environ, "PATH": path, **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT_S)


@pytest.mark.slow
def test_without_offload_no_compiler_is_needed(study, finished, tmp_path):
    done = train(study, tmp_path / "run", CONFIG, HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("training for 10 steps")
    assert len(done.stdout.splitlines()) == 3
    assert not (tmp_path / "home").exists()
    assert are_same_bits(newest_state(tmp_path / "run"), newest_state(finished[0]))


def test_without_a_compiler_training_says_so_and_goes_on_with_adamw(study, finished, tmp_path):
    extensions = tmp_path / "extensions"
    done = train(study, tmp_path / "run", TORCH_EXTENSIONS_DIR=str(extensions))
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("loading DeepSpeed's CPU-Adam; where it is not compiled yet this takes about a minute")
    reason = "there is no C++ compiler"
    assert lines[1] == f"CPU-Adam cannot be used ({reason}); torch's AdamW does the same, slower"
    assert lines[2].startswith("training for 10 steps")
    assert len(done.stdout.splitlines()) == 3
    assert largest_difference(newest_state(tmp_path / "run"), newest_state(finished[0])) < 2e-6


@pytest.mark.slow
def test_a_folder_where_nothing_can_be_compiled_is_no_reason_to_stop(study, tmp_path):
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "extensions")
    done = train(study, tmp_path / "run", path=os.environ["PATH"], TORCH_EXTENSIONS_DIR=place)
    assert done.returncode == 0, done.stderr
    assert "CPU-Adam cannot be used (" in done.stderr.splitlines()[1]


@pytest.mark.slow
def test_cpu_adam_is_found_by_a_command_that_is_called_by_its_whole_path(study, tmp_path):
    """Then ninja, which lies beside it, is not on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for tool in folder.iterdir() if folder.is_dir() else []:
            if tool.name != "ninja" and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    done = train(study, tmp_path / "run", path=str(tools))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "nothing counted yet" not in line]  # a minute of compiling
    assert said[1].startswith("training for 10 steps")
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.slow
def test_a_lock_that_a_killed_process_left_is_not_waited_for(study, finished, tmp_path):
    run(study, tmp_path / "first", **SETTINGS)
    extensions = Path(os.environ["TORCH_EXTENSIONS_DIR"])
    lock = extensions / "cpu_adam" / "lock"
    with alone(extensions / "cpu_adam.lock", "compile elsewhere"):
        lock.touch()
    done = train(study, tmp_path / "second", path=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    assert not lock.exists()
    assert are_same_bits(newest_state(tmp_path / "second"), newest_state(tmp_path / "first"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_offloaded_moments_train_alike_and_resume_with_the_same_bits(study, finished, tmp_path, stage):
    lines = []
    settings = SETTINGS | {"execution__zero_stage": stage}
    run(study, tmp_path / "whole", lines=lines, **settings)
    assert any("CPU-Adam" in line for line in lines)
    assert not any("cannot" in line for line in lines)
    assert largest_difference(newest_state(tmp_path / "whole"), newest_state(finished[0])) < 2e-5
    run(study, tmp_path / "parts", on_row=stop_at(4), **settings)
    run(study, tmp_path / "parts", **settings)
    assert are_same_bits(newest_state(tmp_path / "parts"), newest_state(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("is_offloaded_first", [False, True])
def test_a_run_goes_on_with_and_without_offload(study, finished, tmp_path, is_offloaded_first):
    settings = SETTINGS | {"execution__offload_optimizer": is_offloaded_first}
    stopped = run(study, tmp_path, on_row=stop_at(4, signal.SIGTERM), **settings)
    assert stopped.position.step == 5
    run(study, tmp_path, **settings | {"execution__offload_optimizer": not is_offloaded_first})
    assert largest_difference(newest_state(tmp_path), newest_state(finished[0])) < 2e-5
