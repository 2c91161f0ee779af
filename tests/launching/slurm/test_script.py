"""The batch script of Slurm as text, what it refuses, and what bash makes of what users write."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mrikit.errors import ConfigError, JobError
from mrikit.launching.job import JobSpec
from mrikit.launching.slurm.backend import SlurmBackend
from mrikit.launching.slurm.body import BODY
from mrikit.launching.slurm.script import Place, array_script, kill_delays_s, script, specs_of
from mrikit.launching.slurm.traits import num_gres_gpus

PLACE = Place(python="/opt/mri/bin/python", jobs=Path("/home/me/jobs"))
SPEC = JobSpec(
    name="knee-acc8-stage-2-0a1b2c3d",
    command=("train", "--task", "knee_acc8", "--data", "/scratch/my data"),
    folder="/home/me/work",
    nodes=2,
    processes_per_node=4,
    gpus_per_node=4,
    max_hours=36.5,
    max_errors=1,
    env={"NCCL_DEBUG": "WARN; date"},
    resources={"partition": "gpu", "account": "x", "cpus": "8", "memory": "64gb"},
)
GOLDEN = """\
#!/bin/bash
#SBATCH --job-name=knee-acc8-stage-2-0a1b2c3d
#SBATCH --comment=mrikit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --time=2190
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/home/me/jobs/knee-acc8-stage-2-0a1b2c3d/batch-%j.txt
#SBATCH --partition=gpu
#SBATCH --account=x
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#MRIKIT {"command": ["train", "--task", "knee_acc8", "--data", "/scratch/my data"], \
"env": {"NCCL_DEBUG": "WARN; date"}, "folder": "/home/me/work", "gpus_per_node": 4, "inputs": [], "max_errors": 1, \
"max_hours": 36.5, "max_restarts": 10, "name": "knee-acc8-stage-2-0a1b2c3d", "nodes": 2, "outputs": [], \
"processes_per_node": 4, "resources": {"account": "x", "cpus": "8", "memory": "64gb", "partition": "gpu"}, \
"simulates_preemption": false, "spot": false}

job_folder=/home/me/jobs/knee-acc8-stage-2-0a1b2c3d
work_folder=/home/me/work
max_restarts=10
max_errors=1
kill_after_s=()
command=(/opt/mri/bin/python -P -m mrikit train --task knee_acc8 --data '/scratch/my data')
environment=('NCCL_DEBUG=WARN; date')
processes=(--nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=8)
num_tasks=8
grace_s=90
"""


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("#SBATCH")]


def ran(text, settings):
    """What bash prints of the settings of a script, without running it."""
    before = text.partition("\n# Here and not at the top")[0]
    done = subprocess.run(
        ["bash", "-c", f"{before}\nprintf '%s\\n' {settings}"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_the_script_of_a_job_is_this_text():
    assert script(SPEC, PLACE) == GOLDEN + BODY


def test_a_job_without_gpus_asks_for_none():
    assert not [line for line in lines_of(script(replace(SPEC, gpus_per_node=0), PLACE)) if "gpu" in line.split("=")[0]]


@pytest.mark.parametrize(
    ("hours", "minutes", "notice"), [(0.01, 1, 15), (0.02, 2, 30), (0.1, 6, 90), (24.0, 1440, 120)]
)
def test_the_time_limit_is_in_whole_minutes_and_a_short_job_is_told_late(hours, minutes, notice):
    lines = lines_of(script(replace(SPEC, max_hours=hours), PLACE))
    assert f"#SBATCH --time={minutes}" in lines
    assert f"#SBATCH --signal=B:USR1@{notice}" in lines


def test_another_machine_reads_the_job_out_of_its_script():
    assert specs_of(script(SPEC, PLACE)) == [SPEC]
    with pytest.raises(JobError, match="not the record of a job"):
        specs_of('#MRIKIT {"name": "x"')


@pytest.mark.parametrize("word", ["a; rm -rf /", 'a" --uid="0', "a\\", "$(date)", "it's", "# x"])
def test_what_a_user_writes_is_one_word_in_every_place(word):
    spec = replace(SPEC, command=("train", word), folder=f"/{word}", env={"A": word}, resources={"partition": word})
    text = script(spec, PLACE)
    assert ran(text, '"${command[5]}" "$work_folder" "${environment[0]}"') == [word, f"/{word}", f"A={word}"]
    quoted = word.replace("\\", "\\\\").replace('"', '\\"')
    assert f'#SBATCH --partition="{quoted}"' in lines_of(text)


def test_a_line_break_in_a_command_stays_in_its_word():
    text = script(replace(SPEC, command=("train", "a\n#SBATCH --uid=0")), PLACE)
    head, _, body = text.partition("\njob_folder=")
    assert "--uid" not in "\n".join(lines_of(head))
    assert ran(text, '"${command[5]}"') == ["a", "#SBATCH --uid=0"]
    assert "--uid=0" in body


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            {"cluster": "gpu"},
            "--resource cluster=gpu: --on slurm takes account, constraint, cpus, exclude, gres, kill_within_s",
        ),
        (
            {"partition": "a\n#SBATCH --uid=0"},
            r"--resource partition='a\\n#SBATCH --uid=0': a word without line breaks",
        ),
        ({"partition": ""}, "--resource partition='': a word"),
        ({"cpus": "many"}, "--resource cpus=many: a whole number of cores"),
        ({"memory": "a lot"}, "--resource memory=a lot: the memory of each machine is needed, such as 64GB"),
        ({"kills": "-1"}, "--resource kills=-1: a whole number is needed"),
    ],
)
def test_a_resource_that_slurm_does_not_know_is_named_before_anything_is_asked(resources, message):
    with pytest.raises(ConfigError, match=message):
        SlurmBackend().plan([replace(SPEC, resources=resources)])


def test_a_place_that_cannot_be_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="--resource python=python3: an absolute path is needed"):
        SlurmBackend().plan([replace(SPEC, resources={"python": "python3"})])
    with pytest.raises(ConfigError, match="'A B': not the name of an environment variable"):
        SlurmBackend().plan([replace(SPEC, env={"A B": "1"})])
    monkeypatch.setenv("MRIKIT_JOBS", "/home/back\\slash")
    with pytest.raises(ConfigError, match="Slurm writes no file below a folder with a backslash"):
        SlurmBackend().plan([SPEC])


def test_an_array_has_a_part_for_each_job_and_runs_few_at_once():
    specs = [replace(SPEC, name=f"member-{number}", command=("train", str(number))) for number in range(3)]
    text = array_script(specs, PLACE, 2)
    assert lines_of(text)[-1] == "#SBATCH --array=0-2%2"
    assert "#SBATCH --output=/home/me/jobs/.arrays/batch-%A_%a.txt" in lines_of(text)
    assert specs_of(text) == specs
    for number in range(3):
        told = f"SLURM_ARRAY_TASK_ID={number}\n{text.partition('#MRIKIT')[2].partition(chr(10))[2]}"
        assert ran(told, '"$job_folder" "${command[5]}" "$num_tasks"') == [
            f"/home/me/jobs/member-{number}", str(number), "8",
        ]  # fmt: skip


def test_an_array_of_jobs_that_differ_in_their_machines_is_refused():
    with pytest.raises(ConfigError, match="jobs of an array need the same machines; b needs others than a"):
        array_script([replace(SPEC, name="a"), replace(SPEC, name="b", nodes=3)], PLACE, 2)
    with pytest.raises(ConfigError, match="found 0, 2"):
        array_script([], PLACE, 2)


def test_practice_kills_come_at_times_of_the_name_and_no_more_than_restarts():
    spec = replace(SPEC, simulates_preemption=True, resources={"kill_within_s": "9", "kills": "3"})
    delays = kill_delays_s(spec)
    assert len(delays) == 3
    assert all(0 <= delay <= 9 for delay in delays)
    assert kill_delays_s(spec) == delays != kill_delays_s(replace(spec, name="another"))
    assert kill_delays_s(replace(spec, max_restarts=1)) == delays[:1]
    assert kill_delays_s(SPEC) == []
    assert f"kill_after_s=({' '.join(f'{delay:g}' for delay in delays)})" in script(spec, PLACE).splitlines()


def test_a_plan_says_where_and_what_and_asks_nobody(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("MRIKIT_JOBS", "/home/me/jobs")
    spec = replace(SPEC, resources={"partition": "gpu", "python": "/opt/mri/bin/python"}, simulates_preemption=True)
    (plan,) = SlurmBackend().plan([spec])
    assert plan.where == "Slurm, partition gpu"
    assert plan.command[:6] == ("srun", "/opt/mri/bin/python", "-P", "-m", "mrikit", "train")
    assert plan.job_file == script(spec, PLACE)
    assert plan.env == SPEC.env
    assert plan.hourly_cost is None
    assert plan.notes[0].startswith("state and logs are kept in /home/me/jobs/knee-acc8-stage-2-0a1b2c3d, which the")
    assert [note.split(" ")[0] for note in plan.notes[1:]] == ["each", "its"]
    assert json.dumps(plan.notes).count(" s,") == 1


def test_bash_takes_the_script():
    bash = shutil.which("bash")
    done = subprocess.run([bash, "-n"], input=script(SPEC, PLACE), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def resources(**given):
    """A script for other resources, and what it asks of sbatch."""
    spec = replace(SPEC, resources=given, gpus_per_node=num_gres_gpus(replace(SPEC, resources=given)))
    return lines_of(script(spec, PLACE))


@pytest.mark.parametrize(
    ("gres", "num_gpus"),
    [
        ("gpu:a100:4", 4),
        ("gpu:4", 4),
        ("gpu", 1),
        ("gpu:a100", 1),
        ("gres/gpu:a100_3g.20gb:2", 2),
        ("gpu:a100:2,gpu:v100:1", 3),
        ("tmpfs:100G,gpu:2", 2),
        ("tmpfs:100G", 0),
    ],
)
def test_gpus_that_gres_asks_for_are_counted_and_asked_for_once(gres, num_gpus):
    assert num_gres_gpus(replace(SPEC, resources={"gres": gres})) == num_gpus
    lines = resources(gres=gres)
    assert f"#SBATCH --gres={gres}" in lines
    assert not [line for line in lines if "gpus" in line]


def test_other_gres_leave_the_gpus_alone():
    lines = lines_of(script(replace(SPEC, resources={"gres": "tmpfs:100G"}), PLACE))
    assert "#SBATCH --gpus-per-node=4" in lines


def test_gres_and_gpus_that_differ_are_refused():
    spec = replace(SPEC, gpus_per_node=2, resources={"gres": "gpu:a100:4"})
    with pytest.raises(ConfigError, match="--gpus 2 and --resource gres=gpu:a100:4 ask for different numbers"):
        script(spec, PLACE)
    assert "#SBATCH --gres=gpu:a100:4" in lines_of(script(replace(spec, gpus_per_node=4), PLACE))


@pytest.mark.parametrize("gres", ["gpu:a100:many four", "gpu:a100:4G", "gpu::", "gpu=4"])
def test_gres_that_nobody_could_count_is_refused(gres):
    with pytest.raises(ConfigError, match="name:type:number is needed, such as gpu:a100:4"):
        script(replace(SPEC, resources={"gres": gres}), PLACE)


def test_mail_comes_at_the_end_or_when_it_is_asked_for():
    assert resources(mail="me@example.org")[-2:] == [
        "#SBATCH --mail-user=me@example.org",
        "#SBATCH --mail-type=END,FAIL",
    ]
    assert "#SBATCH --mail-type=ALL" in resources(mail="me@example.org", mail_type="ALL")
    assert resources(mail_type="BEGIN")[-1] == "#SBATCH --mail-type=BEGIN"


def test_a_plan_says_what_this_machine_lacks(monkeypatch):
    monkeypatch.setenv("MRIKIT_JOBS", "/home/me/jobs")
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "squeue" else f"/usr/bin/{program}")
    (plan,) = SlurmBackend().plan([SPEC])
    assert plan.missing.startswith("no `squeue` on the PATH: Slurm is used from a login node")
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    (plan,) = SlurmBackend().plan([SPEC])
    assert plan.missing == ""
