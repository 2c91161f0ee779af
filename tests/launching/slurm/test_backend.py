"""Jobs on a real Slurm of one machine, from their submission to their end, and what can come in between."""

import contextlib
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from slurm import missing_programs, running_slurm
from training.children import newest_step
from training.small_run import are_same_bits, command_line, largest_difference, newest_state, run
from typer.testing import CliRunner
from waiting import HANG_S

from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError
from mrikit.launching.job import GOING_ON, JobSpec
from mrikit.launching.records import load_record, new_record, save_record
from mrikit.launching.slurm.backend import SlurmBackend, start_folder
from mrikit.launching.slurm.status import Starts, read_starts, status_of

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
TOLERANCE = 2e-6  # of rounding: two processes sum the same gradients in another order

_STANDS_IN = r"""#!/bin/bash
# In place of the interpreter: a command that does what a test wants, at once.
shift 3
case $1 in
show) echo "$SLURM_PROCID of $SLURM_STEP_NUM_TASKS, $WORD, $2, in $PWD, rank ${RANK:-not set}" ;;
fail) echo "broken $SLURM_PROCID"; exit "$2" ;;
take) echo "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed."
    kill -9 $$ ;;
mend) echo "try"; [ -e "$2" ] || { touch "$2"; exit 3; } ;;
wait) trap 'echo "told to stop"; exit 143' TERM; echo begun; until [ -e "$2" ]; do sleep 0.05; done; echo done ;;
esac
"""


@pytest.fixture(scope="session")
def slurm():
    missing = missing_programs()
    reason = f"no {', '.join(missing)}; Debian's slurmctld, slurmd, slurm-client and munge have them"
    if os.geteuid():
        missing, reason = ["root"], "only root starts a Slurm of its own"
    if missing:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with running_slurm() as environment:
        yield environment


@pytest.fixture
def spec(slurm, tmp_path, monkeypatch):
    """A job whose command is a short shell script; its folder has a name that Slurm would take for a pattern."""
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs 100%j"))
    program = tmp_path / "program"
    program.write_text(_STANDS_IN)
    program.chmod(0o755)
    name = f"test-{tmp_path.name.replace('_', '-').lower()}"[-63:].strip("-")
    return JobSpec(name=name, command=("show",), folder=str(tmp_path), resources={"python": str(program)})


def scontrol(*words):
    subprocess.run(["scontrol", *words], check=True, capture_output=True, timeout=HANG_S)


def until(spec, handle, is_so):
    """The first status of which something is so; what Slurm holds back before another start need not wait so long."""
    end, hurried = time.monotonic() + HANG_S, None
    while time.monotonic() < end:
        status = SlurmBackend().status(spec, handle)
        if is_so(status):
            return status
        num_starts = len(read_starts(start_folder(spec, handle)).started_at)
        if "BeginTime" in status.message and hurried != num_starts:
            # Not at once: the machine refuses what it was told to end in the same second.
            scontrol("update", f"JobId={handle}", "StartTime=now+2")
            hurried = num_starts
        assert status.state in GOING_ON, f"{status}\n{said(spec, handle)}"
        time.sleep(0.1)
    raise AssertionError(f"{status}\n{said(spec, handle)}")


def over(spec, handle):
    return until(spec, handle, lambda status: status.state not in GOING_ON)


def began(spec, handle, number=1):
    """Wait until the command of a start has said something."""
    logs = start_folder(spec, handle) / "task-0" / f"log-{number - 1}.txt"
    return until(spec, handle, lambda _status: logs.exists() and logs.read_text())


def said(spec, handle):
    paths = [*start_folder(spec, handle).parent.rglob("*.txt")]
    return "\n".join(f"{path.name}: {path.read_text()}" for path in paths)


def log_of(spec, handle, node=0):
    return "".join(SlurmBackend().logs(spec, handle, node=node, follow=False))


def submit(spec):
    (handle,) = SlurmBackend().submit([spec])
    return handle


def test_a_job_runs_its_processes_in_its_folder_with_its_environment(spec, monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "7")  # of a launcher around this process
    spec = replace(spec, processes_per_node=2, command=("show", "a; b 'c"), env={"WORD": "x $y"})
    handle = submit(spec)
    assert "".join(SlurmBackend().logs(spec, handle, node=0, follow=True)) == (
        f"0 of 2, x $y, a; b 'c, in {tmp_path}, rank not set\n"
    )
    status = over(spec, handle)
    assert (status.state, status.exit_code, status.num_preemptions, status.num_errors) == ("succeeded", 0, 0, 0)
    assert 0 <= status.ended_at - status.started_at <= HANG_S
    second = start_folder(spec, handle) / "task-1" / "log-0.txt"
    assert second.read_text().startswith("1 of 2, ")
    with pytest.raises(JobError, match="has 1 machines, numbered from 0; there is no 1"):
        log_of(spec, handle, node=1)


def test_a_job_that_is_taken_off_its_machine_is_told_and_started_again(spec, tmp_path):
    spec = replace(spec, command=("wait", str(tmp_path / "go")))
    handle = submit(spec)
    began(spec, handle)
    scontrol("requeue", handle)
    again = until(spec, handle, lambda status: status.state == "restarting")
    assert (again.num_preemptions, again.exit_code, again.ended_at) == (0, 143, None)
    began(spec, handle, 2)
    (tmp_path / "go").touch()
    status = over(spec, handle)
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 1, 0)
    assert [line for line in log_of(spec, handle).splitlines() if not line.startswith(("slurmstepd", "Term"))] == [
        "begun", "told to stop", "begun", "done",
    ]  # fmt: skip


@pytest.mark.slow
def test_preemptions_have_a_bound_that_slurm_alone_would_not_keep(spec, tmp_path):
    spec = replace(spec, command=("wait", str(tmp_path / "never")), max_restarts=0, max_errors=5)
    handle = submit(spec)
    began(spec, handle)
    scontrol("requeue", handle)
    status = over(spec, handle)
    assert status.state == "failed"
    assert status.message.startswith("taken off its machine 1 time, --max-restarts is 0; `mrikit jobs resume")


@pytest.mark.slow
def test_at_its_time_limit_a_job_keeps_its_state_and_is_queued_again(spec, tmp_path):
    """Slurm counts minutes; the signal that it would send then is sent by hand."""
    spec = replace(spec, command=("wait", str(tmp_path / "never")), max_restarts=1)
    handle = submit(spec)
    for number in (1, 2):
        began(spec, handle, number)
        subprocess.run(["scancel", "--batch", "--signal=USR1", handle], check=True)
    status = over(spec, handle)
    assert (status.state, status.exit_code, status.num_preemptions, status.num_errors) == ("failed", 143, 1, 0)
    assert status.message.startswith("stopped 2 times after 24 h (--max-hours), --max-restarts is 1; `mrikit jobs")
    assert log_of(spec, handle).count("told to stop") == 2


def test_errors_are_counted_apart_and_a_job_that_mends_itself_succeeds(spec, tmp_path):
    spec = replace(spec, command=("mend", str(tmp_path / "mended")), max_errors=1, max_restarts=0)
    handle = submit(spec)
    status = over(spec, handle)
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 0, 1)
    assert log_of(spec, handle) == "try\ntry\n"


@pytest.mark.slow
def test_a_job_that_fails_too_often_says_how_and_starts_no_more(spec):
    spec = replace(spec, command=("fail", "3"), max_errors=1)
    handle = submit(spec)
    status = over(spec, handle)
    assert (status.state, status.exit_code, status.num_errors, status.num_preemptions) == ("failed", 3, 1, 0)
    assert status.message == f"failed 2 times, --max-errors is 1 (exit code 3); `mrikit jobs logs {spec.name}` says why"
    assert log_of(spec, handle) == "broken 0\nbroken 0\n"


@pytest.mark.slow
def test_what_slurm_kills_for_lack_of_memory_has_failed(spec):
    spec = replace(spec, command=("take",), max_errors=1)
    handle = submit(spec)
    status = over(spec, handle)
    assert (status.state, status.exit_code, status.num_errors, status.num_preemptions) == ("failed", 137, 1, 0)
    failed = "out of memory; failed 2 times, --max-errors is 1 (exit code 137)"
    assert status.message == f"{failed}; --resource memory=64GB asks for more"


@pytest.mark.slow
def test_what_another_process_says_of_an_error_stands_in_the_log_that_is_shown(spec):
    spec = replace(spec, command=("fail", "1"), processes_per_node=2)
    handle = submit(spec)
    assert over(spec, handle).state == "failed"
    assert log_of(spec, handle) == "broken 0\n--- process 1 said last\nbroken 1\n"


def test_a_folder_that_the_machine_does_not_have_is_named(spec):
    spec = replace(spec, folder="/nowhere")
    status = over(spec, submit(spec))
    assert (status.state, status.exit_code) == ("failed", 1)
    assert status.message.startswith("its script ended with 1:0: ")
    assert status.message.endswith("cd: /nowhere: No such file or directory")


@pytest.mark.slow
def test_a_full_disk_ends_a_job_that_nobody_could_count(spec, full_disk, monkeypatch):
    monkeypatch.setenv("MRIKIT_JOBS", str(full_disk))
    start_folder(spec, "0").mkdir(parents=True)
    with contextlib.suppress(OSError), (full_disk / "ballast").open("wb") as ballast:
        for _ in range(2**12):
            ballast.write(bytes(2**10))
            ballast.flush()
    status = over(replace(spec, max_errors=3), submit(replace(spec, max_errors=3)))
    assert (status.state, status.num_errors) == ("failed", 0)
    assert status.message == "its script ended with 1:0: no words; is the disk full?"


@pytest.mark.slow
def test_when_the_first_of_a_chain_fails_nothing_else_is_started(spec):
    chain = [replace(spec, name=f"{name}-{spec.name}"[:63], command=("fail", "1")) for name in "abc"]
    handles = SlurmBackend().submit(chain)
    states = [over(one, handle) for one, handle in zip(chain, handles, strict=True)]
    assert [status.state for status in states] == ["failed", "cancelled", "cancelled"]
    assert states[1].message == "the job before it did not succeed"
    assert not start_folder(chain[1], handles[1]).exists()


@pytest.mark.slow
def test_a_chain_that_is_refused_halfway_leaves_nothing_in_the_queue(spec):
    bad = replace(spec, name="bad", resources={**spec.resources, "partition": "a; rm -rf"})
    with pytest.raises(JobError, match="`sbatch` says: invalid partition specified: a; rm -rf; Batch job submission"):
        SlurmBackend().submit([replace(spec, command=("wait", "never")), bad])
    listed = subprocess.run(["squeue", "--noheader", "--format=%j %T"], capture_output=True, text=True, check=True)
    assert spec.name not in "".join(line for line in listed.stdout.splitlines() if "COMPLETING" not in line)


@pytest.mark.slow
def test_a_cancelled_job_ends_with_what_waits_for_it_and_resume_goes_on(spec, tmp_path):
    spec = replace(spec, command=("wait", str(tmp_path / "go")), max_errors=3)
    after = replace(spec, name=f"after-{spec.name}"[:63].strip("-"))
    handle, waiting = SlurmBackend().submit([spec, after])
    save_record(new_record(spec, "slurm", handle))
    began(spec, handle)
    done = CliRunner().invoke(app, ["jobs", "cancel", spec.name])
    assert done.exit_code == 0, done.output
    assert over(spec, handle).state == "cancelled"
    assert over(after, waiting).state == "cancelled"
    (tmp_path / "go").touch()
    resumed = CliRunner().invoke(app, ["jobs", "resume", spec.name])
    assert resumed.exit_code == 0, resumed.output
    record = load_record(spec.name)
    assert record.earlier == (handle,)
    assert over(spec, record.handle).state == "succeeded"
    SlurmBackend().cancel(spec, record.handle)
    assert SlurmBackend().status(spec, record.handle).state == "succeeded"
    # Slurm takes a moment longer to end the first one, and must not have asked for it again.
    assert SlurmBackend().status(spec, handle).state == "cancelled"


@pytest.mark.slow
def test_scancel_by_hand_ends_a_job_although_it_has_starts_left(spec, tmp_path):
    spec = replace(spec, command=("wait", str(tmp_path / "never")), max_errors=3)
    handle = submit(spec)
    began(spec, handle)
    subprocess.run(["scancel", handle], check=True)
    status = until(spec, handle, lambda status: status.state == "cancelled")
    assert (status.num_preemptions, status.num_errors) == (0, 0)
    assert len(read_starts(start_folder(spec, handle)).started_at) == 1


@pytest.mark.slow
def test_two_jobs_of_one_name_run_one_after_the_other(spec, tmp_path):
    spec = replace(spec, command=("wait", str(tmp_path / "go")))
    first, second = submit(spec), submit(spec)
    began(spec, first)
    assert until(spec, second, lambda status: "Dependency" in status.message).state == "queued"
    (tmp_path / "go").touch()
    assert [over(spec, handle).state for handle in (first, second)] == ["succeeded", "succeeded"]


@pytest.mark.slow
def test_an_array_runs_its_jobs_each_with_a_state_of_its_own(spec, tmp_path):
    commands = [("show", "zero"), ("fail", "4"), ("mend", str(tmp_path / "mended"))]
    specs = [
        replace(spec, name=f"m{number}-{spec.name}"[:63].strip("-"), command=command, max_errors=number // 2)
        for number, command in enumerate(commands)
    ]
    handles = SlurmBackend().submit_array(specs, 2)
    job = handles[0].partition("_")[0]
    assert handles == [f"{job}_0", f"{job}_1", f"{job}_2"]
    found = [over(one, handle) for one, handle in zip(specs, handles, strict=True)]
    assert [(one.state, one.exit_code, one.num_errors) for one in found] == [
        ("succeeded", 0, 0), ("failed", 4, 0), ("succeeded", 0, 1),
    ]  # fmt: skip
    assert log_of(specs[0], handles[0]).startswith("0 of 1, , zero, ")
    assert [pair for pair in SlurmBackend().find() if pair[1] in handles] == list(zip(specs, handles, strict=True))[
        ::-1
    ]


@pytest.mark.slow
def test_another_machine_finds_the_newest_job_of_a_name(spec):
    handles = [submit(spec), submit(spec)]
    for handle in handles:
        over(spec, handle)
    assert [pair for pair in SlurmBackend().find() if pair[0].name == spec.name] == [(spec, handles[1])]


@pytest.mark.slow
def test_what_slurm_has_forgotten_is_known_from_its_files_or_not_at_all(spec):
    handle = "99999999"
    assert SlurmBackend().status(spec, handle).state == "unknown"
    folder = start_folder(spec, handle)
    folder.mkdir(parents=True)
    starts = folder / "starts.txt"
    starts.write_text("start 1 1000 localhost\n")
    assert "its script left no end; `mrikit jobs resume` goes on" in SlurmBackend().status(spec, handle).message
    with pytest.raises(JobError, match=r"has no log yet in .*task-0; it is unknown"):
        log_of(spec, handle)
    starts.write_text(
        "start 1 1000 localhost\nend 1 1060 limit 143 again\nstart 2 1100 localhost\nend 2 1200 done 0 over\n"
    )
    status = SlurmBackend().status(spec, handle)
    assert (status.state, status.num_preemptions, status.started_at, status.ended_at) == ("succeeded", 1, 1000, 1200)
    SlurmBackend().cancel(spec, handle)
    assert SlurmBackend().status(spec, handle).state == "succeeded"


@pytest.mark.parametrize(
    ("job", "state", "message"),
    [
        ({"JobState": "NODE_FAIL"}, "failed", "its machine failed"),
        ({"JobState": "OUT_OF_MEMORY"}, "failed", "needed more memory"),
        ({"JobState": "FAILED", "ExitCode": "0:53"}, "failed", "Slurm cannot write into its folder"),
        ({"JobState": "PENDING", "Reason": "Resources"}, "queued", "Slurm says Resources"),
        ({"JobState": "COMPLETING"}, "running", ""),
        ({"JobState": "COMPLETED", "ExitCode": "0:0"}, "succeeded", ""),
    ],
)
def test_what_slurm_says_of_a_job_is_said_in_our_words(job, state, message):
    spec = JobSpec(name="x", command=("tasks",), folder="/")
    status = status_of(spec, Starts(), job, is_cancelled=False)
    assert status.state == state
    assert message in status.message


def test_without_slurm_the_message_says_where_to_go(spec, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(JobError, match="no `sbatch` on the PATH: Slurm is used from a login node of its cluster"):
        submit(spec)
    with pytest.raises(JobError, match="no `squeue` on the PATH"):
        SlurmBackend().find()


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(spec, monkeypatch, tmp_path):
    gone = tmp_path / "slurm.conf"
    lines = Path(os.environ["SLURM_CONF"]).read_text().splitlines()
    lines = [line for line in lines if not line.startswith("SlurmctldPort")]
    gone.write_text("\n".join([*lines, "SlurmctldPort=1", "MessageTimeout=2", ""]))
    monkeypatch.setenv("SLURM_CONF", str(gone))
    with pytest.raises(JobError, match=r"`scontrol` says: .*Unable to contact slurm controller"):
        SlurmBackend().status(spec, "1")


def test_jobs_that_no_array_can_hold_are_refused(spec):
    with pytest.raises(ConfigError, match="at least one at a time; found 1, 0"):
        SlurmBackend().submit_array([spec], 0)


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    """A run that nobody disturbed, of one process."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(study, folder)
    return folder


def training(spec, study, out, resources=None, **changes):
    command = ("train", "--data", str(study), "--out", str(out), *command_line())
    return replace(spec, command=command, outputs=(str(out),), resources=resources or {}, **changes)


@pytest.mark.slow
def test_two_processes_train_as_one_although_slurm_takes_their_machine(spec, study, finished, tmp_path):
    out = tmp_path / "run"
    spec = training(spec, study, out, processes_per_node=2)
    handle = submit(spec)
    until(spec, handle, lambda status: newest_step(out) >= 2 or status.state not in GOING_ON)
    scontrol("requeue", handle)
    assert SlurmBackend().pull(spec, tmp_path) == [out]
    status = over(spec, handle)
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 1, 0), said(spec, handle)
    assert "stopping after this step" in log_of(spec, handle)
    assert "going on after step" in log_of(spec, handle)
    assert largest_difference(newest_state(out), newest_state(finished)) < TOLERANCE


@pytest.mark.slow
def test_a_training_that_is_killed_for_practice_ends_with_the_same_weights(spec, study, finished, tmp_path):
    out = tmp_path / "run"
    resources = {"kills": "1", "kill_within_s": "10"}
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # other ones sum in another order
    spec = training(spec, study, out, simulates_preemption=True, resources=resources, env=threads)
    handle = submit(spec)
    status = over(spec, handle)
    assert (status.state, status.num_preemptions, status.num_errors) == ("succeeded", 1, 0), said(spec, handle)
    assert are_same_bits(newest_state(out), newest_state(finished))
