"""Which container image a job in Azure ML runs in."""

import dataclasses

import pytest
from azure_jobs import BROKEN, CHAIN, PUSHED, SPEC, TAKEN_AWAY, failure

from mrikit.errors import JobError
from mrikit.launching.azure_ml.client import Workspace
from mrikit.launching.azure_ml.environments import register_image
from mrikit.storage.estate import require_estate

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

NEW, OLD = f"sha256:{'b' * 64}", f"sha256:{'a' * 64}"


@pytest.fixture
def client(workspace):
    return Workspace(require_estate(), retry_wait_s=0.001)


def environment(workspace, job):
    return workspace.bodies[job]["properties"]["environmentId"].partition("/environments/")[2]


def push(client, digest, tag="0.2.0", name="mrikit"):
    return register_image(client, name, "mrikitdev.azurecr.io", digest, tag)


def test_an_image_is_registered_by_its_digest_with_its_tag_for_people(client, workspace):
    assert push(client, NEW) == "mrikit:bbbbbbbbbbbb"
    properties = workspace.environments["mrikit"]["bbbbbbbbbbbb"]["properties"]
    assert properties["image"] == f"mrikitdev.azurecr.io/mrikit@{NEW}"
    assert properties["tags"]["mrikit"] == "0.2.0"


def test_a_job_runs_in_the_image_that_was_pushed_last_also_where_that_is_an_older_one(client, azure, workspace):
    workspace.environments.clear()
    push(client, OLD, "0.1.0")
    push(client, NEW)
    azure.submit([SPEC])
    assert environment(workspace, "knee-1") == "mrikit/versions/bbbbbbbbbbbb"
    push(client, OLD, "0.1.0")
    azure.submit([dataclasses.replace(SPEC, name="again")])
    assert environment(workspace, "again") == "mrikit/versions/aaaaaaaaaaaa"


def test_a_job_that_is_started_again_stays_in_its_image(client, azure, workspace):
    azure.submit([SPEC])
    push(client, NEW)
    workspace.set_status("knee-1", "Failed", error=TAKEN_AWAY)
    azure.status(SPEC, "knee-1")
    assert environment(workspace, "knee-1_1") == f"mrikit/versions/{PUSHED}"
    workspace.set_status("knee-1_1", "Failed", error=BROKEN)
    azure.submit([SPEC])  # by a person, who may have mended the image
    assert environment(workspace, "knee-1_2") == "mrikit/versions/bbbbbbbbbbbb"


def test_all_jobs_of_a_chain_ask_once_and_run_in_the_same_image(azure, workspace):
    azure.submit(CHAIN)
    assert workspace.asked("GET environments") == ["/environments/mrikit/versions"]
    environments = [component["environment"] for component in workspace.components]
    assert [one.rpartition("/environments/")[2] for one in environments] == [f"mrikit/versions/{PUSHED}"] * 2


@pytest.mark.parametrize(("changes", "option"), [({}, ""), ({"gpus_per_node": 0, "spot": False, "nodes": 1}, " --cpu")])
def test_a_first_job_without_an_image_is_refused_with_the_command_that_brings_it(azure, workspace, changes, option):
    workspace.environments.clear()
    name = "mrikit-cpu" if option else "mrikit"
    assert failure(lambda: azure.submit([dataclasses.replace(SPEC, **changes)])) == (
        f"workspace mrikit-dev-workspace has no container image {name} yet; "
        f"bring it: mrikit image push --build-in-azure{option}"
    )
    assert workspace.jobs == {}


def test_an_environment_that_is_named_is_not_looked_for(azure, workspace):
    workspace.environments.clear()
    azure.submit([dataclasses.replace(SPEC, resources={"environment": "mine:3"})])
    assert environment(workspace, "knee-1") == "mine/versions/3"


def test_what_is_no_digest_is_not_registered(client, workspace):
    with pytest.raises(JobError, match=r"the registry names no digest of mrikit:0.2.0, found ''; push it again"):
        push(client, "")
    assert list(workspace.environments["mrikit"]) == [PUSHED]
