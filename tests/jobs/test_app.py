import re
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner
from waiting import HANG_S, until

import mrikit
import mrikit.commands.app

MRIKIT = [sys.executable, "-m", "mrikit"]


def run(*arguments):
    return subprocess.run([*MRIKIT, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_a_mistake_that_a_user_can_mend_is_one_line_and_exit_one(tmp_path):
    done = run("reconstruct", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"mrikit: {tmp_path}: no volume in this folder or below")


def test_a_word_between_colons_is_no_picture(tmp_path):
    done = run("reconstruct", "--data", tmp_path / "mrikit:key:1", "--out", tmp_path / "out")
    assert "mrikit:key:1" in done.stderr


def test_wrong_usage_is_exit_two():
    assert run("evaluate").returncode == 2
    assert run("no-such-command").returncode == 2


def test_help_is_exit_zero_and_names_the_commands():
    done = run("--help")
    assert done.returncode == 0
    for command in ("demo", "simulate", "data", "reconstruct", "evaluate", "report"):
        assert command in done.stdout


def test_the_version_is_that_of_the_package():
    assert run("--version").stdout == f"mrikit {mrikit.__version__}\n"


def test_ctrl_c_is_one_line_and_exit_130(tmp_path):
    command = [*MRIKIT, "simulate", "knee", "--volumes", "400", "--out", str(tmp_path / "study")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: list(tmp_path.rglob("file*.h5")), process)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert messages.splitlines()[-1].startswith("mrikit: interrupted; finished files are kept")
    assert "Traceback" not in messages


def test_a_closed_pipe_is_silent():
    done = subprocess.run(
        f"{sys.executable} -m mrikit --help | head -c 1", check=False, shell=True, capture_output=True, text=True
    )
    assert done.stderr == ""


def test_a_warning_about_a_copy_of_a_prefix_names_the_prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path))
    copy = tmp_path / "mirror" / "0123456789ab" / "runs" / "knee" / "weights.safetensors"
    assert mrikit.commands.app._one_line(f"{copy}: is old") == "warning: az://runs/knee/weights.safetensors: is old\n"


@pytest.mark.parametrize("group", ["", "data", "weights", "infra", "jobs", "image"])
def test_alone_it_and_each_group_show_what_to_do_first_above_the_help(group):
    done = CliRunner().invoke(mrikit.commands.app.app, group.split())
    assert done.exit_code == 0
    first, _, rest = done.stdout.partition("\n\n")
    assert rest.lstrip().startswith("Usage: ")
    heading, *steps = first.splitlines()
    assert heading == "first:"
    assert 2 <= len(steps) <= 3
    for step in steps:
        program, *words = re.split(r" {2,}", step.strip())[0].split()
        if program == "mrikit":  # options and arguments are read before the help is shown
            shown = CliRunner().invoke(mrikit.commands.app.app, [*words, "--help"])
            assert shown.exit_code == 0, shown.output
        else:
            assert program in ("docker", "pulumi")
