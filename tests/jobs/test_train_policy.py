"""`mrikit train` of a task that learns a policy: seconds, on seven tiny volumes."""

import json
import re

import pytest
from typer.testing import CliRunner

from mrikit.acquire.trained import load_trained, reconstructor_info
from mrikit.checkpoint import load_weights
from mrikit.commands.app import app
from mrikit.errors import ConfigError

SETTINGS = {
    "data.matrix": "16,16",
    "data.num_validation": 2,
    "data.num_coils": 0,
    "data.mask_settings.num_given": 2,
    "data.mask_settings.budget": 5,
    "data.center_fractions": 2 / 16,
    "data.accelerations": 16 / 7,
    "training.num_epochs": 1,
    "training.seed": 1,
    "model": "unet",
    "model_config.num_channels": 2,
    "model_config.num_pools": 1,
    "policy_config.num_channels": 2,
    "policy_config.num_layers": 2,
    "policy_config.burn_in": 8,
    "learning.num_steps": 64,
    "learning.validation_steps": 32,
    "learning.num_rows": 4,
    "episode.num_given": 2,
    "episode.budget": 5,
}


def invoke(study, out, *words, leaving_out=(), **options):
    settings = {name: value for name, value in SETTINGS.items() if name not in leaving_out}
    assignments = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    named = ["--task", "knee_acquire", "--data", study, "--out", out, *assignments, *words]
    return CliRunner().invoke(app, ["train", *map(str, named)], **options)


@pytest.fixture(scope="module")
def done(study, once):
    """A run of both stages, and what was said."""

    def make(folder):
        found = invoke(study, folder / "run")
        assert found.exit_code == 0, found.output
        (folder / "said.json").write_text(json.dumps([found.stdout, found.stderr]))

    made = once("policy-command", make)
    return made / "run", *json.loads((made / "said.json").read_text())


def test_one_command_trains_a_reconstructor_and_a_policy_on_it(done):
    run, stdout, stderr = done
    trained = load_trained(run)
    assert trained.path == run / "stage-2" / "weights.safetensors"
    assert (trained.name, trained.matrix) == ("ss_ddqn", (16, 16))
    assert trained.reconstructor == reconstructor_info(run / "stage-1")
    first, second, following = stdout.splitlines()[-3:]
    assert first.startswith("stage 1: SSIM 0.")
    assert re.match(r"stage 2: SSIM 0\.\d{4} over all lines, of held-out volumes, after line (32|64); weights", second)
    assert following.startswith(f"next: mrikit acquire --weights {run} --data ")
    assert following.endswith(" --held-out")
    assert "learning for 64 lines: ss_ddqn with 1,140 weights, 10 slices to learn from and 4 to validate on" in stderr
    assert re.search(r"line 32: SSIM 0\.\d{4} over all lines, 0\.\d{4} after the last, of 4 slices", stderr)


def test_the_weights_of_the_run_are_those_of_the_network(done):
    run = done[0]
    assert load_weights(run).path == run / "stage-1" / "weights.safetensors"


def test_the_same_command_again_finds_all_done(study, done):
    again = invoke(study, done[0])
    assert again.exit_code == 0, again.output
    assert "stage 2: all 64 steps of this run were done before" in again.stdout


def test_another_policy_learns_on_the_same_reconstructor(study, done, tmp_path):
    words = ["--stage", 2, "--start", done[0], "--set", "policy=ds_ddqn", "--track", "tensorboard"]
    left = ("policy_config.num_channels", "policy_config.num_layers")
    found = invoke(study, tmp_path, *words, leaving_out=[*left, *of_stage_one()])
    assert found.exit_code == 0, found.output
    assert load_trained(tmp_path).name == "ds_ddqn"
    assert load_trained(tmp_path).reconstructor == reconstructor_info(done[0])
    assert list((tmp_path / "stage-2").rglob("events.*"))


def of_stage_one():
    return [name for name in SETTINGS if name.startswith(("model", "training.num_epochs"))]


def test_a_classical_method_needs_no_stage_before(study, tmp_path):
    words = ["--set", "reconstructor=zero_filled"]
    refused = invoke(study, tmp_path, *words)
    assert str(refused.exception).startswith(
        "reconstructor=zero_filled is ready, and the stages before are for another"
    )
    found = invoke(study, tmp_path, *words, "--stage", 2, leaving_out=of_stage_one())
    assert found.exit_code == 0, found.output
    assert load_trained(tmp_path).reconstructor.name == "zero_filled"


def test_a_policy_goes_on_with_its_reconstructor(study, done, tmp_path):
    words = ["--stage", 2, "--start", done[0]]
    begun = invoke(study, tmp_path, *words, leaving_out=of_stage_one())
    assert begun.exit_code == 0
    lost = invoke(study, tmp_path, "--stage", 2, leaving_out=of_stage_one())
    assert str(lost.exception).startswith("stage 2 begins with stage 1, which has no weights in ")


def test_a_dry_run_tells_memory_and_time_of_both_stages(study, tmp_path):
    found = invoke(study, tmp_path / "run", "--dry-run", "--price-per-hour", 2)
    assert found.exit_code == 0, found.output
    assert not (tmp_path / "run").exists()
    lines = found.stdout.splitlines()
    assert "data: 5 volumes to learn from, 2 to validate on" in lines
    assert "lines: 64 in 4 episodes at a time, each of 2 given and 5 chosen" in lines
    memory, time, cost = lines[-4:-1]
    assert re.fullmatch(r"memory: 0\.\d GB at the peak on cpu \(process 0\.\d+.*\)", memory)
    assert re.match(r"time: .* for 64 lines and validation; rounds were timed", time)
    assert cost.startswith("cost: 0.0")
    assert lines[-1].startswith("all stages: ")


def test_nobody_knows_how_fast_a_policy_learns_elsewhere(study, tmp_path):
    found = invoke(
        study, tmp_path, "--dry-run", "--gpu", "a100", "--stage", 2, "--set", "reconstructor=zero_filled",
        leaving_out=of_stage_one(),
    )  # fmt: skip
    assert found.stdout.splitlines()[-1] == (
        "time: nobody knows how fast a policy learns on a100; it is timed where the GPU is"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "policy=random"], "the policy random needs no training; those that learn are ss_ddqn, ds_ddqn"),
        (["--set", "policy=sddqn"], "no policy is called 'sddqn'; there are random"),
        (["--set", "learning.num_stepz=9"], "train.learning has no setting 'num_stepz'; did you mean 'num_steps'?"),
        (["--set", "learn.num_steps=9"], "train has no setting 'learn'; "),
        (["--set", "policy_config.discount=2"], "policy_config.discount is from 0 to 1, found 2"),
        (["--set", "reconstructor=grapp"], "reconstructor is one of "),
        (["--stage", 2, "--set", "training.max_lr=1"], "train has no setting 'model'"),
        (["--set", "learning.split_seed=-1"], "learning.split_seed is 0 or more"),
    ],
)
def test_settings_that_no_stage_has_are_refused_before_anything_is_trained(study, tmp_path, words, message):
    refused = invoke(study, tmp_path / "run", *words)
    assert isinstance(refused.exception, ConfigError)
    assert str(refused.exception).startswith(message)
    assert not (tmp_path / "run").exists()


def test_test_data_are_for_another_command(study, tmp_path):
    refused = invoke(study, tmp_path, "--test-data", study)
    assert "knee_acquire learns what to measure; `mrikit acquire` measures test data" in str(refused.exception)


def test_several_processes_are_refused_before_the_first_stage(study, tmp_path, monkeypatch):
    names = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": 1, "MASTER_ADDR": "x"}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))
    refused = invoke(study, tmp_path)
    assert "a policy learns in one process, found 2" in str(refused.exception)
