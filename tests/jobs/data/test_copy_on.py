"""`mrikit data copy MAIL --on azure`: a job copies, and the links reach it through the vault alone."""

import dataclasses
import functools
import json
import logging
import os

import pytest
from azure_jobs import workspace_for
from fake_vault import vault_for
from transfer.archive_server import CANARY, Faults, running_server
from transfer.copying import BLOCK, NAME, signatures_in, traces_of, write_archive
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError, StorageError
from mrikit.launching import copy_job
from mrikit.launching.records import load_records
from mrikit.storage import list_files, read_bytes
from mrikit.storage.estate import load_estate, save_estate

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])
COPY_ELSEWHERE = copy_job.copy_elsewhere
OTHER = "knee_multicoil_train_batch_0.tar.xz"


@pytest.fixture
def workspace(azurite_env, blob_container, monkeypatch, tmp_path):
    yield from workspace_for(azurite_env, monkeypatch, tmp_path)


@pytest.fixture
def vault(workspace, blob_container, monkeypatch):
    for vault in vault_for(monkeypatch):
        places = {"blob_endpoint": os.environ["MRIKIT_BLOB_ENDPOINT"], "datastores": (blob_container.container, "runs")}
        save_estate(dataclasses.replace(load_estate(), vault_uri=vault.uri, **places))
        yield vault


@pytest.fixture
def server(tmp_path):
    (tmp_path / "source").mkdir()
    for name in (NAME, OTHER):
        write_archive(tmp_path / "source", name, 3 * BLOCK)
    with running_server(tmp_path / "source", faults=Faults()) as server:
        (tmp_path / "mail.txt").write_text(server.mail(NAME, OTHER))
        yield server


class Machine:
    """Does what the newest job of a workspace is told, in between two looks at it."""

    def __init__(self, workspace, ends):
        self.workspace, self.ends, self.outputs = workspace, list(ends), []

    def __call__(self, _seconds):
        name, end = list(self.workspace.jobs)[-1], self.ends.pop(0)
        if end == "Completed":
            command = load_records()[0].spec.command
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output + repr(result.exception)
            self.outputs.append(result.output)
        self.workspace.set_status(name, end, error=("UserError", "exit status 1") if end == "Failed" else None)


@pytest.fixture
def machine(workspace, monkeypatch):
    def run(*ends):
        found = Machine(workspace, ends)
        wait_by(monkeypatch, found)
        return found

    return run


def wait_by(monkeypatch, act):
    """Do something else instead of waiting for the job."""
    monkeypatch.setattr(copy_job, "copy_elsewhere", functools.partial(COPY_ELSEWHERE, wait=act))


def call(tmp_path, to, *options, on=("--on", "azure")):
    return CliRunner().invoke(app, ["data", "copy", str(tmp_path / "mail.txt"), "--to", str(to), *on, *options])


def test_a_job_copies_the_mail_and_its_links_are_deleted_at_the_end(
    workspace, vault, server, machine, blob_container, tmp_path
):
    machine("Running", "Completed")
    result = call(tmp_path, blob_container / "raw")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert read_bytes(blob_container / "raw" / NAME) == (tmp_path / "source" / NAME).read_bytes()
    (record,) = load_records()
    (name,) = vault.deleted
    assert record.spec.command == ("data", "copy", f"{vault.uri}/secrets/{name}", "--to", f"{blob_container}/raw")
    assert record.spec.outputs == (f"{blob_container}/raw",)
    assert vault.secrets == {}
    lines = (result.stdout + result.stderr).splitlines()
    assert f"job {record.spec.name} is running" in lines
    assert f"job {record.spec.name} succeeded: 2 of 2 archives are in {blob_container}/raw" in lines
    place = f"{blob_container}/raw"
    assert f"next: mrikit data unpack {place} --to {place} --on azure" in lines


def test_no_signature_is_in_anything_but_the_vault(
    workspace, vault, server, machine, blob_container, tmp_path, caplog, monkeypatch
):
    sent = []
    answer = workspace.server.answer

    def listen(method, path, headers, body):
        sent.append(json.dumps([method, path, headers, body]))
        return answer(method, path, headers, body)

    workspace.server.answer = listen
    caplog.set_level(logging.DEBUG)
    computer = machine("Completed")
    result = call(tmp_path, blob_container / "raw", "--only", "knee_multicoil")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert any(method == "PUT" and CANARY in body for method, _, body in vault.requests), "the canary can be found"
    assert any("PUT" in one for one in sent)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "mail.txt"]
    assert any(path.name == "job.json" for path in written)
    texts = [
        result.output,
        *computer.outputs,
        *sent,
        *(f"{path} {path.read_bytes().decode('latin1')}" for path in written if path.parent.name != "source"),
        *(f"{method} {path}" for method, path, _ in vault.requests),
        caplog.text,
        json.dumps(dict(os.environ)),
        json.dumps({name: state.metadata for name, state in list_files(blob_container).items()}),
        *(repr(record.__dict__) for record in caplog.records),
    ]
    assert [text[:200] for text in texts if signatures_in(text)] == []


def test_a_mail_goes_into_the_linked_estate_by_a_job_unless_an_engine_is_named(
    workspace, vault, server, machine, blob_container, tmp_path
):
    machine("Completed")
    result = call(tmp_path, blob_container / "raw", on=())
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "engine: a job in westeurope, where" in result.stderr
    assert len(workspace.jobs) == 1
    by_hand = call(tmp_path, blob_container / "here", "--engine", "stream", on=())
    assert by_hand.exit_code == 0, by_hand.output
    assert len(workspace.jobs) == 1
    assert len(list_files(blob_container / "here")) == 2
    on_disk = call(tmp_path, tmp_path / "disk", on=())
    assert on_disk.exit_code == 0, on_disk.output
    assert len(workspace.jobs) == 1


def test_a_job_that_failed_is_started_again_and_goes_on_where_it_was(
    workspace, vault, server, machine, blob_container, tmp_path
):
    machine("Failed")
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, JobError)
    assert "the same command starts it again, which goes on at the block where it stopped" in str(result.exception)
    assert vault.secrets == {}
    (tmp_path / "mail.txt").write_text(server.mail(NAME, OTHER, signature="anotherSignature"))
    machine("Completed")
    again = call(tmp_path, blob_container / "raw")
    assert again.exit_code == 0, again.output + repr(again.exception)
    assert len(workspace.jobs) == 2
    assert len({record.spec.name for record in load_records()}) == 1, "a new mail is the same copy"
    assert vault.secrets == {}


def test_a_job_that_goes_on_is_followed_and_not_submitted_again(
    workspace, vault, server, machine, blob_container, tmp_path, monkeypatch
):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    wait_by(monkeypatch, interrupt)
    result = call(tmp_path, blob_container / "raw")
    assert "goes on; the same command follows it, and deletes its links from the vault at the end" in result.stderr
    assert len(vault.secrets) == 1
    writes = [path for method, path, _ in vault.requests if method == "PUT"]
    machine("Completed")
    again = call(tmp_path, blob_container / "raw")
    assert again.exit_code == 0, again.output + repr(again.exception)
    assert len(workspace.jobs) == 1
    assert [path for method, path, _ in vault.requests if method == "PUT"] == writes
    assert vault.secrets == {}


def test_what_is_done_is_said_and_nothing_is_written(workspace, vault, server, machine, blob_container, tmp_path):
    machine("Completed")
    call(tmp_path, blob_container / "raw")
    num_requests = len([one for one in vault.requests if one[0] == "PUT"])
    again = call(tmp_path, blob_container / "raw")
    assert again.exit_code == 0, again.output
    assert "is done; with another --job-name it runs again" in again.stdout
    assert len([one for one in vault.requests if one[0] == "PUT"]) == num_requests


def test_a_dry_run_shows_the_job_and_writes_no_links(workspace, vault, server, blob_container, tmp_path):
    result = call(tmp_path, blob_container / "raw", "--dry-run", "--no-keep-archives", "--max-rate", "50MB/s")
    assert result.exit_code == 0, result.output
    assert "--no-keep-archives --max-rate 50MB/s" in result.stdout
    assert "cluster cpu" in result.stdout
    assert (vault.requests, workspace.jobs) == ([], {})


def test_links_of_a_job_that_is_not_taken_are_deleted(workspace, vault, server, blob_container, tmp_path):
    workspace.refuses["PUT job"] = [(403, "AuthorizationFailed", {})]
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, JobError)
    assert not signatures_in(traces_of(result.exception))
    assert len(vault.deleted) == 1
    assert vault.secrets == {}


def test_a_vault_that_refuses_submits_nothing(workspace, vault, server, blob_container, tmp_path):
    vault.refuses["PUT"] = [(403, "Forbidden")]
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, StorageError)
    assert "ask for the role Key Vault Secrets Officer on it" in str(result.exception)
    assert workspace.jobs == {}


def test_a_workspace_that_never_answers_is_given_up_and_the_links_stay(
    workspace, vault, server, blob_container, tmp_path, monkeypatch
):
    wait_by(monkeypatch, lambda _seconds: workspace.jobs.clear())
    result = call(tmp_path, blob_container / "raw")
    assert isinstance(result.exception, JobError)
    assert "Azure ML knows no job" in str(result.exception)
    assert "asked 21 times in a row" in str(result.exception)
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


def test_a_data_set_in_blob_is_copied_by_a_job_as_any_command(workspace, vault, blob_container, tmp_path):
    words = ["data", "copy", str(blob_container / "a"), "--to", str(blob_container / "b"), "--on", "azure", "--dry-run"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert f"mrikit data copy {blob_container}/a --to {blob_container}/b" in result.stdout
    assert vault.requests == []
