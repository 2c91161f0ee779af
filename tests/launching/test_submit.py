"""`--on`: the same command elsewhere, by one description, one price, and never twice; against a back end in memory."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer
from estates import example_estate
from predicted import hours_of
from typer.testing import CliRunner

from mrikit.commands import jobs as jobs_module
from mrikit.commands.data.index import index
from mrikit.commands.on import elsewhere
from mrikit.commands.reconstruct import reconstruct
from mrikit.commands.train import train
from mrikit.errors import ConfigError, JobError
from mrikit.launching import submit
from mrikit.launching.command import places
from mrikit.launching.job import JobPlan, JobSpec, JobStatus
from mrikit.launching.options import Chosen
from mrikit.launching.records import (
    job_folder,
    load_record,
    load_records,
    new_record,
    require_record,
    save_record,
    spec_from_json,
    spec_to_json,
)
from mrikit.storage.estate import save_estate

app = typer.Typer(pretty_exceptions_enable=False)
for command in (train, reconstruct, index):
    app.command()(elsewhere(command))
runner = CliRunner()


class FakeBackend:
    """Keeps what it is given, and tells the states that a test sets."""

    name = "slurm"

    def __init__(self):
        self.submitted, self.states, self.known = [], {}, []
        self.hourly_cost, self.is_cost_sure, self.missing = 10.0, True, ""

    def plan(self, chain):
        return [
            JobPlan(
                where="a cluster in memory", command=("mrikit", *spec.command), env={"A": "b"}, notes=("a note",),
                job_file=f"#!{spec.name}", hourly_cost=self.hourly_cost, is_cost_sure=self.is_cost_sure, currency="USD",
                missing=self.missing,
            )
            for spec in chain
        ]  # fmt: skip

    def submit(self, chain):
        self.submitted.append([spec.name for spec in chain])
        for spec in chain:
            self.states[spec.name] = "running"
        return [f"{len(self.submitted)}.{index}" for index, _ in enumerate(chain)]

    def status(self, spec, handle):
        return JobStatus(state=self.states.get(spec.name, "unknown"), message=f"handle {handle}")

    def find(self):
        return self.known


@pytest.fixture
def backend(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    save_estate(example_estate())
    fake = FakeBackend()
    for module in (submit, jobs_module):
        monkeypatch.setattr(module, "open_backend", lambda _name: fake)
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    monkeypatch.chdir(tmp_path)
    return fake


def run(*words, code=0):
    result = runner.invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


TRAIN = ("train", "--task", "knee_multicoil", "--data", "DATA", "--on", "slurm")


def test_a_command_goes_with_its_words_but_without_those_of_on(backend, tmp_path):
    run(*TRAIN, "--nodes", "2", "--gpus=4", "--spot", "--set", "training.batch_size=8", "--resource=partition=gpu")
    (record,) = load_records()
    words = ("train", "--task", "knee_multicoil", "--data", "DATA", "--set", "training.batch_size=8")
    spec = record.spec
    # Where the run lies is said, because it is written.
    assert spec.command == (*words, "--out", "runs/knee_multicoil-varnet-tiny")
    assert (spec.nodes, spec.gpus_per_node, spec.processes_per_node, spec.num_processes) == (2, 4, 4, 8)
    assert spec.spot
    assert spec.resources == {"partition": "gpu"}
    assert spec.inputs == (str(tmp_path / "DATA"),)
    assert spec.outputs == (str(tmp_path / "runs/knee_multicoil-varnet-tiny"),)
    assert spec.folder == str(tmp_path)
    assert (record.backend, record.handle) == ("slurm", "1.0")


def test_places_that_are_written_are_told_from_those_that_are_read(backend, tmp_path):
    run(
        "reconstruct",
        "--data",
        "az://raw/knee",
        "--weights",
        "runs/a",
        "--weights",
        "runs/b",
        "--out",
        "R",
        "--on",
        "slurm",
    )
    (record,) = load_records()
    assert record.spec.inputs == ("az://raw/knee", str(tmp_path / "runs/a"), str(tmp_path / "runs/b"))
    assert record.spec.outputs == (str(tmp_path / "R"),)


def test_gpus_of_gres_are_counted_for_what_computes(backend):
    run(*TRAIN, "--resource", "gres=gpu:a100:4", "--nodes", "2", "--set", "training.batch_size=8")
    (record,) = load_records()
    assert (record.spec.gpus_per_node, record.spec.processes_per_node, record.spec.num_processes) == (4, 4, 8)


def test_what_this_machine_lacks_is_said_before_anything_else_or_after_a_dry_run(backend):
    backend.missing = "no `squeue` on the PATH"
    with pytest.raises(JobError, match="no `squeue` on the PATH"):
        run(*TRAIN)
    assert not backend.submitted
    result = run(*TRAIN, "--dry-run")
    assert "#!knee-multicoil-" in result.stdout
    assert result.stderr.splitlines()[-1] == "it cannot be submitted from here: no `squeue` on the PATH"


def test_the_name_says_what_it_does_and_the_same_command_has_the_same(backend):
    first = run("train", "--set", "training.batch_size=2", *TRAIN[1:], "--dry-run").stdout.splitlines()[0]
    assert first == run(*TRAIN, "--set=training.batch_size=2", "--size", "tiny", "--dry-run").stdout.splitlines()[0]
    assert first.startswith("job knee-multicoil-")
    assert first != run(*TRAIN, "--set", "training.batch_size=4", "--dry-run").stdout.splitlines()[0]
    # Where it runs and on how many machines is not what it does.
    assert first == run(*TRAIN, "--set", "training.batch_size=2", "--nodes", "2", "--dry-run").stdout.splitlines()[0]


def test_of_two_terminals_one_submits_and_the_other_finds_it(backend, monkeypatch):
    def of_two(command):
        """What both return or raise, when the second begins while the first one submits."""
        real, second = backend.submit, ThreadPoolExecutor(1)

        def submit(chain):
            monkeypatch.setattr(backend, "submit", real)
            submit.waits = second.submit(command)
            with pytest.raises(TimeoutError):
                submit.waits.result(timeout=0.3)
            return real(chain)

        monkeypatch.setattr(backend, "submit", submit)
        return command(), submit.waits

    words = ("index", "data")
    first, second = of_two(lambda: submit.submit_command(words, {}, Chosen(on="slurm")))
    assert [spec for spec, _ in first] == [spec for spec, _ in second.result()]
    assert backend.submitted == [[load_records()[0].spec.name]]
    (record,) = load_records()
    backend.states[record.spec.name] = "failed"
    first, second = of_two(lambda: submit.resubmit(record))
    assert first.handle == "2.0"
    with pytest.raises(JobError, match="is running; only a job that failed or was cancelled is resumed"):
        second.result()
    assert len(backend.submitted) == 2
    facts = json.loads(runner.invoke(jobs_module.app, ["status", "index", "--json"]).stdout)
    assert (facts["handle"], facts["earlier_handles"]) == ("2.0", ["1.0"])


def test_a_dry_run_shows_everything_and_submits_nothing(backend):
    result = run(*TRAIN, "--nodes", "2", "--set", "training.batch_size=2", "--max-hours", "6", "--dry-run")
    lines = result.stdout.splitlines()
    assert lines[0].endswith(": a cluster in memory")
    assert lines[1] == "machines: 2 nodes, 2 processes"
    assert lines[2].startswith(
        "command: mrikit train --task knee_multicoil --data DATA --set training.batch_size=2 --out runs/"
    )
    assert lines[3] == "environment: A=b"
    bounds = "bounds: 10 starts after a preemption, 0 after an error; a start is 6 h"
    assert lines[4] == f"{bounds} at most 60.00 USD, 660.00 if all are needed"
    assert lines[5].startswith("#!knee-multicoil-")
    assert lines[6:] == ["expected: nobody knows how fast its machine is; --gpu names one that is known"]
    assert result.stderr == "a note\n"
    assert backend.submitted == []
    assert load_records() == []


def test_a_dry_run_tells_what_to_expect_of_a_gpu(backend):
    two = (*TRAIN, "--gpus", "2", "--set", "training.batch_size=2", "--dry-run")
    without = run(*two).stdout.splitlines()
    asked = ("--gpu", "A100", "--price-per-hour", "3")
    for price, words in ((5.0, asked[:2]), (3.0, asked)):
        lines = run(*two, *words).stdout.splitlines()
        assert lines[:-4] == without[:-1]  # it is the same job
        told, memory, time, cost = lines[-4:]
        volumes = (
            "973 volumes to train on and 199 to validate on, fastMRI's own, because nobody has looked into the data"
        )
        assert told == f"expected of knee_multicoil (tiny), {volumes}:"
        assert " GB at the peak on a100 " in memory
        assert "from a table of data sheets" in time
        assert float(re.match(r"cost: ([\d.]+) in", cost)[1]) == pytest.approx(2 * price * hours_of(time), rel=0.02)


def test_a_dry_run_of_few_volumes_expects_less_and_one_that_is_too_long_is_told(backend):
    words = ("--gpus", "1", "--gpu", "t4", "--dry-run", "--max-hours", "0.01")
    changes = ("--set", "data.num_volumes=2", "--set", "data.num_validation=0")
    lines = run(*TRAIN, *words, *changes).stdout.splitlines()
    assert any(", 2 volumes to train on and 0 to validate on, " in line for line in lines)
    assert lines[-1] == "warning: it is longer than a start may take, --max-hours 0.01"


def test_stages_are_expected_one_by_one(backend):
    words = ("--data", "az://datasets/x", "--on", "slurm", "--gpus", "1", "--gpu", "h100", "--dry-run")
    lines = run("train", "--task", "knee_acc8", *words).stdout.splitlines()
    told = [line for line in lines if line.startswith("expected of knee_acc8 (tiny, stage ")]
    assert [line.split(",")[1].strip()[:7] for line in told] == ["stage 1", "stage 2", "stage 3"]
    assert sum(line.startswith("time: ") for line in lines) == 3
    assert lines[-1].startswith("all stages: ")


def test_stages_are_a_chain_of_jobs(backend):
    run("train", "--task", "knee_acc8", "--data", "D", "--on", "slurm")
    ((one, two, three),) = backend.submitted
    assert [name.rpartition("-")[0] for name in (one, two, three)] == [f"knee-acc8-stage-{n}" for n in (1, 2, 3)]
    assert load_record(two).spec.command[-2:] == ("--stage", "2")
    assert {load_record(name).handle for name in (one, two, three)} == {"1.0", "1.1", "1.2"}


def test_one_stage_is_one_job(backend):
    run("train", "--task", "knee_acc8", "--stage", "2", "--data", "D", "--on", "slurm")
    ((name,),) = backend.submitted
    assert name.startswith("knee-acc8-stage-2-")


def test_the_same_command_again_attaches_instead_of_paying_twice(backend):
    run(*TRAIN)
    result = run(*TRAIN)
    assert "going on already; nothing is submitted again" in result.stdout
    assert len(backend.submitted) == 1
    (name,) = backend.submitted[0]
    backend.states[name] = "succeeded"
    assert f"job {name} is done" in run(*TRAIN).stdout
    assert len(backend.submitted) == 1


@pytest.mark.parametrize("state", ["failed", "cancelled", "unknown"])
def test_a_job_that_is_over_without_success_is_submitted_again_and_remembers(backend, state):
    run(*TRAIN)
    (name,) = backend.submitted[0]
    backend.states[name] = state
    run(*TRAIN)
    assert backend.submitted == [[name], [name]]
    assert (load_record(name).handle, load_record(name).earlier) == ("2.0", ("1.0",))


def test_of_a_chain_only_what_is_not_done_is_submitted(backend):
    words = ("train", "--task", "knee_acc8", "--data", "D", "--on", "slurm")
    run(*words)
    one, two, three = backend.submitted[0]
    backend.states |= {one: "succeeded", two: "failed", three: "cancelled"}
    assert f"job {one} is done" in run(*words).stdout
    assert backend.submitted[1] == [two, three]


def test_a_job_that_another_machine_submitted_is_attached_to(backend):
    run(*TRAIN)
    record = load_records()[0]
    (job_folder(record.spec.name) / "job.json").unlink()
    backend.known = [(record.spec, "from elsewhere")]
    assert "going on already" in run(*TRAIN).stdout
    assert load_record(record.spec.name).handle == "from elsewhere"
    assert len(backend.submitted) == 1


def test_what_could_cost_too_much_is_refused_before_it_is_submitted(backend):
    with pytest.raises(JobError, match=r"could cost 480\.00 USD with all its starts, more than --max-cost 240; "):
        run(*TRAIN, "--max-restarts", "1", "--max-cost", "240")
    run(*TRAIN, "--max-restarts", "0", "--max-cost", "240")
    backend.hourly_cost = None
    with pytest.raises(ConfigError, match="--max-cost: no price of these machines is known"):
        run(*TRAIN, "--max-cost", "240", "--set", "training.seed=1")
    assert len(backend.submitted) == 1


def test_a_price_of_the_table_warns_and_refuses_nothing(backend):
    backend.is_cost_sure = False
    done = run(*TRAIN, "--max-restarts", "1", "--max-cost", "240")
    message = "warning: this could cost 480.00 USD with all its starts, more than --max-cost 240, by a price table that"
    assert message in done.stderr
    assert len(backend.submitted) == 1


def test_options_of_jobs_need_on(backend):
    for words in (["--nodes", "2"], ["--spot"], ["--resource", "a=b"], ["--max-cost", "3"], ["--simulate-preemption"]):
        result = run("index", ".", *words, code=2)
        assert f"{words[0]} is for a job elsewhere; give --on too" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--nodes", "0"), "--nodes 0: at least 1 is needed"),
        (("--processes", "-1"), "--processes -1: at least 1 is needed"),
        (("--gpus", "-1"), "--gpus -1: 0 or more is needed"),
        (("--max-hours", "0"), "--max-hours 0: more than 0 is needed"),
        (("--max-hours", "inf"), "--max-hours inf: more than 0 is needed, and an end"),
        (("--processes", "0"), "--processes 0: at least 1 is needed"),
        (("--max-restarts", "-1"), "--max-restarts -1: 0 or more"),
        (("--job-name", "Not_Valid"), "lower-case letters, digits and hyphens; found 'Not_Valid'"),
        (("--resource", "gpu"), "a setting is written key=value, found 'gpu'"),
    ],
)
def test_a_job_that_cannot_be_meant_is_one_line(backend, words, message):
    with pytest.raises(ConfigError, match=message):
        run("index", ".", "--on", "slurm", *words)


def test_preemption_is_simulated_where_it_can_be(backend):
    run("index", ".", "--on", "slurm", "--simulate-preemption")
    assert load_records()[0].spec.simulates_preemption
    with pytest.raises(ConfigError, match="--simulate-preemption is for --on local or slurm, found --on docker"):
        run("index", ".", "--on", "docker", "--simulate-preemption")


def test_a_task_that_does_not_exist_is_told_before_anything_is_submitted(backend):
    with pytest.raises(ConfigError, match="elbow"):
        run("train", "--task", "elbow", "--data", "D", "--on", "slurm")
    assert backend.submitted == []


def test_on_azure_a_training_has_a_place_in_blob_and_the_gpus_of_its_machine(backend):
    backend.name = "azure"
    words = ("train", "--task", "knee_acc8", "--stage", "1", "--data", "az://datasets/x", "--on", "azure", "--spot")
    run(*words, "--gpus", "0", "--resource=cluster=cpu", "--job-name", "without")
    assert load_records()[0].spec.gpus_per_node == 0
    run(*words)
    record = load_records()[0]
    assert (record.spec.gpus_per_node, record.spec.processes_per_node) == (1, 1)
    assert record.spec.command[-2:] == ("--out", "az://runs/knee_acc8-promptmr-tiny")
    assert record.spec.outputs == ("az://runs/knee_acc8-promptmr-tiny",)


def test_a_name_belongs_to_one_command(backend):
    run("index", ".", "--on", "slurm", "--job-name", "mine")
    backend.states["mine"] = "succeeded"
    with pytest.raises(JobError, match=r"a job mine was submitted as `mrikit index \.`; give this command "):
        run("index", "./x", "--on", "slurm", "--job-name", "mine")


def test_two_back_ends_do_not_run_one_command_at_once(backend):
    run("index", ".", "--on", "slurm", "--job-name", "mine")
    backend.name = "docker"
    with pytest.raises(JobError, match="job mine is running on slurm, and two would write the same; wait for it, or"):
        run("index", ".", "--on", "docker", "--job-name", "mine")
    backend.states["mine"] = "failed"
    run("index", ".", "--on", "docker", "--job-name", "mine")
    assert load_record("mine").backend == "docker"


def test_the_order_of_options_and_the_folder_of_an_azure_job_do_not_change_its_name(backend, monkeypatch, tmp_path):
    out = ("--out", "runs/knee_multicoil-varnet-tiny")
    seed = ("--set", "training.seed=3")  # stands behind --out where that is given, and before one that is added
    names = [run(*TRAIN, *seed, *given, "--dry-run").stdout.splitlines()[0] for given in ((), out)]
    assert names[0] == names[1]
    backend.name = "azure"
    words = ("train", "--task", "knee_multicoil", "--data", "az://datasets/x", "--on", "azure", "--spot", "--dry-run")
    first = run(*words).stdout.splitlines()[0]
    monkeypatch.chdir(tmp_path.parent)
    assert run(*words).stdout.splitlines()[0] == first


def test_arguments_that_look_like_options_stay_arguments(backend):
    run("index", "--on", "slurm", "--workers", "2", "--", "-x")
    assert load_records()[0].spec.command == ("index", "--workers", "2", "--", "-x")


def test_what_a_command_writes_beside_what_it_reads_is_written(backend, tmp_path):
    assert places(("evaluate",), {"recon": [Path("R")], "boxes": "b.csv"}) == (
        (str(tmp_path / "b.csv"),),
        (str(tmp_path / "R"),),
    )
    assert places(("data", "index"), {"data": Path("D"), "index_file": Path("i")}) == (
        (),
        (str(tmp_path / "D"), str(tmp_path / "i")),
    )
    assert places(("evaluate",), {"boxes": "stored"}) == ((), ())
    assert places(("reconstruct",), {"mask": "poisson_disc"}) == ((), ())
    assert places(("reconstruct",), {"mask": "masks/p.npy"}) == ((str(Path.cwd() / "masks" / "p.npy"),), ())


def test_a_reconstructor_is_a_run_that_is_read_or_a_name(tmp_path):
    words = ("acquire",)
    assert places(words, {"reconstructor": str(tmp_path), "out": Path("O")}) == (
        (str(tmp_path),),
        (str(Path("O").absolute()),),
    )
    assert places(words, {"reconstructor": "az://runs/knee"}) == (("az://runs/knee",), ())
    assert places(words, {"reconstructor": "cg_sense"}) == ((), ())


def test_where_az_is_goes_along_but_not_to_azure(backend, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "ours")
    monkeypatch.delenv("MRIKIT_BLOB_ENDPOINT", raising=False)
    run(*TRAIN)
    assert load_records()[0].spec.env == {"AZURE_STORAGE_ACCOUNT": "ours"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "knee_acc8", "--start", "W"), "--start W is where one stage begins; name it with --stage"),
        (("--task", "knee_acc8", "--nodes", "4"), "1 slices of an optimizer step cannot be shared by 4 processes"),
        (("--task", "knee_acc8", "--set", "training.lr=1"), "lr"),
        (
            ("--task", "knee_acc8", "--size", "full", "--gpus", "2", "--fit", "8GB"),
            "--fit 8GB is for one process; ask here with --dry-run",
        ),
        (("--task", "knee_acc8", "--gpu", "h100"), "--gpu and --price-per-hour are for what --dry-run tells"),
    ],
)
def test_what_a_training_would_refuse_there_is_refused_here(backend, words, message):
    with pytest.raises(ConfigError, match=message):
        run("train", *words, "--data", "D", "--on", "slurm")
    assert backend.submitted == []


def test_a_name_of_ones_own_is_taken_and_told_apart_by_stage(backend):
    run("train", "--task", "knee_acc8", "--data", "D", "--on", "slurm", "--job-name", "mine")
    assert backend.submitted == [["mine-stage-1", "mine-stage-2", "mine-stage-3"]]


def spec(name="a-job", **changes):
    return JobSpec(**{"name": name, "command": ("tasks",), "folder": "/data", **changes})


def test_a_record_is_read_as_it_was_written(backend):
    wanted = spec(env={"A": "b"}, inputs=("/in",), outputs=("az://runs/x",), resources={"partition": "gpu"}, spot=True)
    save_record(new_record(wanted, "slurm", "7"))
    assert load_record("a-job").spec == wanted
    assert spec_from_json(spec_to_json(wanted)) == wanted


def test_a_job_is_found_by_the_beginning_of_its_name(backend):
    save_record(new_record(spec("knee-1"), "slurm", "7"))
    save_record(new_record(spec("knee-2"), "slurm", "8"))
    save_record(new_record(spec("brain"), "slurm", "9"))
    assert require_record("bra").handle == "9"
    assert require_record("knee-1").handle == "7"
    with pytest.raises(JobError, match="several jobs begin with 'knee': knee-2, knee-1; write more of the name"):
        require_record("knee")
    with pytest.raises(JobError, match="no job is called 'spine'; there are "):
        require_record("spine")


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"spec": {}, "earlier": []}', '{"spec": {"name": "A B"}, "earlier": []}']
)
def test_a_damaged_record_is_named(backend, text):
    job_folder("broken").mkdir(parents=True)
    (job_folder("broken") / "job.json").write_text(text)
    with pytest.raises(JobError, match=r"broken/job\.json: not the record of a job"):
        load_records()


def test_a_record_of_a_later_version_is_read_without_what_is_new(backend):
    path = save_record(new_record(spec(), "slurm", "7"))
    found = json.loads(path.read_text())
    found["spec"]["colour"] = "blue"
    path.write_text(json.dumps(found))
    assert load_record("a-job").spec == spec()


def test_jobs_live_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.delenv("MRIKIT_JOBS", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert job_folder("x") == tmp_path / "state" / "mrikit" / "jobs" / "x"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert job_folder("x") == tmp_path / ".local" / "state" / "mrikit" / "jobs" / "x"
    monkeypatch.setenv("MRIKIT_JOBS", "here")
    assert job_folder("x") == Path.cwd() / "here" / "x"
