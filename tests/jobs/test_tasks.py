import dataclasses
import json

from typer.testing import CliRunner

from mrikit.acquire.learning.config import PolicyRunConfig
from mrikit.commands.app import app
from mrikit.config import build_config
from mrikit.recipes import TASKS, recipes
from mrikit.training import RunConfig


def rows_of(*words):
    done = CliRunner().invoke(app, ["tasks", *words])
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.stdout.splitlines()]


def test_every_task_and_size_has_a_line():
    header, *lines = rows_of()
    assert header == ["task", "size", "stages", "network", "weights", "masks", "loss", "rate", "epochs"]
    wanted = [[task, size] for task, (_, sizes) in TASKS.items() for size in sizes]
    assert [row[:2] for row in lines[: len(wanted)]] == wanted
    known = "knee_multicoil full 1 varnet 29,936,966 4x equispaced_fraction ssim 0.0003 50"
    assert known.split() in lines
    known = "knee_acc8 full 3 promptmr 34,045,487 8x fixed, random_offset ssim_body 0.0003 45"
    assert known.split() in lines
    assert lines[-1] == ["next:", "mrikit", "train", "--task", "knee_acc8", "--size", "tiny", "--data", "DATA"]


def test_the_stages_of_a_task_can_be_read_off():
    header, *lines = rows_of("--task", "brain_acc4")
    assert header == ["task", "size", "stage", "masks", "augmented", "rate", "epochs", "cosine", "to"]
    full = [" ".join(row) for row in lines if row[1:2] == ["full"]]
    assert full == [
        "brain_acc4 full 1 4x fixed no 0.0003 1-15 20",
        "brain_acc4 full 2 4x fixed yes 0.0002 16-30 35",
        "brain_acc4 full 3 4x fixed yes 0.0001 31-45 45",
    ]


def test_a_task_without_stages_has_one():
    assert rows_of("--task", "anatomy")[1][:3] == ["anatomy", "tiny", "1"]


def test_a_stage_that_learns_a_policy_says_which():
    lines = [" ".join(row) for row in rows_of("--task", "knee_acquire")]
    assert "knee_acquire full 2 chosen by ss_ddqn no 0.0001 5,000,000 lines -" in lines


def test_an_unknown_task_is_one_clear_line():
    done = CliRunner().invoke(app, ["tasks", "--task", "knees"])
    assert str(done.exception).startswith("no task is called 'knees'; there are knee_acc4, ")


def test_a_program_gets_whole_configurations():
    found = json.loads(CliRunner().invoke(app, ["tasks", "--json"]).stdout)
    wanted = [config for task, (_, sizes) in TASKS.items() for size in sizes for config in recipes(task, size)]
    kinds = [PolicyRunConfig if "policy" in config else RunConfig for config in found]
    assert [build_config(kind, config, "task") for kind, config in zip(kinds, found, strict=True)] == wanted
    assert found[0].keys() == {field.name for field in dataclasses.fields(RunConfig)}
