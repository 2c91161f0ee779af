"""What a job on this machine is started with, what it says, and what is refused; also of several processes."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest
from local_jobs import (
    BACKEND,
    WAIT,
    finished,
    job,
    log_of,
    run,
    state_of,
    until_started,
)

from mrikit.errors import ConfigError, JobError
from mrikit.launching import processes
from mrikit.launching.local.backend import LocalBackend
from mrikit.launching.records import job_folder


def test_what_is_killed_is_started_again_and_its_logs_stay_in_order(here):
    spec = job(here, "print('caf\\u00e9'); start < 4 and os.kill(0, signal.SIGKILL)", max_restarts=3)
    (status,) = run(spec)
    assert (status.state, status.num_preemptions, status.num_errors, status.exit_code) == ("succeeded", 3, 0, 0)
    again = "--- started again after it was taken off its machine (SIGKILL)\n"
    starts = [f"start {number}\ncaf\u00e9\n" for number in range(1, 5)]
    assert log_of(spec) == again.join(starts)
    assert sorted(path.name for path in job_folder("job").glob("log-*")) == [f"log-{number}.txt" for number in range(4)]


def test_two_processes_meet_and_the_log_is_that_of_the_first(here):
    code = """
    import torch.distributed as dist, torch
    dist.init_process_group("gloo")
    total = torch.ones(1)
    dist.all_reduce(total)
    print("rank", dist.get_rank(), "counts", int(total), "threads", os.environ["OMP_NUM_THREADS"])
    dist.destroy_process_group()
    """
    spec = job(here, code, processes_per_node=2)
    (status,) = run(spec)
    assert status.state == "succeeded", log_of(spec)
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert f"rank 0 counts 2 threads {threads}\n" in log_of(spec)
    assert "rank 1" not in log_of(spec)


@pytest.mark.slow
def test_of_several_processes_one_that_is_killed_is_a_preemption_and_one_that_fails_tells_why(here):
    code = """
    if os.environ["RANK"] == "1":
        Path("first").exists() and sys.exit("what is wrong")
        Path("first").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
    """
    spec = job(here, code, processes_per_node=2)
    (status,) = run(spec)
    assert (status.state, status.num_preemptions, status.num_errors, status.exit_code) == ("failed", 1, 0, 1)
    last = log_of(spec).rpartition("--- process 1 said last\n")[2]
    assert last.splitlines()[-1] == "what is wrong"
    assert not processes.find(job_folder("job"))


def test_logs_are_followed_over_restarts_and_truncation_to_the_end(here):
    code = f"""
    {WAIT}
    print("after", flush=True)
    while not Path("cut").exists(): time.sleep(0.01)
    start == 1 and os.kill(0, 9)
    print("end")
    """
    spec = job(here, code)
    BACKEND.submit([spec])
    until_started(spec)
    pieces = BACKEND.logs(spec, "", node=0, follow=True)
    assert next(pieces) == "start 1\n"
    os.truncate(job_folder("job") / "log-0.txt", 0)
    (here / "go").touch()
    assert next(pieces).lstrip("\0").endswith("after\n")
    (here / "cut").touch()
    rest = "".join(pieces)
    assert rest.endswith("(SIGKILL)\nstart 2\nafter\nend\n")
    assert state_of(spec) == "succeeded"


def test_logs_of_another_machine_are_refused(here):
    with pytest.raises(JobError, match="job job runs on one machine; found --node 1, there is only 0"):
        BACKEND.logs(job(here, ""), "", node=1, follow=False)


def test_the_environment_is_the_users_and_that_of_the_job_without_launchers(here, jobs, monkeypatch):
    for name, value in {"SECRET_TOKEN": "s3cret-word", "RANK": "3", "MASTER_ADDR": "else", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    names = ("SECRET_TOKEN", "OWN", "RANK", "MASTER_ADDR", "SLURM_JOB_ID", "MRIKIT_JOB_FOLDER")
    code = f"import json; Path('env').write_text(json.dumps([os.environ.get(name) for name in {names}]))"
    assert run(job(here, code, env={"OWN": "a b"}))[0].state == "succeeded"
    found = json.loads((here / "env").read_text())
    assert found == ["s3cret-word", "a b", None, None, None, str(job_folder("job"))]
    assert not [path for path in jobs.rglob("*") if path.is_file() and b"s3cret-word" in path.read_bytes()]


def test_a_job_that_a_job_submits_does_not_end_with_it(here):
    inner = f"""
    sys.path.insert(0, {str(Path.cwd() / "tests")!r})
    from local_jobs import BACKEND, WAIT, job
    BACKEND.submit([job(Path("inner").absolute(), WAIT, name="inner")])
    """
    outer = job(here, inner, name="outer")
    assert run(outer)[0].state == "succeeded", log_of(outer)
    spec = job(here / "inner", WAIT, name="inner")
    until_started(spec)
    assert state_of(spec) == "running"
    (here / "inner" / "go").touch()
    assert finished(spec).state == "succeeded"


def test_pull_names_what_is_here_and_find_knows_every_job(here):
    spec = job(here, "", outputs=(str(here / "starts"), str(here / "none"), "az://runs/x"))
    assert BACKEND.find() == []
    (handle,) = BACKEND.submit([spec])
    finished(spec)
    assert BACKEND.pull(spec, here / "to") == [here / "starts"]
    assert BACKEND.find() == [(spec, handle)]


def test_a_folder_that_was_deleted_or_damaged_is_told_on_one_line(here):
    spec = job(here, "")
    assert BACKEND.status(spec, "1-2").message == f"{job_folder('job')} has no state of it; was it deleted?"
    run(spec)
    (job_folder("job") / "state.json").write_text('{"mood": 1}')
    with pytest.raises(JobError, match=r"state\.json: not the state of a job .* delete its folder"):
        BACKEND.status(spec, "")


def test_a_plan_is_the_line_that_a_shell_takes_and_starts_nothing(here, jobs):
    spec = job(here, "", env={"NOTE": "a b"}, spot=True, simulates_preemption=True)
    spec = dataclasses.replace(spec, command=("train", "--task", "knee x"))
    (plan,) = LocalBackend().plan([spec])
    assert (plan.where, plan.hourly_cost) == ("this machine, 1 process", None)
    assert plan.command == (sys.executable, "-P", "-m", "mrikit", "train", "--task", "knee x")
    assert plan.job_file == (
        f"cd {here} && PYTHONUNBUFFERED=1 NOTE='a b' {sys.executable} -P -m mrikit train --task 'knee x'\n"
    )
    assert [note.split(":")[0] for note in plan.notes[1:]] == [
        "--spot changes nothing here",
        "it is killed 3 times, within 60 s of a start",
    ]
    assert not jobs.exists()


def test_a_plan_of_several_processes_starts_them_with_torchrun(here):
    (plan,) = LocalBackend().plan([job(here, "", processes_per_node=3)])
    assert plan.where == "this machine, 3 processes"
    launch = (sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3")
    assert plan.command[:7] == launch
    assert plan.command[7:12] == (
        "--redirects",
        "1:3,2:3",
        "--log-dir",
        str(job_folder("job") / "others"),
        "--no-python",
    )


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"nodes": 2}, "--on local --nodes 2: this is one machine; take --on slurm or --on azure"),
        ({"gpus_per_node": 99}, "--on local --gpus 99: this machine has "),
        (
            {"resources": {"partition": "gpu"}},
            "--resource partition=gpu: --on local takes grace_s, kills, kill_within_s",
        ),
        ({"resources": {"grace_s": "long"}}, "--resource grace_s=long: a number, 0 or more, is needed"),
    ],
)
def test_what_this_machine_cannot_do_is_refused_before_anything_starts(here, jobs, facts, message):
    for verb in (BACKEND.plan, BACKEND.submit):
        with pytest.raises(ConfigError) as found:
            verb([job(here, "", **facts)])
        assert str(found.value).startswith(message)
    assert not jobs.exists()
