"""GPUs of its own for each job on this machine, by a stand-in for nvidia-smi; the jobs are real processes."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import typer
from gpu_machine import gpu_machine, uuid
from local_jobs import BACKEND, WAIT, finished, home, job, log_of, until, until_started
from typer.testing import CliRunner

from mrikit.commands.data.index import index
from mrikit.commands.on import elsewhere
from mrikit.errors import ConfigError, JobError
from mrikit.launching.docker.backend import DockerBackend
from mrikit.launching.gpus import visible_gpus
from mrikit.launching.local.backend import LocalBackend
from mrikit.launching.own_gpus import GpusTakenError, with_gpus
from mrikit.launching.records import load_record, submitting
from mrikit.launching.submit import resubmit, submit_jobs

TELL = "print('has', os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True)\n"
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(elsewhere(index))
app.command("nothing")(lambda: None)


@pytest.fixture(autouse=True)
def jobs(tmp_path, monkeypatch):
    yield from home(tmp_path, monkeypatch)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return gpu_machine(tmp_path / "machine", monkeypatch, 4)


@pytest.fixture
def start(tmp_path):
    """Submits a job that lasts until it is told to go, as each terminal does; its GPUs."""

    def submit(name, num_gpus=1, backend=BACKEND, **facts):
        facts = {"name": name, "gpus_per_node": num_gpus, "max_restarts": 1} | facts
        with submitting():
            (record,) = submit_jobs(backend, [job(tmp_path / name, TELL + WAIT, **facts)])
        assert load_record(name) == record
        return record.spec.gpu_ids

    return submit


def end(tmp_path, name):
    (tmp_path / name / "go").touch()
    assert finished(load_record(name).spec).state == "succeeded"


def test_each_job_has_gpus_of_its_own_and_sees_no_others(machine, start):
    assert [start("a"), start("b", 2), start("c")] == [("0",), ("1", "2"), ("3",)]
    for name, gpus in (("a", "0"), ("b", "1,2"), ("c", "3")):
        spec = load_record(name).spec
        until_started(spec)
        assert until(lambda spec=spec: "has" in log_of(spec) and log_of(spec)) == f"start 1\nhas {gpus}\n"


def test_terminals_that_submit_at_once_take_different_gpus(machine, start):
    with ThreadPoolExecutor(4) as terminals:
        found = list(terminals.map(start, "abcd"))
    assert sorted(found) == [("0",), ("1",), ("2",), ("3",)]


def test_a_job_for_which_too_few_are_free_is_refused_and_told_who_holds_them(machine, start):
    start("a", 3)
    with pytest.raises(GpusTakenError) as caught:
        start("b", 2)
    held = "held are 0 by job a, 1 by job a, 2 by job a"
    message = f"--gpus 2: 1 of the 4 GPUs here can be had; {held}; wait for one of them, or take fewer"
    assert str(caught.value) == message
    assert load_record("b") is None


def test_gpus_are_free_when_their_job_ends(machine, start, tmp_path):
    start("a", 2)
    start("b", 2)
    end(tmp_path, "a")
    assert start("c", 2) == ("0", "1")


def test_a_job_keeps_its_gpus_over_restarts(machine, start):
    start("a")
    spec = load_record("a").spec
    os.kill(until_started(spec), signal.SIGKILL)
    until_started(spec, 2)
    assert start("b", 3) == ("1", "2", "3")
    until(lambda: log_of(spec).count("has 0\n") == 2)


def test_a_job_that_is_resumed_takes_what_is_free_then(machine, start, tmp_path, monkeypatch):
    start("a")
    spec = load_record("a").spec
    BACKEND.cancel(spec, "")
    start("b")
    monkeypatch.setattr("mrikit.launching.submit.open_backend", lambda _name: BACKEND)
    assert resubmit(load_record("a")).spec.gpu_ids == ("1",)
    assert load_record("a").spec.gpu_ids == ("1",)


def test_gpus_that_others_compute_on_are_left_alone(machine, start):
    machine.computes(0, 4321)
    assert start("a", 3) == ("1", "2", "3")
    with pytest.raises(GpusTakenError, match="held are 0 by process 4321, 1 by job a"):
        start("b")


def test_containers_and_local_jobs_take_none_of_each_other(machine, start):
    docker = DockerBackend()
    assert start("local") == ("0",)
    assert start("in-docker", 2, docker) == ("1", "2")
    assert start("single", 1, docker) == ("3",)
    assert machine.gpus_of_containers() == {
        "mrikit-in-docker": ['"device=1,2"'],
        "mrikit-single": ["device=3"],
    }
    with pytest.raises(GpusTakenError, match="held are 0 by job local, 1 by job in-docker"):
        start("more")
    machine.end_container("mrikit-in-docker")
    assert start("more", 2) == ("1", "2")


def test_each_node_of_a_job_in_docker_has_gpus_of_its_own(machine, start):
    assert start("a", 2, DockerBackend(), nodes=2) == ("0", "1", "2", "3")
    assert list(machine.gpus_of_containers().values()) == [['"device=0,1"'], ['"device=2,3"']]


def test_docker_on_another_machine_chooses_by_itself(machine, start, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    assert start("a", 2, DockerBackend()) == ()
    assert machine.gpus_of_containers() == {"mrikit-a": ["2"]}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,0", ["2", "0"]),
        (f" 3 ,{uuid(1)}", ["3", "1"]),
        ("GPU-2", ["2"]),
        ("GPU-", []),
        ("1,9,2", ["1"]),
        ("1,1", ["1"]),
        ("", []),
        ("-1", []),
        ("MIG-8e7d", ["MIG-8e7d"]),
    ],
)
def test_cuda_visible_devices_bounds_the_choice(machine, monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.index for gpu in visible_gpus()] == expected


def test_the_order_of_cuda_visible_devices_is_kept(machine, start, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert [start("a"), start("b")] == [("3",), ("1",)]
    with pytest.raises(ConfigError) as caught:
        start("c", 3)
    assert str(caught.value) == (
        "--on local --gpus 3: this machine has 2 with CUDA_VISIBLE_DEVICES=3,1; take fewer, or --processes without GPUs"
    )


def test_jobs_of_a_chain_share_their_gpus(machine, tmp_path):
    chain = [job(tmp_path / name, "", name=name, gpus_per_node=count) for name, count in (("a", 2), ("b", 1))]
    assert [spec.gpu_ids for spec in with_gpus("local", chain)] == [("0", "1"), ("0",)]


def test_nothing_is_chosen_elsewhere_and_without_gpus(machine, tmp_path):
    spec = job(tmp_path / "a", "", gpus_per_node=1)
    assert with_gpus("slurm", [spec]) == [spec]
    none = job(tmp_path / "a", "")
    assert with_gpus("local", [none]) == [none]
    (machine.folder / "nvidia-smi").unlink()
    assert with_gpus("docker", [spec]) == [spec]


def test_nvidia_smi_that_fails_is_one_line(machine, tmp_path):
    (machine.folder / "nvidia-smi").write_text("#!/bin/sh\necho Driver/library\necho version mismatch\nexit 18\n")
    with pytest.raises(JobError) as caught:
        with_gpus("local", [job(tmp_path / "a", "", gpus_per_node=1)])
    assert (
        str(caught.value) == "`nvidia-smi` fails, so nobody knows which GPUs are free: Driver/library version mismatch"
    )


def dry_run(*words):
    return CliRunner().invoke(app, ["index", "DATA", "--dry-run", *words], catch_exceptions=False)


def test_a_plan_says_which_gpus_it_would_take(machine, start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start("a")
    told = dry_run("--on", "local", "--gpus", "2", "--processes", "1").stdout
    assert "machines: 1 node with 2 GPUs (1, 2), 1 process\n" in told
    assert "environment: CUDA_VISIBLE_DEVICES=1,2\n" in told
    told = dry_run("--on", "docker", "--gpus", "2", "--processes", "1").stdout
    assert """ --gpus '"device=1,2"' """ in told


def test_a_plan_says_why_it_could_not_start_now(machine, start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start("a", 4)
    told = dry_run("--on", "local", "--gpus", "1")
    assert "not now: --gpus 1: 0 of the 4 GPUs here can be had; held are 0 by job a, " in told.stderr
    assert "machines: 1 node with 1 GPU, 1 process\n" in told.stdout


def test_a_plan_needs_as_many_gpus_as_there_are(machine, tmp_path):
    with pytest.raises(ConfigError, match="--on local --gpus 5: this machine has 4; take fewer"):
        LocalBackend().plan([job(tmp_path / "a", "", gpus_per_node=5)])
