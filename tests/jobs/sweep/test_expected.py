"""How long a sweep would take, before it starts."""

import pytest
from swept import GRID, in_memory, sweep
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.commands.sweep import expected
from mrikit.errors import ConfigError
from mrikit.launching.job import JobPlan


@pytest.fixture
def backend(monkeypatch, tmp_path):
    fake = in_memory(monkeypatch, tmp_path)
    monkeypatch.setattr(
        fake,
        "plan",
        lambda chain: [JobPlan(where="memory", command=(), env={}, job_file="", runs_on="cpu") for _ in chain],
    )
    return fake


@pytest.fixture
def timed(monkeypatch, tmp_path):
    """Volumes are there, and a cascade of an epoch takes a minute on any machine."""
    (tmp_path / "DATA").mkdir()
    asked = []

    def seconds(config, _stages, data, runs_on, num_processes):
        asked.append((config.model_config["num_cascades"], data.name, runs_on, num_processes))
        return 60.0 * config.model_config["num_cascades"] * config.training.num_epochs

    monkeypatch.setattr(expected, "_seconds", seconds)
    return asked


def expected_lines(*words):
    lines = sweep("rates.toml", "--dry-run", *words).stdout.splitlines()
    return [line for line in lines if line.startswith("expected")]


def test_each_kind_of_member_is_timed_once_and_all_are_summed(backend, timed, tmp_path):
    costly = '"model_config.num_cascades" = [2, 4]\n"training.num_epochs" = [5]\n'
    (tmp_path / "rates.toml").write_text(GRID + costly)
    assert expected_lines() == [
        "expected of knee_multicoil, model_config.num_cascades=2, training.num_epochs=5: 10 min for each of 6 members",
        "expected of knee_multicoil, model_config.num_cascades=4, training.num_epochs=5: 20 min for each of 6 members",
        "expected of all members, one after the other: 3 h 0 min; their starts come on top",
    ]
    assert timed == [(2, "DATA", "cpu", 1), (4, "DATA", "cpu", 1)]


def test_a_gpu_that_is_not_here_may_be_named(backend, timed):
    expected_lines("--gpu", "H100")
    assert {runs_on for _, _, runs_on, _ in timed} == {"h100"}


def test_gpus_of_a_member_share_its_work(backend, timed, tmp_path):
    (tmp_path / "rates.toml").write_text(GRID + '"training.batch_size" = [4]\n')
    expected_lines("--gpu", "H100", "--gpus", "4")
    assert {num_processes for *_, num_processes in timed} == {4}


def test_a_test_is_said_to_come_on_top(backend, timed, tmp_path):
    (tmp_path / "rates.toml").write_text(GRID.replace("[settings]", 'test_data = "TEST"\n[settings]'))
    assert expected_lines()[-1].endswith("; their starts and tests come on top")


def test_without_volumes_here_nobody_knows(backend):
    assert expected_lines() == ["expected: nobody knows how long it takes before volumes are in DATA here"]


def test_machines_of_unknown_speed_are_said(backend, timed, monkeypatch):
    monkeypatch.setattr(
        backend, "plan", lambda chain: [JobPlan(where="", command=(), env={}, job_file="")] * len(chain)
    )
    assert expected_lines() == ["expected: nobody knows how fast its machines are; --gpu names one that is known"]


def test_a_gpu_is_named_for_a_dry_run_alone(backend):
    with pytest.raises(ConfigError, match="--gpu is for what --dry-run tells"):
        CliRunner().invoke(app, ["sweep", "rates.toml", "--gpu", "h100"], catch_exceptions=False)


@pytest.mark.slow
def test_the_time_is_measured_on_this_machine(backend, tmp_path):
    made = ["simulate", "knee", "--volumes", "4", "--coils", "2", "--slices", "1", "--out", str(tmp_path / "DATA")]
    assert CliRunner().invoke(app, made).exit_code == 0
    (tmp_path / "rates.toml").write_text(GRID + '"training.num_epochs" = [1]\n')
    assert len(expected_lines()) == 2
