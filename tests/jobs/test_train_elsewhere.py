"""`mrikit train --test-data` as one job on this machine."""

import subprocess
import sys

import pytest
from training.small_run import CONFIG, command_line, write_study
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.config import change_config


@pytest.mark.slow
def test_a_job_on_this_machine_trains_reconstructs_and_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    monkeypatch.chdir(tmp_path)
    data, others = write_study(tmp_path / "data"), write_study(tmp_path / "others", prefix="t")
    config = change_config(CONFIG, {"training.num_epochs": 1}, "test")
    words = ["train", *command_line(config), "--out", "runs/a", "--test-data", str(others), "--on", "local"]
    done = CliRunner().invoke(app, [*words, "--job-name", "all"])
    assert done.exit_code == 0, done.output
    assert f"data: {data} (data/ in the working folder)" in done.stderr
    # It ends when the job does.
    log = subprocess.run(
        [sys.executable, "-m", "mrikit", "jobs", "logs", "all", "--follow"], capture_output=True, text=True, check=True
    ).stdout
    assert "varnet: 7 volumes, 14 slices" in log
    assert (tmp_path / "runs" / "a-test" / "scores.json").exists(), log
