"""The back end for Azure ML: the vendor's client against a stand-in of the workspace."""

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
import traceback

import pytest
from azure_jobs import BROKEN, CHAIN, PUSHED, SPEC, TAKEN_AWAY, failure, text
from predicted import hours_of
from typer.testing import CliRunner

from mrikit.commands.app import app
from mrikit.errors import ConfigError, JobError
from mrikit.launching.azure_ml.backend import AzureBackend
from mrikit.launching.job import (
    CANCELLED,
    FAILED,
    QUEUED,
    RESTARTING,
    RUNNING,
    SUCCEEDED,
    UNKNOWN,
)
from mrikit.storage import blob

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_a_job_is_submitted_by_one_request_with_this_body(azure, workspace):
    assert azure.submit([SPEC]) == ["knee-1"]
    assert [kind for kind, _, _ in workspace.requests] == ["GET job", "GET environments", "PUT job"]
    scope = workspace.requests[2][1].partition("/jobs/")[0]
    body = workspace.bodies["knee-1"]["properties"]
    assert {key: value for key, value in body.items() if key not in ("tags", "isArchived", "outputs", "inputs")} == {
        "jobType": "Command",
        "displayName": "knee-1",
        "experimentName": "mrikit",
        "command": "mrikit train --task knee_acc8 --data az://datasets/fastmri --out az://runs/knee",
        "computeId": f"{scope}/computes/gpu-abcde",
        "environmentId": f"{scope}/environments/mrikit/versions/{PUSHED}",
        "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 1},
        "resources": {"instanceCount": 2, "shmSize": "110g", "properties": {}},
        "limits": {"jobLimitsType": "Command", "timeout": "P1D"},
        "environmentVariables": {
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "DEFAULT_IDENTITY_CLIENT_ID": "0a1b2c3d-0000-4000-8000-00000000000e",
            "MRIKIT_BLOB_ENDPOINT": "https://mrikitdev.blob.core.windows.net",
            "MRIKIT_RUNS_ENDPOINT": "https://mrikitdevruns.blob.core.windows.net",
        },
        "properties": {
            f"mlflow.source.git.{fact}": "the code is in the container image"
            for fact in ("repoURL", "branch", "commit")
        },
    }


def test_the_repository_that_a_user_stands_in_is_not_told(azure, workspace, tmp_path, monkeypatch):
    for words in (["init", "-q"], ["remote", "add", "origin", "https://git.example/x"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    azure.submit([SPEC])
    assert "git.example" not in json.dumps(workspace.bodies)


def test_what_goes_on_is_not_submitted_again(azure, workspace):
    azure.submit([SPEC])
    for status in ("Queued", "Running", "Finalizing", "SomethingNew"):
        workspace.set_status("knee-1", status)
        assert azure.submit([SPEC]) == ["knee-1"]
    workspace.set_status("knee-1", "Completed")
    azure.submit([SPEC])
    assert workspace.asked("PUT job") == ["/jobs/knee-1"]


@pytest.mark.parametrize("status", ["Failed", "Canceled"])
def test_what_is_over_is_submitted_again_under_the_next_name(azure, workspace, status):
    azure.submit([SPEC])
    workspace.set_status("knee-1", status, error=BROKEN)
    assert azure.submit([SPEC]) == ["knee-1"]
    workspace.set_status("knee-1_1", status, error=BROKEN)
    assert azure.submit([SPEC]) == ["knee-1"]
    assert workspace.asked("PUT job") == ["/jobs/knee-1", "/jobs/knee-1_1", "/jobs/knee-1_2"]
    assert azure.status(SPEC, "knee-1").state == QUEUED


def test_a_lost_answer_is_no_second_job(azure, workspace):
    workspace.loses_answers = 1
    assert azure.submit([SPEC]) == ["knee-1"]
    assert workspace.asked("PUT job") == ["/jobs/knee-1"]


def test_a_request_that_nobody_took_is_told_and_not_sent_twice(azure, workspace):
    workspace.refuses["PUT job"] = [(None, "", {})]
    assert failure(lambda: azure.submit([SPEC])).startswith("Azure ML cannot be reached: the connection was lost")
    assert len(workspace.asked("PUT job")) == 1


def test_two_submits_at_once_are_one_job(azure, workspace):
    other = AzureBackend(poll_s=0.01, retry_wait_s=0.001)
    workspace.refuses["GET job"] = [(404, "UserError", {})]
    other.submit([SPEC])
    workspace.refuses["GET job"] = [(404, "UserError", {})]
    assert azure.submit([SPEC]) == ["knee-1"]
    assert workspace.asked("PUT job") == ["/jobs/knee-1", "/jobs/knee-1"]
    assert len(workspace.jobs) == 1


def test_a_name_that_another_command_has_is_refused(azure, workspace):
    azure.submit([SPEC])
    other = dataclasses.replace(SPEC, command=("train", "--task", "brain_acc4"))
    assert "a job knee-1 with another command; give this one another --job-name" in failure(
        lambda: azure.submit([other])
    )
    workspace.jobs["knee-1"]["properties"]["tags"] = {}
    assert "its tags are not those of a job of mrikit" in failure(lambda: azure.submit([SPEC]))


def test_a_throttled_submit_waits_and_is_taken(azure, workspace):
    workspace.refuses["PUT job"] = [(429, "TooManyRequests", {"Retry-After": "0"})] * 2
    assert azure.submit([SPEC]) == ["knee-1"]
    workspace.refuses["PUT job"] = [(429, "TooManyRequests", {"Retry-After": "0"})] * 9
    told = failure(lambda: azure.submit([dataclasses.replace(SPEC, name="b")]))
    assert told == "Azure ML is busy (429 TooManyRequests); the same command in some minutes does no harm"


def test_a_question_is_asked_again_when_the_service_is_busy(azure, workspace):
    azure.submit([SPEC])
    workspace.refuses["GET job"] = [(503, "ServiceUnavailable", {}), (429, "TooManyRequests", {"Retry-After": "0"})]
    assert azure.status(SPEC, "knee-1").state == QUEUED
    workspace.refuses["GET job"] = [(429, "TooManyRequests", {"Retry-After": "3600"})]
    assert "busy" in failure(lambda: azure.status(SPEC, "knee-1"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((403, "AuthorizationFailed", {}), "ask for the role AzureML Data Scientist on it"),
        (
            (401, "ExpiredAuthenticationToken", {}),
            "not logged in to Azure, or not for this subscription; run `az login`",
        ),
        ((404, "ResourceGroupNotFound", {}), "no resource group 'mrikit-dev' in 0a1b2c3d"),
        ((404, "SubscriptionNotFound", {}), "no subscription 0a1b2c3d-0000-4000-8000-00000000000f"),
        ((400, "BadRequest", {}), "Azure ML refused (400 BadRequest): No, ..."),
    ],
)
def test_a_refusal_is_one_line_without_the_token(azure, workspace, caplog, answer, told):
    workspace.refuses["GET job"] = [answer] * 2
    assert told in failure(lambda: azure.submit([SPEC]))
    workspace.refuses = {"PUT job": [answer] * 2}
    assert told in failure(lambda: azure.submit([SPEC]))
    assert not workspace.jobs
    assert not [record for record in caplog.records if record.name.startswith("azure")]


def test_a_workspace_that_is_not_there_is_named(azure, workspace):
    workspace.workspace_is_there = False
    assert "no workspace 'mrikit-dev-workspace' in 'mrikit-dev'" in failure(lambda: azure.submit([SPEC]))


def test_nobody_logged_in_is_one_line(azure, workspace, monkeypatch, tmp_path):
    (tmp_path / "az").write_text("#!/bin/sh\necho 'AADSTS700082: The refresh token has expired' >&2\nexit 1\n")
    (tmp_path / "az").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    blob._credential.cache_clear()
    assert failure(lambda: azure.submit([SPEC])) == "not logged in to Azure any more (AADSTS700082); run `az login`"
    assert not workspace.requests


def test_an_estate_that_is_not_linked_is_told(azure, monkeypatch, tmp_path):
    monkeypatch.delenv("MRIKIT_ESTATE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    assert "no estate in Azure is linked" in failure(lambda: azure.plan([SPEC]), ConfigError)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("NotStarted", QUEUED),
        ("Preparing", QUEUED),
        ("Running", RUNNING),
        ("CancelRequested", RUNNING),
        ("Completed", SUCCEEDED),
        ("Canceled", CANCELLED),
        ("Failed", FAILED),
        ("NewAndStrange", UNKNOWN),
    ],
)
def test_the_states_of_azure_are_those_of_every_back_end(azure, workspace, theirs, ours):
    azure.submit([SPEC])
    workspace.set_status("knee-1", theirs)
    assert azure.status(SPEC, "knee-1").state == ours


def test_a_failure_tells_its_code_and_its_times(azure, workspace):
    azure.submit([SPEC])
    workspace.set_status("knee-1", "Failed", error=BROKEN)
    status = azure.status(SPEC, "knee-1")
    assert (status.state, status.exit_code, status.num_errors, status.num_preemptions) == (FAILED, 3, 0, 0)
    assert status.message.startswith("UserError: Execution failed.")
    assert status.ended_at - status.started_at == pytest.approx(3600, abs=1)


def test_a_command_that_speaks_of_evictions_has_failed_by_itself(azure, workspace):
    azure.submit([SPEC])
    words = "Execution failed. User process exited with status code 1. ValueError: cache evicted"
    workspace.set_status("knee-1", "Failed", error=("UserError", words))
    status = azure.status(SPEC, "knee-1")
    assert (status.state, status.exit_code, status.num_preemptions) == (FAILED, 1, 0)
    assert workspace.asked("PUT job") == ["/jobs/knee-1"]


def test_the_state_comes_with_the_address_of_the_studio(azure, workspace):
    page = (
        "https://ml.azure.com/runs/{}?wsid=/subscriptions/0a1b2c3d-0000-4000-8000-00000000000f/resourcegroups/mrikit-dev"
        "/workspaces/mrikit-dev-workspace&tid=0a1b2c3d-0000-4000-8000-00000000000d"
    )
    azure.submit([SPEC])
    assert azure.status(SPEC, "knee-1").address == page.format("knee-1")
    workspace.set_status("knee-1", "Failed", error=TAKEN_AWAY)
    for state in (RESTARTING, QUEUED):
        found = azure.status(SPEC, "knee-1")
        assert (found.state, found.address) == (state, page.format("knee-1_1"))
    handle = azure.submit(CHAIN)[0]
    root = handle.partition("/")[0]
    assert azure.status(CHAIN[0], handle).address == page.format(root)
    workspace.children[root] = [{"runId": "r1", "displayName": "stage-1"}]
    assert azure.status(CHAIN[0], handle).address == page.format("r1")


def test_a_job_that_nobody_knows_is_unknown(azure):
    assert azure.status(SPEC, "nobody").state == UNKNOWN


def test_a_job_that_lost_its_machine_goes_on_when_somebody_looks(azure, workspace):
    spec = dataclasses.replace(SPEC, max_restarts=2)
    azure.submit([spec])
    for again in (1, 2):
        workspace.set_status("knee-1" if again == 1 else "knee-1_1", "Failed", error=TAKEN_AWAY)
        status = azure.status(spec, "knee-1")
        assert (status.state, status.num_preemptions, status.num_errors) == (RESTARTING, again, 0)
        assert azure.status(spec, "knee-1").state == QUEUED
    workspace.set_status("knee-1_2", "Failed", error=TAKEN_AWAY)
    status = azure.status(spec, "knee-1")
    assert (status.state, status.num_preemptions) == (FAILED, 3)
    assert workspace.asked("PUT job") == ["/jobs/knee-1", "/jobs/knee-1_1", "/jobs/knee-1_2"]


def test_preemptions_and_errors_are_counted_apart(azure, workspace):
    spec = dataclasses.replace(SPEC, max_restarts=1, max_errors=1)
    azure.submit([spec])
    workspace.set_status("knee-1", "Failed", error=BROKEN)
    assert azure.status(spec, "knee-1").num_errors == 1
    workspace.set_status("knee-1_1", "Failed", error=TAKEN_AWAY)
    status = azure.status(spec, "knee-1")
    assert (status.state, status.num_preemptions, status.num_errors) == (RESTARTING, 1, 1)
    workspace.set_status("knee-1_2", "Failed", error=BROKEN)
    assert azure.status(spec, "knee-1").state == FAILED
    assert len(workspace.jobs) == 3


def test_starts_that_azure_counts_itself_are_told(azure, workspace):
    azure.submit([SPEC])
    workspace.set_status("knee-1", "Running", properties={"azureml.preemptionCount": "2", "other": "7"})
    assert azure.status(SPEC, "knee-1").num_preemptions == 2


def test_a_cancelled_job_stays_so(azure, workspace):
    azure.submit([SPEC])
    azure.cancel(SPEC, "knee-1")
    assert azure.status(SPEC, "knee-1").state == CANCELLED
    azure.cancel(SPEC, "knee-1")
    azure.cancel(SPEC, "nobody")
    assert workspace.asked("POST cancel") == ["/jobs/knee-1/cancel"]
    assert len(workspace.jobs) == 1


def test_a_job_that_lost_its_machine_and_is_cancelled_is_not_started_again(azure, workspace):
    azure.submit([SPEC])
    workspace.set_status("knee-1", "Failed", error=TAKEN_AWAY)
    azure.cancel(SPEC, "knee-1")
    assert azure.status(SPEC, "knee-1").state == CANCELLED
    assert len(workspace.jobs) == 1


def test_a_chain_is_one_job_and_its_steps_are_told_apart(azure, workspace):
    handles = azure.submit(CHAIN)
    root = handles[0].partition("/")[0]
    assert handles == [f"{root}/stage-1", f"{root}/stage-2"]
    assert workspace.asked("PUT job") == [f"/jobs/{root}"]
    assert len(workspace.asked("PUT component")) == 2
    states = lambda: [azure.status(*pair).state for pair in zip(CHAIN, handles, strict=True)]  # noqa: E731
    assert states() == [QUEUED, QUEUED]
    workspace.children[root] = [{"runId": "r1", "displayName": "stage-1"}]
    workspace.set_status(root, "Running")
    workspace.set_status("r1", "Running", log="stage one\n", process=0)
    assert states() == [RUNNING, QUEUED]
    assert text(azure, CHAIN[0], handles[0]) == "stage one\n"
    assert "job stage-2 has written nothing yet; it is queued" in failure(lambda: text(azure, CHAIN[1], handles[1]))
    workspace.children[root] += [{"runId": f"x{n}", "displayName": f"x{n}"} for n in range(3)]
    workspace.children[root].append({"runId": "r2", "displayName": "stage-2"})
    workspace.set_status("r1", "Completed")
    workspace.set_status("r2", "Failed", error=BROKEN)
    workspace.set_status(root, "Failed", error=("UserError", "a step failed"))
    assert states() == [SUCCEEDED, FAILED]
    assert azure.status(CHAIN[1], handles[1]).exit_code == 3
    assert azure.submit(CHAIN) == handles
    assert workspace.asked("PUT job") == [f"/jobs/{root}", f"/jobs/{root}_1"]


def test_a_step_that_lost_its_machine_starts_the_chain_again(azure, workspace):
    handles = azure.submit(CHAIN)
    root = handles[0].partition("/")[0]
    workspace.children[root] = [{"runId": "r1", "displayName": "stage-1"}]
    workspace.set_status("r1", "Failed", error=TAKEN_AWAY)
    workspace.set_status(root, "Failed", error=("UserError", "a step failed"))
    status = azure.status(CHAIN[1], handles[1])
    assert (status.state, status.num_preemptions) == (RESTARTING, 1)
    assert workspace.jobs[f"{root}_1"]["properties"]["jobType"] == "Pipeline"


def test_a_step_after_a_failed_one_will_not_start(azure, workspace):
    handles = azure.submit(CHAIN)
    root = handles[0].partition("/")[0]
    workspace.children[root] = [{"runId": "r1", "displayName": "stage-1"}]
    workspace.set_status("r1", "Failed", error=BROKEN)
    workspace.set_status(root, "Failed", error=("UserError", "a step failed"))
    status = azure.status(CHAIN[1], handles[1])
    assert status.state == CANCELLED
    assert status.message.startswith("the pipeline is over before it began: UserError: Execution failed.")


def in_image(spec):
    """A job as it was submitted, with the image that it runs in."""
    return dataclasses.replace(spec, resources={"environment": f"mrikit:{PUSHED}"})


def test_another_machine_finds_jobs_with_all_that_they_are(azure, workspace):
    azure.submit([SPEC])
    workspace.set_status("knee-1", "Failed", error=TAKEN_AWAY)
    azure.status(SPEC, "knee-1")
    handles = azure.submit(CHAIN)
    workspace.jobs["strange"] = json.loads(json.dumps(workspace.jobs["knee-1"]))
    workspace.jobs["strange"]["name"] = "strange"
    workspace.jobs["strange"]["properties"]["tags"] = {"mrikit": "0.0.1"}
    found = AzureBackend().find()
    assert sorted(found, key=lambda one: one[0].name) == sorted(
        zip(map(in_image, [SPEC, *CHAIN]), ["knee-1", *handles], strict=True), key=lambda one: one[0].name
    )


def test_the_vendors_client_is_quiet_and_sends_nothing_elsewhere(azure, workspace, capfd, caplog):
    with caplog.at_level(logging.DEBUG):
        azure.submit(CHAIN)
        azure.find()
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if "eyJ" in record.getMessage()]


def test_an_error_shows_no_token_even_with_its_causes_messages(azure, workspace):
    workspace.refuses["GET job"] = [(400, "BadRequest", {})]
    with pytest.raises(JobError) as caught:
        azure.submit([SPEC])
    assert "eyJ" not in "".join(traceback.format_exception_only(caught.value))


def test_the_plan_prices_spot_nodes_and_contacts_nobody(azure, workspace):
    (plan,) = azure.plan([SPEC])
    assert plan.hourly_cost == pytest.approx(2 * 3.673 * 0.2)
    assert plan.currency == "USD"
    assert plan.where == (
        "Azure ML, workspace mrikit-dev-workspace, cluster gpu (Standard_NC24ads_A100_v4, LowPriority)"
    )
    first, second = azure.plan(CHAIN)
    assert first.job_file.startswith("$schema: ")
    assert second.job_file.startswith("# a step of the pipeline stage-1-chain-")
    assert workspace.requests == []


DRY = ["train", "--task", "knee_acc8", "--stage", "2", "--data", "az://datasets/fastmri", "--on", "azure"]


def test_a_dry_run_of_the_command_line_contacts_nobody(workspace):
    words = [*DRY, "--nodes", "4", "--spot", "--set", "training.batch_size=4", "--dry-run"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "instance_count: 4" in done.stdout
    assert "compute: azureml:gpu-abcde" in done.stdout
    memory, time, cost = done.stdout.splitlines()[-3:]
    assert " GB at the peak on a100 " in memory
    assert float(re.match(r"cost: ([\d.]+) in", cost)[1]) == pytest.approx(4 * 3.673 * 0.2 * hours_of(time), rel=0.02)
    assert workspace.requests == []


def test_submitting_twice_by_the_command_line_pays_once(workspace):
    for told in ("submitted knee-acc8-stage-2-", "going on already; nothing is submitted again"):
        done = CliRunner().invoke(app, [*DRY, "--gpus", "1", "--spot"])
        assert done.exit_code == 0, (done.output, done.exception)
        assert told in done.stdout
    assert len(workspace.jobs) == 1


def test_data_of_this_machine_is_refused_by_the_command_line(workspace, tmp_path):
    words = ["train", "--task", "knee_acc8", "--stage", "2", "--data", tmp_path, "--on", "azure", "--spot", "--dry-run"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(done.exception, ConfigError)
    assert "is on this machine" in str(done.exception)


def test_help_does_not_load_the_vendors_client():
    code = (
        "import sys, mrikit.commands.app, mrikit.launching.azure_ml.backend\n"
        "print([name for name in sys.modules if name.startswith('azure')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
