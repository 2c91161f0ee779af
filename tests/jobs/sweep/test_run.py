"""`mrikit sweep`: which members a file has, that each is trained once, and which of them is best."""

import json
import math

import pytest
from gpu_machine import gpu_machine
from swept import GRID, HEAD, in_memory, sweep

from mrikit.commands.sweep import run as sweep_module
from mrikit.errors import ConfigError
from mrikit.launching import own_gpus
from mrikit.launching.job import JobStatus
from mrikit.launching.records import load_record
from mrikit.launching.sweep_file import read_sweep


@pytest.fixture
def backend(monkeypatch, tmp_path):
    return in_memory(monkeypatch, tmp_path)


def read(tmp_path, text, name="rates.toml"):
    (tmp_path / name).write_text(text)
    return read_sweep(tmp_path / name)


def test_a_grid_is_every_combination_once(tmp_path):
    members = read(tmp_path, GRID + '"training.batch_size" = [4, 4]\n').members()
    pairs = {(one.settings["training.max_lr"], one.settings["training.seed"]) for one in members}
    assert pairs == {(rate, seed) for rate in ("0.001", "0.0001") for seed in "123"}
    assert len({one.name for one in members}) == len(members) == 6
    assert all(one.name.startswith("rates-") for one in members)


def test_seeds_of_a_random_tile_are_members(tmp_path):
    settings = '[settings]\n"data.mask_kind" = ["random_tile"]\n"data.mask_settings.seed" = [86672, 42083]\n'
    members = read(tmp_path, HEAD + settings).members()
    assert [one.settings["data.mask_settings.seed"] for one in members] == ["86672", "42083"]


TASKS = GRID.replace('"knee_multicoil"', '["knee_multicoil", "brain_multicoil"]')


def test_of_several_tasks_every_member_is_trained_for_each_and_keeps_its_name(tmp_path):
    members = read(tmp_path, TASKS).members()
    assert [one.task for one in members] == ["knee_multicoil"] * 6 + ["brain_multicoil"] * 6
    assert len({one.name for one in members}) == 12
    assert members[:6] == read(tmp_path, GRID).members()
    only_tasks = 'task = ["knee_multicoil", "brain_multicoil"]\ndata = "DATA"\n'
    assert [dict(one.settings) for one in read(tmp_path, only_tasks).members()] == [{}, {}]


def test_the_table_shows_the_task_and_the_best_of_each(backend, tmp_path):
    (tmp_path / "rates.toml").write_text(TASKS)
    lines = sweep("rates.toml", "--at-once", "6").stdout.splitlines()
    assert lines[0].split() == ["member", "task", "state", "score", "epoch", "settings"]
    assert [line.split()[1] for line in lines[1:13]] == ["knee_multicoil"] * 6 + ["brain_multicoil"] * 6
    assert lines[13].startswith(f"best of knee_multicoil: {lines[1].split()[0]}; next: mrikit report ")
    assert lines[14].startswith(f"best of brain_multicoil: {lines[7].split()[0]}; next: mrikit report ")
    assert {spec.command[2] for spec in backend.submitted} == {"knee_multicoil", "brain_multicoil"}
    told = sweep("rates.toml", "--dry-run").stdout.splitlines()
    assert told[6].split(": ")[1] == "brain_multicoil, training.max_lr=0.001, training.seed=1"


def test_members_keep_their_names_when_a_sweep_grows(tmp_path):
    few = {one.name for one in read(tmp_path, GRID).members()}
    more = {one.name for one in read(tmp_path, GRID.replace("[1, 2, 3]", "[1, 2, 3, 4]")).members()}
    assert few < more
    assert not few & {one.name for one in read(tmp_path, GRID.replace("DATA", "OTHER")).members()}


RANDOM = (
    HEAD
    + 'kind = "random"\nnum_members = 40\nseed = 3\n[settings]\n'
    + '"training.max_lr" = {low = 1e-5, high = 1e-2, log = true}\n"training.seed" = {low = 1, high = 3}\n'
    + '"augment.strength" = {low = 0.25, high = 0.5}\n"training.loss" = ["ssim", "l1"]\n'
)


def test_draws_lie_in_their_ranges_and_are_the_same_every_time(tmp_path):
    members = read(tmp_path, RANDOM).members()
    assert members == read(tmp_path, RANDOM).members()
    rates = [float(one.settings["training.max_lr"]) for one in members]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    # By the logarithm, about half lie below the geometric mean.
    assert 10 < sum(rate < math.sqrt(1e-5 * 1e-2) for rate in rates) < 30
    assert {one.settings["training.seed"] for one in members} == {"1", "2", "3"}
    assert all(0.25 <= float(one.settings["augment.strength"]) <= 0.5 for one in members)
    assert {one.settings["training.loss"] for one in members} == {"ssim", "l1"}


def test_a_longer_random_sweep_has_the_members_of_a_shorter_one(tmp_path):
    short = {one.name for one in read(tmp_path, RANDOM.replace("40", "10")).members()}
    assert short < {one.name for one in read(tmp_path, RANDOM).members()}
    assert not short & {one.name for one in read(tmp_path, RANDOM.replace("seed = 3", "seed = 4")).members()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", r"rates\.toml: not a TOML file"),
        ('task = "a"\n[settings]\na = [1]', r"rates\.toml: no data; a sweep has task, data and settings"),
        (HEAD + "[settings]\n", "sweep.settings names nothing"),
        (
            'task = []\ndata = "a"\n[settings]\na = [1]',
            r"sweep.task is a task, or a list of different ones; found \[\]",
        ),
        ('task = ["a", "a"]\ndata = "a"\n[settings]\na = [1]', "sweep.task is a task, or a list of different ones"),
        (HEAD + "[settings]\na = 3", "sweep.settings.a is a list of values, low below .*; found 3"),
        (HEAD + "[settings]\na = []", "sweep.settings.a is a list of values"),
        (HEAD + "[settings]\na = {low = 1, high = 2}", "sweep.settings.a is a list of values"),
        (HEAD + 'kind = "random"\n[settings]\na = [1]', "num_members is for a random sweep, which needs it"),
        (HEAD + "num_members = 3\n[settings]\na = [1]", "num_members is for a random sweep"),
        (HEAD + 'kind = "bayes"\n[settings]\na = [1]', "sweep.kind is one of grid, random; found 'bayes'"),
        (HEAD + 'kind = "random"\nnum_members = 2\n[settings]\na = {low = 2, high = 1}', "low below high"),
        (
            HEAD + 'kind = "random"\nnum_members = 2\n[settings]\na = {low = 0, high = 1, log = true}',
            "above 0 with log",
        ),
        (HEAD + 'kind = "random"\nnum_members = 2\n[settings]\na = {low = 0, hi = 1}', "a table of low, high and log"),
        (HEAD + "sise = 3\n[settings]\na = [1]", "sweep has no setting 'sise'; did you mean 'size'"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_too_many_members_are_refused(tmp_path):
    values = list(range(40))
    with pytest.raises(ConfigError, match="the grid has 1,600 members, more than 1,000"):
        read(tmp_path, HEAD + f"[settings]\na = {values}\nb = {values}").members()
    with pytest.raises(ConfigError, match="2 tasks with 600 members each are more than 1,000 members"):
        read(tmp_path, TASKS + f'"training.batch_size" = {list(range(100))}').members()
    with pytest.raises(ConfigError, match="at most 1,000; found 1,001"):
        read(tmp_path, RANDOM.replace("40", "1001")).members()


def test_a_sweep_needs_a_name_that_jobs_can_have(tmp_path):
    with pytest.raises(ConfigError, match="named by lower-case letters, digits and hyphens; found 'My Rates'"):
        read(tmp_path, GRID, "My Rates.toml")


def test_every_member_is_trained_once_and_the_best_stands_first(backend):
    result = sweep("rates.toml", "--at-once", "2")
    assert len(backend.submitted) == 6
    assert backend.most == 2
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["member", "state", "score", "epoch", "settings"]
    assert [line.split()[1:4] for line in lines[1:3]] == [
        ["succeeded", "0.001003", "1"],
        ["succeeded", "0.001002", "1"],
    ]
    best = lines[1].split()[0]
    assert lines[-1].startswith(f"best: {best}; next: mrikit report ")
    assert "rates: 6 members on memory" in result.stderr
    sweep("rates.toml")
    assert len(backend.submitted) == 6


def test_members_that_run_at_once_share_the_cores_unless_the_user_has_said_how_many(backend, monkeypatch, tmp_path):
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: range(8))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    sweep("rates.toml", "--at-once", "3")
    assert {spec.env["OMP_NUM_THREADS"] for spec in backend.submitted} == {"2"}
    (tmp_path / "alone.toml").write_text(GRID)
    sweep("alone.toml")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    (tmp_path / "own.toml").write_text(GRID)
    sweep("own.toml", "--at-once", "3")
    assert [dict(spec.env) for spec in backend.submitted[6:]] == [{}] * 12


def test_a_sweep_has_as_many_members_going_as_have_free_gpus(backend, tmp_path, monkeypatch):
    gpu_machine(tmp_path / "machine", monkeypatch, 3)
    backend.num_looks = 50
    monkeypatch.setattr(own_gpus, "open_backend", lambda _name: backend)
    told = sweep("rates.toml", "--gpus", "1").stderr
    assert (len(backend.submitted), backend.most) == (6, 3)
    assert "3 members wait: --gpus 1: 0 of the 3 GPUs here can be had; held are 0 by job " in " ".join(told.split())
    assert told.count("members wait") == 1
    assert {spec.gpu_ids for spec in backend.submitted} == {("0",), ("1",), ("2",)}


def test_a_sweep_with_gpus_takes_no_more_members_at_once_than_asked_for(backend, tmp_path, monkeypatch):
    gpu_machine(tmp_path / "machine", monkeypatch, 3)
    backend.num_looks = 50
    monkeypatch.setattr(own_gpus, "open_backend", lambda _name: backend)
    sweep("rates.toml", "--gpus", "1", "--at-once", "2")
    assert backend.most == 2


def test_each_member_is_the_training_command_with_its_settings_in_a_folder_of_its_own(backend, tmp_path):
    sweep("rates.toml", "--gpus", "1", "--resource", "image=ours")
    spec = backend.submitted[0]
    assert spec.command[:5] == ("train", "--task", "knee_multicoil", "--data", "DATA")
    assert spec.command[-4:] == ("--set", "training.max_lr=0.001", "--set", "training.seed=1")
    assert spec.outputs == (str(tmp_path / "runs" / "rates" / spec.name),)
    assert (spec.gpus_per_node, spec.resources) == (1, {"image": "ours"})


def test_failed_members_are_named_and_started_again_with_more_memory(backend):
    backend.fails = {"2": "broken"}
    result = sweep("rates.toml", "--at-once", "6")
    failed = [spec.name for spec in backend.submitted if "training.seed=2" in spec.command]
    for name in failed:
        assert f"{name} failed: broken" in result.stdout
    assert result.stdout.splitlines()[-1] == "next: the same command with --retry-failed"
    sweep("rates.toml")
    assert len(backend.submitted) == 6
    backend.fails = {}
    sweep("rates.toml", "--retry-failed", "--memory", "64GB")
    assert sorted(spec.name for spec in backend.submitted[6:]) == sorted(failed)
    assert all(spec.resources == {"memory": "64GB"} for spec in backend.submitted[6:])
    assert load_record(failed[0]).earlier != ()


def test_members_of_one_back_end_are_not_looked_for_on_another(backend):
    sweep("rates.toml")
    backend.name = "docker"
    with pytest.raises(ConfigError, match="was submitted with --on local; go on there"):
        sweep("rates.toml", "--on", "docker")


def test_a_member_whose_machine_was_lost_is_named_and_started_again(backend):
    sweep("rates.toml")
    lost = backend.submitted[0].name
    handle = load_record(lost).handle
    backend.ends[handle] = JobStatus(state="unknown", message="its supervisor is gone")
    assert f"{lost} unknown: its supervisor is gone" in sweep("rates.toml").stdout
    sweep("rates.toml", "--retry-failed")
    assert [spec.name for spec in backend.submitted[6:]] == [lost]


def test_members_of_another_folder_are_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = {one.name for one in read(tmp_path, GRID).members()}
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert not here & {one.name for one in read(tmp_path, GRID).members()}


def test_memory_is_for_a_retry(backend):
    with pytest.raises(ConfigError, match="--memory is for --retry-failed"):
        sweep("rates.toml", "--memory", "64GB")


def test_a_dry_run_names_the_members_and_starts_none(backend):
    lines = sweep("rates.toml", "--dry-run").stdout.splitlines()
    assert len(lines) == 7
    assert lines[0].endswith(": training.max_lr=0.001, training.seed=1")
    assert backend.submitted == []


def test_the_table_is_json_for_programs(backend):
    members = json.loads(sweep("rates.toml", "--json").stdout)["members"]
    assert len(members) == 6
    assert members[0]["settings"] == {"training.max_lr": "0.001", "training.seed": "3"}
    assert members[0]["score"] == pytest.approx(0.001003)


def test_a_member_that_another_terminal_has_started_meanwhile_is_not_started_again(backend, monkeypatch):
    found = sweep_module.to_start

    def waiting(*given, **more):
        names = found(*given, **more)
        monkeypatch.setattr(sweep_module, "to_start", found)
        sweep("rates.toml")  # the other terminal is faster than this one
        return names

    monkeypatch.setattr(sweep_module, "to_start", waiting)
    sweep("rates.toml")
    assert len(backend.submitted) == 6


def test_where_there_are_arrays_a_sweep_is_one(backend, monkeypatch):
    backend.name = "slurm"

    def submit_array(specs, at_once):
        backend.arrays.append((len(specs), at_once))
        for spec in specs:
            backend.running[spec.name] = 5
        return [f"7_{index}" for index, _ in enumerate(specs)]

    monkeypatch.setattr(backend, "submit_array", submit_array, raising=False)
    result = sweep("rates.toml", "--on", "slurm", "--at-once", "3")
    assert backend.arrays == [(6, 3)]
    assert backend.submitted == []
    assert result.stdout.count("running") == 6


def starved(backend, memory="32GB", *words):
    """The members of one seed ran out of memory, those of another failed for another reason."""
    backend.name = "slurm"
    backend.fails = {"2": "out of memory; failed (exit code 137)", "3": "failed (exit code 1)"}
    backend.num_looks = 0
    return sweep("rates.toml", "--on", "slurm", "--resource", f"memory={memory}", *words)


@pytest.fixture
def one_by_one(backend, monkeypatch):
    """A queue that keeps an array's members as any others."""

    def submit_array(specs, at_once):
        backend.arrays.append((len(specs), at_once))
        return [handle for spec in specs for handle in backend.submit([spec])]

    monkeypatch.setattr(backend, "submit_array", submit_array, raising=False)
    return backend


def test_members_that_ran_out_of_memory_are_named_and_how_they_get_more(one_by_one):
    lines = starved(one_by_one).stdout.splitlines()
    assert sum("failed: out of memory" in line for line in lines) == 2
    assert lines[-2:] == [
        "next: the same command with --retry-out-of-memory gives 2 of them twice as much",
        "next: the same command with --retry-failed",
    ]


def test_only_members_that_ran_out_of_memory_are_started_again_with_twice_as_much(one_by_one):
    starved(one_by_one)
    assert len(one_by_one.submitted) == 6
    starved(one_by_one, "32GB", "--retry-out-of-memory")
    again = one_by_one.submitted[6:]
    assert len(again) == 2
    assert all("training.seed=2" in spec.command for spec in again)
    assert all(spec.resources == {"memory": "64GB"} for spec in again)
    starved(one_by_one, "32GB", "--retry-out-of-memory")
    assert [spec.resources["memory"] for spec in one_by_one.submitted[8:]] == ["128GB", "128GB"]
    starved(one_by_one, "32GB", "--retry-out-of-memory", "--memory", "500GB")
    assert [spec.resources["memory"] for spec in one_by_one.submitted[10:]] == ["500GB", "500GB"]


def test_a_retry_of_all_has_members_keep_the_memory_that_they_were_given_last(one_by_one):
    starved(one_by_one)
    starved(one_by_one, "32GB", "--retry-out-of-memory")
    sweep("rates.toml", "--on", "slurm", "--retry-failed")
    memory = {spec.command[-1]: spec.resources["memory"] for spec in one_by_one.submitted[8:]}
    assert memory == {"training.seed=2": "64GB", "training.seed=3": "32GB"}
    assert one_by_one.arrays == [(6, 1), (2, 1), (2, 1), (2, 1)]  # those that ask for the same are one array


def test_more_memory_is_for_where_it_can_be_asked_for(backend):
    with pytest.raises(ConfigError, match="--retry-out-of-memory is for --on docker or slurm; --on local gives each "):
        sweep("rates.toml", "--retry-out-of-memory")


def test_here_fewer_at_once_is_what_helps_against_too_little_memory(backend):
    backend.fails = {"2": "out of memory; failed (exit code 12)"}
    last = sweep("rates.toml").stdout.splitlines()[-1]
    assert last == "next: the same command with --retry-failed and fewer --at-once, as memory was the reason"


def test_members_are_tested_by_the_training_itself_beside_their_run(one_by_one, tmp_path):
    one_by_one.name = "slurm"  # where a training alone would be a chain of jobs
    (tmp_path / "rates.toml").write_text(GRID.replace("[settings]", 'test_data = "TEST"\n[settings]'))
    sweep("rates.toml", "--on", "slurm")
    spec = one_by_one.submitted[0]
    assert spec.command[9:11] == ("--test-data", "TEST")
    run = str(tmp_path / "runs" / "rates" / spec.name)
    assert spec.outputs == (run, f"{run}-test")
    assert str(tmp_path / "TEST") in spec.inputs


def test_members_that_were_trained_before_are_tested_when_the_file_says_so(backend, tmp_path):
    sweep("rates.toml")
    (tmp_path / "rates.toml").write_text(GRID.replace("[settings]", 'test_data = "TEST"\n[settings]'))
    sweep("rates.toml")
    assert [spec.name for spec in backend.submitted[6:]] == [spec.name for spec in backend.submitted[:6]]
    assert all("TEST" in spec.command for spec in backend.submitted[6:])
    sweep("rates.toml")
    assert len(backend.submitted) == 12


def test_run_may_be_named(backend):
    assert sweep("run", "rates.toml", "--dry-run").stdout == sweep("--dry-run", "rates.toml").stdout
