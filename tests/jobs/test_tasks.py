import dataclasses
import json

from typer.testing import CliRunner

from jobs.app import app
from mrikit.config import build_config
from mrikit.recipes import SIZES, TASKS, recipe
from mrikit.training import RunConfig


def test_every_task_and_size_has_a_line():
    done = CliRunner().invoke(app, ["tasks"])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["task", "size", "network", "weights", "masks", "loss", "epochs"]
    rows = lines[1 : 1 + len(TASKS) * len(SIZES)]
    assert [row[:2] for row in rows] == [[task, size] for task in TASKS for size in SIZES]
    assert ["knee_multicoil", "full", "varnet", "29,936,966", "4x", "equispaced_fraction", "ssim", "50"] in rows
    assert ["knee_singlecoil", "full", "unet", "496,372,225", "4x", "random", "l1", "50"] in rows
    assert done.stdout.splitlines()[-1] == "next: mrikit train --task knee_multicoil --size tiny --data DATA"


def test_a_program_gets_whole_configurations():
    found = json.loads(CliRunner().invoke(app, ["tasks", "--json"]).stdout)
    wanted = [recipe(task, size) for task in TASKS for size in SIZES]
    assert [build_config(RunConfig, config, "task") for config in found] == wanted
    assert found[0].keys() == {field.name for field in dataclasses.fields(RunConfig)}
