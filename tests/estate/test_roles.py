"""What a caller may do, from the permissions that the control plane lists."""

import shlex

import pytest
from estates import example_estate
from fake_arm import ROLES, SUBSCRIPTION

from mrikit.estate.arm import Arm, Caller, UnreachableError
from mrikit.estate.roles import may, rights, role_diagnoses

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

ME = Caller(object_id="22222222-2222-2222-2222-222222222222", tenant_id="t")
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
WRITE, RUN = f"{BLOBS}/write", "Microsoft.DataFactory/factories/pipelines/createRun/action"
JOBS = "Microsoft.MachineLearningServices/workspaces/jobs/write"


def find(fake_arm, caller=ME):
    return list(role_diagnoses(Arm(retry_wait_s=0.001), example_estate(), caller))


@pytest.mark.parametrize(
    ("permission", "operation", "is_data", "expected"),
    [
        ({"dataActions": [WRITE]}, WRITE, True, True),
        ({"dataActions": [WRITE.upper()]}, WRITE, True, True),
        ({"dataActions": [f"{BLOBS}/*"]}, WRITE, True, True),
        ({"dataActions": ["*"], "notDataActions": [WRITE.lower()]}, WRITE, True, False),
        ({"dataActions": ["*"], "notDataActions": [f"{BLOBS}/*/action"]}, WRITE, True, True),
        ({"dataActions": [f"{BLOBS}/read"]}, WRITE, True, False),
        ({"actions": ["*"]}, WRITE, True, False),
        ({"dataActions": ["*"]}, RUN, False, False),
        ({"actions": ["*"]}, RUN, False, True),
        ({"actions": ["*/read"]}, RUN, False, False),
        ({"actions": ["microsoft.datafactory/*"]}, RUN, False, True),
        ({"actions": ["*"], "notActions": ["Microsoft.DataFactory/*"]}, RUN, False, False),
        ({"actions": ["Microsoft.DataFactory/factories/pipelines/createRun"]}, RUN, False, False),
        ({"actions": None}, RUN, False, False),
        (ROLES["AzureML Data Scientist"], JOBS, False, True),
        (ROLES["Storage Blob Data Contributor"], WRITE, True, True),
        (ROLES["Owner"], WRITE, True, False),
    ],
)
def test_a_permission_allows_what_its_wildcards_cover_and_its_exceptions_leave(
    permission, operation, is_data, expected
):
    assert may([permission], operation, is_data=is_data) is expected


def test_what_one_role_excepts_another_may_give():
    excepted = {"actions": ["*"], "notActions": ["Microsoft.DataFactory/*"]}
    assert may([excepted, {"actions": [RUN]}], RUN, is_data=False)
    assert not may([excepted, excepted], RUN, is_data=False)
    assert not may([], RUN, is_data=False)


def test_every_right_is_there(fake_arm):
    found = find(fake_arm)
    assert [(one.subject, one.state, one.what) for one in found] == [
        ("role on datasets", "ok", "you may read and write blobs"),
        ("role on runs", "ok", "you may read and write blobs"),
        ("role on raw", "ok", "you may read and write blobs"),
        ("role on mrikit-dev-factory", "ok", "you may start copies"),
        ("role on mrikit-dev-workspace", "ok", "you may submit jobs"),
        ("role on mrikitdevwork", "ok", "you may read and write blobs of jobs, such as logs"),
        ("role on mrikitdevwork", "ok", "you may read and write files of jobs, such as logs"),
        ("role on mrikit-dev", "ok", "you may leave the links of a copy there"),
    ]


def test_the_roles_that_are_named_give_the_rights():
    assert all(
        may([ROLES[right.role]], operation, is_data=right.is_data)
        for right in rights(example_estate())
        for operation in right.operations
    )


@pytest.mark.parametrize(
    ("place", "scope", "lacking", "role"),
    [
        (
            "runs",
            "Microsoft.Storage/storageAccounts/mrikitdevruns/blobServices/default/containers/runs",
            f"you may not read and write blobs: {BLOBS}/read, {BLOBS}/write",
            "Storage Blob Data Contributor",
        ),
        (
            "mrikit-dev-factory",
            "Microsoft.DataFactory/factories/mrikit-dev-factory",
            f"you may not start copies: {RUN}",
            "Data Factory Contributor",
        ),
        (
            "mrikit-dev-workspace",
            "Microsoft.MachineLearningServices/workspaces/mrikit-dev-workspace",
            f"you may not submit jobs: {JOBS}",
            "AzureML Data Scientist",
        ),
    ],
)
def test_a_right_that_is_missing_comes_with_the_command_that_gives_it(fake_arm, place, scope, lacking, role):
    fake_arm.roles[place] = ["Reader"]
    (found,) = [one for one in find(fake_arm) if one.state != "ok"]
    assert (found.subject, found.state, found.what) == (f"role on {place}", "missing", lacking)
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/mrikit-dev/providers/{scope}"
    assert shlex.split(found.remedy) == [
        *("az", "role", "assignment", "create", "--assignee", ME.object_id, "--role", role, "--scope", scope)
    ]


@pytest.mark.parametrize("kept", ["Storage Blob Data Contributor", "Storage File Data Privileged Contributor"])
def test_who_has_one_of_two_roles_on_the_account_of_the_workspace_is_told_the_other(fake_arm, kept):
    fake_arm.roles["mrikitdevwork"] = [kept]
    (found,) = [one for one in find(fake_arm) if one.state != "ok"]
    other = {"Storage Blob Data Contributor", "Storage File Data Privileged Contributor"} - {kept}
    assert other < set(shlex.split(found.remedy))
    assert found.remedy.endswith("/providers/Microsoft.Storage/storageAccounts/mrikitdevwork")


def test_who_may_leave_no_links_in_the_vault_is_told(fake_arm):
    fake_arm.roles["mrikit-dev"] = ["Reader"]
    (found,) = [one for one in find(fake_arm) if one.state != "ok"]
    assert "--role 'Key Vault Secrets Officer'" in found.remedy


def test_who_may_only_read_is_told_that_writing_is_missing(fake_arm):
    fake_arm.roles["datasets"] = ["Reader", "Storage Blob Data Reader"]
    assert find(fake_arm)[0].what == f"you may not read and write blobs: {BLOBS}/write"


def test_the_owner_of_everything_may_not_read_what_is_inside(fake_arm):
    fake_arm.roles = {place: ["Owner"] for place in fake_arm.roles}
    assert [one.state for one in find(fake_arm)] == ["missing"] * 3 + ["ok"] * 2 + ["missing"] * 3


def test_a_role_on_the_second_page_counts(fake_arm):
    fake_arm.roles["runs"] = ["Reader", "Owner", "Storage Blob Data Contributor"]
    assert find(fake_arm)[1].state == "ok"
    assert fake_arm.asked() == ["permissions"] * 9


def test_a_place_that_is_not_there_is_to_be_deployed(fake_arm):
    del fake_arm.roles["runs"]
    found = find(fake_arm)[1]
    assert (found.state, found.remedy) == ("missing", "pulumi up")
    assert found.what == "not there (ResourceNotFound); is it deployed?"


def test_who_may_not_ask_is_not_told_that_a_role_is_missing(fake_arm):
    fake_arm.refuses["permissions"] = (403, "AuthorizationFailed", {})
    found = find(fake_arm)
    assert [(one.state, one.remedy) for one in found] == [("unknown", "")] * 8
    assert found[3].what == (
        "you may not ask what you may there (AuthorizationFailed); to start copies takes Data Factory Contributor"
    )


def test_a_busy_control_plane_leaves_rights_unknown(fake_arm):
    fake_arm.refuses["permissions"] = (429, "TooManyRequests", {"Retry-After": "600"})
    assert {one.state for one in find(fake_arm)} == {"unknown"}
    assert "busy (429 TooManyRequests)" in find(fake_arm)[0].what


def test_a_network_that_fails_is_asked_no_further(fake_arm):
    fake_arm.server.answer = lambda *_: (None, {}, None)
    with pytest.raises(UnreachableError):
        find(fake_arm)


def test_a_caller_who_is_not_known_is_looked_up_by_the_command(fake_arm):
    fake_arm.roles["runs"] = []
    remedy = find(fake_arm, Caller(object_id="", tenant_id=""))[1].remedy
    assert '--assignee "$(az ad signed-in-user show --query id --output tsv)" --role' in remedy
