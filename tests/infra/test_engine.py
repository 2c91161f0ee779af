"""The estate's program over Pulumi's own wire: it does what its record says, plans without Azure, tells no secret."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mrikit.estate.azure_types import path_names
from mrikit.estate.stack_file import read_stack

from .engine import SECRET, STACK_TYPE, UNKNOWN, Run, run_program

# gRPC listens on loopback.
pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

PROJECT_FOLDER = Path(__file__).parents[2]
PROGRAM = PROJECT_FOLDER / "infra"
PRIVATE = Path(__file__).parent / "stacks" / "Pulumi.private.yaml"
DEV = read_stack("example", PROJECT_FOLDER).config
CLUSTER = {"name": "gpu", "sku": "Standard_NC24ads_A100_v4", "priority": "lowPriority", "maxNodes": 1}
TOLD_BY_AZURE = {
    # names of what a resource is part of
    *("resourceGroupName", "accountName", "workspaceName", "factoryName", "virtualNetworkName"),
    # ids, and names made of them
    *("id", "scope", "principalId", "resourceId", "resourceUri", "workspaceId", "workspaceResourceId"),
    *("userAssignedIdentities", "virtualNetworkResourceId", "roleAssignmentName"),
    *("storageAccount", "keyVault", "applicationInsights", "containerRegistry"),
    # addresses
    *("serviceEndpoint", "image"),
}
"""Inputs that a preview may leave open."""
KEY_LIKE = re.compile(
    r"sig=|account_?key|access_?key|password|passwd|secret|token|connection_?string|private key|[a-z0-9+/]{40,}=",
    re.IGNORECASE,
)
REFUSED = {
    "an unknown region": ({"mrikit:location": "West Urope"}, "location:"),
    "nobody to tell": ({"mrikit:adminEmail": None}, "adminEmail:"),
    "a key of another project": ({"other:location": "westeurope"}, "other:location:"),
    "a budget of nothing": ({"mrikit:monthlyBudget": "0"}, "monthlyBudget:"),
    "a cluster without a bound": (
        {"mrikit:clusters": json.dumps([{key: CLUSTER[key] for key in ("name", "sku", "priority")}])},
        "clusters[0].maxNodes:",
    ),
    "a key that is misspelt": ({"mrikit:alowedIps": "[]"}, "alowedIps: no such key"),
    "a key that was one once": ({"mrikit:imageTag": "0.1.0"}, "imageTag: no setting any more"),
    "two clusters of one name": ({"mrikit:clusters": json.dumps([CLUSTER, {**CLUSTER, "name": "GPU"}])}, "clusters:"),
    "a range mistyped": ({"mrikit:allowedIps": '["203.0.113.0/42"]'}, "allowedIps:"),
}
"""A change to the stack `dev`, None for a key that is left out, and how the one line of the refusal begins."""


@pytest.fixture(scope="module")
def up() -> Run:
    return run_program(PROGRAM, DEV)


@pytest.fixture(scope="module")
def preview() -> Run:
    return run_program(PROGRAM, DEV, is_preview=True)


@pytest.fixture(scope="module")
def private_up() -> Run:
    """A stack with private endpoints whose data may be destroyed."""
    stack = read_stack(str(PRIVATE), PROJECT_FOLDER)
    return run_program(PROGRAM, stack.config, stack.stack)


def leaves(value, path=()) -> Iterator[tuple]:
    """Path and value of all that is no table and no list."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, (*path, key))
    else:
        yield path, value


def dependencies(resource):
    return set(resource.request.dependencies)


def test_up_ends_well_and_without_a_warning(up):
    assert (up.exit_code, up.messages, up.printed) == (0, [], "")


def test_up_registers_the_same_as_the_record(up, records):
    recorded = records["dev"]
    resources = {(one.type, one.name): (one.id, one.inputs, one.protect) for one in recorded.resources}
    registered = [one for one in up.resources if one.request.custom]
    assert {(one.type, one.name): (one.id, one.inputs, one.request.protect) for one in registered} == resources
    assert len(registered) == len(resources)
    # Mocks put the stack's type into URNs; the engine does not.
    before = {
        (one.type, one.name): {urn.replace(f"{STACK_TYPE}$", "") for urn in one.dependencies}
        for one in recorded.resources
    }
    assert {(one.type, one.name): dependencies(one) for one in registered} == before
    assert up.exports == recorded.outputs


def test_resources_stand_in_components_and_components_in_the_stack(up):
    (stack,) = up.of(STACK_TYPE)
    components = {one.urn: one for one in up.resources if not one.request.custom}
    assert all(one.type.startswith("mrikit:infra:") for one in components.values())
    assert {one.request.parent for one in components.values()} == {stack.urn}
    (alone,) = [one for one in up.resources if one.request.custom and one.request.parent not in components]
    assert (alone.type, alone.request.parent) == ("resources:ResourceGroup", stack.urn)


def test_every_component_says_when_it_is_complete(up):
    components = {one.urn for one in up.registered if not one.request.custom}
    assert set(up.outputs) == components
    assert components == {one.request.parent for one in up.resources}


def test_nothing_waits_for_rights_which_take_minutes_to_work(up):
    rights = {one.urn for one in up.of("authorization:RoleAssignment")}
    assert len(rights) == 8
    # The lock comes last: it would keep them from being deleted.
    waiting = {one.type for one in up.registered if rights & dependencies(one)}
    assert waiting == {"authorization:ManagementLockByScope"}


def test_factory_and_workspace_are_let_in_by_rules_that_wait_for_neither(up):
    (workspace,), (factory,) = up.of("machinelearningservices:Workspace"), up.of("datafactory:Factory")
    services = {"data": {factory, workspace}, "runs": {workspace}, "work": {workspace}}
    for part, let_in in services.items():
        account = up.one("storage:StorageAccount", part)
        rules = account.inputs["networkRuleSet"]["resourceAccessRules"]
        assert {rule["resourceId"] for rule in rules} == {one.id for one in let_in}
        assert not dependencies(account) & {one.urn for one in let_in}


def test_pipelines_wait_for_datasets_and_datasets_for_services(up):
    datasets = {one.urn for one in up.of("datafactory:Dataset")}
    services = {one.urn for one in up.of("datafactory:LinkedService")}
    assert all(datasets <= dependencies(one) for one in up.of("datafactory:Pipeline"))
    assert all(services <= dependencies(one) for one in up.of("datafactory:Dataset"))


def test_what_up_cannot_bring_back_is_protected(up):
    protected = {(one.type, one.name) for one in up.registered if one.request.protect}
    assert protected == {
        ("resources:ResourceGroup", "group"),
        ("machinelearningservices:Workspace", "workspace"),
        ("keyvault:Vault", "vault"),
        ("containerregistry:Registry", "registry"),
        *(("storage:StorageAccount", name) for name in ("data", "runs", "work")),
        *(("storage:BlobContainer", name) for name in ("raw", "datasets", "runs")),
    }


def test_the_first_month_of_the_budget_stays(up):
    (budget,) = up.of("consumption:Budget")
    assert list(budget.request.ignoreChanges) == ["timePeriod"]
    assert "timePeriod" in budget.inputs


def test_a_cluster_of_another_size_takes_the_place_of_the_old_one(up):
    """Its name is part of its address and says of what it is made, so the provider replaces it by itself."""
    clusters = up.of("machinelearningservices:Compute")
    assert {one.inputs["computeName"][:4] for one in clusters} == {"gpu-", "cpu-"}
    assert not any(one.request.replaceOnChanges for one in clusters)


@pytest.mark.parametrize("stack", ["up", pytest.param("private_up", marks=pytest.mark.slow)])
def test_what_is_needed_is_registered_before(stack, request):
    seen = {""}
    for one in request.getfixturevalue(stack).registered:
        named = {urn for of_input in one.request.propertyDependencies.values() for urn in of_input.urns}
        assert dependencies(one) | named | {one.request.parent} <= seen, one.urn
        seen.add(one.urn)


@pytest.mark.parametrize("stack", ["up", pytest.param("private_up", marks=pytest.mark.slow)])
def test_nothing_is_secret_because_nothing_has_to_be(stack, request):
    run = request.getfixturevalue(stack)
    said = json.dumps([[one.inputs for one in run.registered], run.outputs])
    assert SECRET not in said
    # Azure tells keys of insights unasked; with local authentication off they let nobody write.
    hidden = {one.type: list(one.request.additionalSecretOutputs) for one in run.registered}
    assert {kind: keys for kind, keys in hidden.items() if keys} == {
        "applicationinsights:Component": ["instrumentationKey", "connectionString"]
    }
    assert not KEY_LIKE.findall(said)


@pytest.mark.slow
def test_nothing_is_protected_where_data_may_go(private_up):
    assert (private_up.exit_code, private_up.messages, private_up.printed) == (0, [], "")
    assert not [one.urn for one in private_up.registered if one.request.protect]


@pytest.mark.slow
def test_a_preview_plans_the_same_without_azure(preview, up):
    assert (preview.exit_code, preview.messages, preview.printed) == (0, [], "")
    assert not any(one.id for one in preview.registered)
    assert sorted(one.urn for one in preview.registered) == sorted(one.urn for one in up.registered)


@pytest.mark.slow
def test_a_preview_shows_what_everything_will_be_called(preview):
    unnamed = {
        one.type
        for one in preview.resources
        if one.request.custom and UNKNOWN in path_names(one.request.type, one.inputs)[-1]
    }
    assert unnamed == {"authorization:RoleAssignment"}


@pytest.mark.slow
def test_a_preview_leaves_open_only_what_azure_tells(preview):
    open_keys = {
        [key for key in path if isinstance(key, str)][-1]
        for one in preview.resources
        for path, value in leaves(one.inputs)
        if value == UNKNOWN
    }
    assert open_keys <= TOLD_BY_AZURE


@pytest.mark.slow
def test_up_does_what_the_preview_showed(preview, up):
    done = {(one.urn, *path): value for one in up.resources for path, value in leaves(one.inputs)}
    shown = {(one.urn, *path): value for one in preview.resources for path, value in leaves(one.inputs)}
    assert set(done) == set(shown)
    known = {where: value for where, value in shown.items() if value != UNKNOWN}
    assert {where: done[where] for where in known} == known


@pytest.mark.parametrize(
    "mistake", [next(iter(REFUSED)), *(pytest.param(one, marks=pytest.mark.slow) for one in [*REFUSED][1:])]
)
def test_a_wrong_configuration_is_one_line_before_anything_is_asked_or_registered(mistake):
    changes, beginning = REFUSED[mistake]
    config = {key: value for key, value in {**DEV, **changes}.items() if value is not None}
    run = run_program(PROGRAM, config)
    assert run.exit_code == 1
    ((severity, line),) = run.messages
    assert severity == "ERROR"
    assert line.startswith(beginning)
    assert "\n" not in line
    assert (run.printed, run.resources, run.invoked, run.exports) == ("", [], [], {})
