"""`mrikit data copy MAIL --on azure`: a job copies, and the links reach it through the vault alone."""

import dataclasses
import functools
import json
import logging
import os

import pytest
from azure_jobs import workspace_for
from estates import example_estate
from fake_vault import vault_for
from transfer.archive_server import Faults, running_server
from transfer.copying import BLOCK, NAME, signatures_in, traces_of, write_archive
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.launching import copy_job, submit
from mrikit.launching.job import JobPlan, JobStatus
from mrikit.launching.records import load_records
from mrikit.storage import list_files, read_bytes
from mrikit.storage.estate import load_estate, save_estate

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
COPY_ELSEWHERE = copy_job.copy_elsewhere
OTHER = "knee_multicoil_train_batch_0.tar.xz"


def places_of(azurite_env, blob_container):
    """What of an estate leads to Azurite."""
    return {"blob_endpoint": azurite_env["MRIKIT_BLOB_ENDPOINT"], "datastores": (blob_container.container, "runs")}


@pytest.fixture
def estate(azurite_env, blob_container, monkeypatch, tmp_path):
    """Linked, with the account of Azurite and a vault of its own; and nobody asks a workspace."""
    monkeypatch.setenv("MRIKIT_ESTATE", str(tmp_path / "estate.json"))
    monkeypatch.setenv("MRIKIT_JOBS", str(tmp_path / "jobs"))
    for vault in vault_for(monkeypatch):
        places = {
            "blob_endpoint": azurite_env["MRIKIT_BLOB_ENDPOINT"],
            "datastores": (blob_container.container, "runs"),
        }
        save_estate(example_estate(vault_uri=vault.uri, **places))
        yield vault


@pytest.fixture
def vault(estate):
    return estate


class Backend:
    """Keeps the jobs of an Azure ML workspace, and does what the newest one is told whenever somebody waits for it."""

    name = "azure"

    def __init__(self):
        self.jobs, self.ends, self.outputs, self.refuses = [], [], [], None
        self.state = "unknown"

    def plan(self, chain):
        return [JobPlan(where="memory", command=("mrikit", *spec.command), env={}, job_file="") for spec in chain]

    def submit(self, chain):
        if self.refuses:
            raise self.refuses
        self.jobs += chain
        self.state = "queued"
        return [spec.name for spec in chain]

    def status(self, spec, handle):
        return JobStatus(state=self.state, message="out of order" if self.state == "failed" else "")

    def find(self):
        return []

    def wait(self, _seconds):
        end = self.ends.pop(0)
        if end == "succeeded":
            result = CliRunner().invoke(app, self.jobs[-1].command)
            assert result.exit_code == 0, result.output + repr(result.exception)
            self.outputs.append(result.output)
        self.state = end


@pytest.fixture
def backend(estate, monkeypatch):
    found = Backend()
    for module in (submit, copy_job):
        monkeypatch.setattr(module, "open_backend", lambda _name: found)
    wait_by(monkeypatch, found.wait)
    return found


@pytest.fixture
def server(tmp_path):
    (tmp_path / "source").mkdir()
    for name in (NAME, OTHER):
        write_archive(tmp_path / "source", name, 3 * BLOCK)
    with running_server(tmp_path / "source", faults=Faults()) as server:
        (tmp_path / "mail.txt").write_text(server.mail(NAME, OTHER))
        yield server


def wait_by(monkeypatch, act):
    """Do something else instead of waiting for the job."""
    monkeypatch.setattr(copy_job, "copy_elsewhere", functools.partial(COPY_ELSEWHERE, wait=act))


def call(tmp_path, to, *options, on=("--on", "azure")):
    return CliRunner().invoke(app, ["data", "copy", str(tmp_path / "mail.txt"), "--to", str(to), *on, *options])


def test_no_signature_is_in_anything_but_the_vault(
    azurite_env, blob_container, estate, server, tmp_path, caplog, monkeypatch
):
    vault, sent, outputs = estate, [], []
    for workspace in workspace_for(azurite_env, monkeypatch, tmp_path):
        places = {
            "blob_endpoint": azurite_env["MRIKIT_BLOB_ENDPOINT"],
            "datastores": (blob_container.container, "runs"),
        }
        save_estate(dataclasses.replace(load_estate(), vault_uri=vault.uri, **places))
        answer = workspace.server.answer

        def listen(method, path, headers, body, answer=answer):
            sent.append(json.dumps([method, path, headers, body]))
            return answer(method, path, headers, body)

        def work(_seconds, workspace=workspace):
            (record,) = load_records()
            outputs.append(CliRunner().invoke(app, record.spec.command).output)
            workspace.set_status(record.handle, "Completed")

        workspace.server.answer = listen
        wait_by(monkeypatch, work)
        caplog.set_level(logging.DEBUG)
        result = call(tmp_path, blob_container / "raw", "--only", "knee_multicoil")
        assert result.exit_code == 0, result.output + repr(result.exception)
        assert read_bytes(blob_container / "raw" / NAME) == (tmp_path / "source" / NAME).read_bytes()
    assert any(method == "PUT" and signatures_in(body) for method, _, body in vault.requests), "it can be found"
    assert sum('["PUT"' in one for one in sent) == 1
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "mail.txt"]
    assert any(path.name == "job.json" for path in written)
    texts = [
        result.output,
        *outputs,
        *sent,
        *(f"{path} {path.read_bytes().decode('latin1')}" for path in written if path.parent.name != "source"),
        *(f"{method} {path}" for method, path, _ in vault.requests),
        caplog.text,
        json.dumps(dict(os.environ)),
        json.dumps({name: state.metadata for name, state in list_files(blob_container).items()}),
        *(repr(record.__dict__) for record in caplog.records),
    ]
    assert [text[:200] for text in texts if signatures_in(text)] == []


def test_a_job_copies_the_mail_and_its_links_are_deleted_at_the_end(backend, vault, server, blob_container, tmp_path):
    backend.ends = ["running", "succeeded"]
    result = call(tmp_path, blob_container / "raw")
    assert result.exit_code == 0, result.output + repr(result.exception)
    (record,), (name,), place = load_records(), vault.deleted, f"{blob_container}/raw"
    assert record.spec.command == ("data", "copy", f"{vault.uri}/secrets/{name}", "--to", place)
    assert record.spec.outputs == (place,)
    assert vault.secrets == {}
    assert f"job {record.spec.name} is running" in result.stderr.splitlines()
    assert result.stdout.splitlines()[-2:] == [
        f"job {record.spec.name} succeeded: 2 of 2 archives are in {place}",
        f"next: mrikit data unpack {place} --to {place} --on azure",
    ]


def test_a_mail_goes_into_the_linked_estate_by_a_job_unless_an_engine_is_named(
    backend, server, blob_container, tmp_path
):
    backend.ends = ["succeeded"]
    result = call(tmp_path, blob_container / "raw", on=())
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "engine: a job in westeurope, where" in result.stderr
    for to, options in ((blob_container / "here", ["--engine", "stream"]), (tmp_path / "disk", [])):
        here = call(tmp_path, to, *options, on=())
        assert here.exit_code == 0, here.output
        assert len(list_files(to)) >= 2
    assert len(backend.jobs) == 1


def test_a_job_that_failed_is_started_again_with_the_links_of_a_new_mail(
    backend, vault, server, blob_container, tmp_path
):
    backend.ends = ["failed"]
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, JobError)
    assert "failed: out of order; `mrikit jobs logs" in str(result.exception)
    assert "the same command starts it again, which goes on at the block where it stopped" in str(result.exception)
    assert vault.secrets == {}
    server.signatures = {"anotherSignature"}
    (tmp_path / "mail.txt").write_text(server.mail(NAME, OTHER, signature="anotherSignature"))
    backend.ends = ["succeeded"]
    again = call(tmp_path, blob_container / "raw")
    assert again.exit_code == 0, again.output + repr(again.exception)
    assert len(backend.jobs) == 2
    assert len(load_records()) == 1, "a new mail is the same copy"
    assert vault.secrets == {}


def test_a_job_that_goes_on_is_followed_and_not_submitted_again(
    backend, vault, server, blob_container, tmp_path, monkeypatch
):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    wait_by(monkeypatch, interrupt)
    result = call(tmp_path, blob_container / "raw")
    assert "goes on; the same command follows it, and deletes its links from the vault at the end" in result.stderr
    assert len(vault.secrets) == 1
    backend.ends = ["succeeded"]
    wait_by(monkeypatch, backend.wait)
    again = call(tmp_path, blob_container / "raw")
    assert again.exit_code == 0, again.output + repr(again.exception)
    assert len(backend.jobs) == 1
    assert [method for method, _, _ in vault.requests].count("PUT") == 1
    assert vault.secrets == {}
    done = call(tmp_path, blob_container / "raw")
    assert done.exit_code == 0
    assert "is done; with another --job-name it runs again" in done.stdout


def test_a_dry_run_shows_the_job_and_writes_no_links(vault, server, blob_container, tmp_path):
    result = call(tmp_path, blob_container / "raw", "--dry-run", "--no-keep-archives", "--max-rate", "50MB/s")
    assert result.exit_code == 0, result.output
    assert "--no-keep-archives --max-rate 50MB/s" in result.stdout
    assert "cluster cpu" in result.stdout
    assert vault.requests == []


def test_links_of_a_job_that_is_not_taken_are_deleted(backend, vault, server, blob_container, tmp_path):
    backend.refuses = JobError("no room")
    result = call(tmp_path, blob_container / "raw")
    assert result.exception is backend.refuses
    assert len(vault.deleted) == 1
    assert vault.secrets == {}


@pytest.mark.parametrize("end", ["failed", "succeeded"])
def test_a_vault_that_keeps_the_links_hides_no_end_of_the_job(backend, vault, server, blob_container, tmp_path, end):
    backend.ends, vault.refuses["DELETE"] = [end], [(403, "Forbidden")]
    result = call(tmp_path, blob_container / "raw")
    if end == "failed":
        assert isinstance(result.exception, JobError)
        assert "the links stay in the vault until the same command is given again: Key Vault" in result.stderr
        return
    assert isinstance(result.exception, StorageError)
    assert " succeeded, but its links stay in the vault; the same command deletes them: " in str(result.exception)
    assert call(tmp_path, blob_container / "raw").exit_code == 0
    assert vault.secrets == {}


def test_a_vault_that_refuses_submits_nothing(backend, vault, server, blob_container, tmp_path):
    vault.refuses["PUT"] = [(403, "Forbidden")]
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, StorageError)
    assert "ask for the role Key Vault Secrets Officer on it" in str(result.exception)
    assert not signatures_in(traces_of(result.exception))
    assert backend.jobs == []


def test_a_workspace_that_never_answers_is_given_up_and_the_links_stay(
    backend, vault, server, blob_container, tmp_path
):
    backend.ends = ["unknown"] * 30
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, JobError)
    assert "is unknown; asked 21 times in a row" in str(result.exception)
    assert len(vault.secrets) == 1, "the job may go on"


def test_a_job_whose_links_were_deleted_says_so(vault, tmp_path, blob_container):
    address = f"{vault.uri}/secrets/mrikit-copy-0123456789abcdef"
    result = CliRunner().invoke(app, ["data", "copy", address, "--to", str(blob_container / "raw")])
    assert isinstance(result.exception, StorageError)
    assert "no links are there any more; give `mrikit data copy MAIL` again" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "to", "said"),
    [
        (["--engine", "datafactory"], None, "--engine datafactory runs in Azure by itself; leave out --on azure"),
        (["--json"], None, "--json is for a copy by this machine; leave it out with --on azure"),
        ([], "disk", "is on this machine, where a job in Azure does not see it; name az://raw/..."),
        (["--volumes", "1", "--keep-archives"], None, "--volumes takes volumes from the links and keeps no archive"),
        (["--only", "brain"], None, "--only brain: nothing in the mail has this name"),
    ],
)
def test_what_makes_no_sense_there_is_refused(vault, server, blob_container, tmp_path, options, to, said):
    result = call(tmp_path, tmp_path / to if to else blob_container / "raw", *options)
    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)
    assert vault.requests == []


def test_standard_input_does_not_reach_a_job_that_shares_files(blob_container):
    result = CliRunner().invoke(app, ["data", "copy", "-", "--to", str(blob_container), "--on", "local"], input="x")
    assert isinstance(result.exception, ConfigError)
    assert "a job on local has no standard input; save the mail as a file" in str(result.exception)


def test_a_data_set_in_blob_is_copied_by_a_job_as_any_command(vault, blob_container, tmp_path):
    words = ["data", "copy", str(blob_container / "a"), "--to", str(blob_container / "b"), "--on", "azure", "--dry-run"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert f"mrikit data copy {blob_container}/a --to {blob_container}/b" in result.stdout
    assert vault.requests == []
