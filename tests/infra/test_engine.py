"""The estate under Pulumi's real engine: made once, repeated, broken halfway, changed, taken down."""

import base64
import json
import re

import pytest
import yaml
from pulumi.runtime.rpc import UNKNOWN

from mrikit.estate.azure_types import path_names

from .engine.azure import INSTRUMENTATION_KEY
from .engine.stack import PASSPHRASE, SETTINGS, Stack

pytestmark = pytest.mark.slow

CLUSTERS = yaml.safe_load(SETTINGS.read_text())["config"]["mrikit:clusters"]
DATA = {
    *(f"StorageAccount {one}" for one in ("data", "runs")),
    *(f"BlobContainer {one}" for one in ("raw", "datasets", "runs")),
}
KEPT = DATA | {"StorageAccount work", "ResourceGroup group", "Workspace workspace", "Vault vault", "Registry registry"}
KEY_LIKE = re.compile(
    r"sig=|account_?key|access_?key|password|passwd|connection_?string=|private key|[a-z0-9+/]{60,}=", re.IGNORECASE
)


def customs(stack):
    """What of the state is in Azure: no components, no providers, not the stack."""
    return {name: one for name, one in stack.resources.items() if one["type"].startswith("azure-native:")}


def data_ids(stack):
    return {name: customs(stack)[name]["id"] for name in DATA}


def unmarked(changed):
    """Without the letters that tell one budget from the next."""
    return {re.sub(r"(Budget budget)-\w+$", r"\1", one) for one in changed}


def test_up_registers_the_same_as_the_record(made, records):
    recorded = records["dev"]
    wanted = {(one.type, one.name): (one.id, one.inputs, one.protect) for one in recorded.resources}
    state = customs(made).values()
    found = {
        (one["type"].removeprefix("azure-native:"), one["urn"].rpartition("::")[2]): (
            one["id"],
            one["inputs"],
            one.get("protect", False),
        )
        for one in state
    }
    assert found == wanted
    assert made.resources["Stack mrikit-dev"]["outputs"] == recorded.outputs
    assert {one["id"] for one in state} == set(made.azure.resources)


def test_a_second_up_changes_nothing_and_says_nothing_but_where_the_plug_in_is(estate):
    before = estate.azure.resources
    done = estate.up()
    assert (done.error, done.changed) == ("", set())
    assert set(done.counts) == {"same"}
    assert estate.azure.resources == before
    assert [one for one in done.said if "using pulumi-resource-azure-native from $PATH" not in one] == []


def test_a_refresh_changes_nothing(estate):
    done = estate.refresh()
    assert (done.error, done.changed) == ("", set())


def test_a_preview_after_up_sees_no_change(estate):
    assert set(estate.preview().counts) == {"same"}


def test_a_first_preview_shows_what_everything_will_be_called(driver, tmp_path, made):
    done = Stack.make(driver, tmp_path / "new").preview()
    assert (done.error, set(done.planned)) == ("", set(customs(made)))
    unnamed = {
        name for name, inputs in done.planned.items() if UNKNOWN in path_names(customs(made)[name]["type"], inputs)[-1]
    }
    assert {one.partition(" ")[0] for one in unnamed} == {"RoleAssignment"}


def test_resources_stand_in_components_and_components_in_the_stack(made):
    """So that a reader of the state, or of Pulumi's console, finds the parts by the names of the program's files."""
    resources = made.resources
    stack = resources["Stack mrikit-dev"]["urn"]
    components = {one["urn"] for one in resources.values() if one["type"].startswith("mrikit:infra:")}
    assert {one["parent"] for one in resources.values() if one["urn"] in components} == {stack}
    alone = {name for name, one in customs(made).items() if one["parent"] not in components}
    assert alone == {"ResourceGroup group"}


def test_what_up_cannot_bring_back_is_protected_and_nothing_else(made):
    assert {name for name, one in customs(made).items() if one.get("protect")} == KEPT


def test_nothing_waits_for_rights_which_take_minutes_to_work_but_the_lock(made):
    rights = {one["urn"] for one in customs(made).values() if one["type"].endswith(":RoleAssignment")}
    waiting = {name for name, one in customs(made).items() if rights & set(one.get("dependencies", []))}
    assert (len(rights), waiting) == (8, {LOCK})


def test_a_workspace_that_fails_leaves_the_rest_and_the_next_up_completes_it(driver, tmp_path, made):
    stack = Stack.make(driver, tmp_path / "new")
    stack.azure.fail("create", "machinelearningservices:Workspace", "Forbidden: the roles do not work yet")
    first = stack.up()
    assert any("the roles do not work yet" in line for line in first.errors)
    there = set(customs(stack))
    missing = set(customs(made)) - there
    assert "Workspace workspace" in missing
    # What the workspace stands on; after a failure the engine begins nothing new, so the rest depends on who was first.
    assert there >= {"StorageAccount work", "Vault vault", "Registry registry", "Component insights"}
    assert {one["id"] for one in customs(stack).values()} == set(stack.azure.resources)
    second = stack.up()
    assert (second.error, second.changed) == ("", {f"+ {name}" for name in missing})
    assert stack.azure.resources == made.azure.resources


def test_somebody_else_with_the_same_stack_name_is_refused_before_anything_is_made(estate, driver, tmp_path):
    other = Stack.make(driver, tmp_path / "other")
    other.azure.take_over(estate.azure)
    done = other.up()
    assert any("cannot create already existing resource" in line for line in done.errors)
    assert customs(other) == {}
    assert other.azure.resources == estate.azure.resources


CLUSTER, LOCK = "Compute cluster-gpu", "ManagementLockByScope keep-data"
ANOTHER_BUDGET = {"+ Budget budget", "- Budget budget"}
"""Azure takes hardly a change of one, so another is made and the old one goes."""
CHANGES = {
    "monthlyBudget": (400, ANOTHER_BUDGET),
    "adminEmail": ("somebody@example.org", ANOTHER_BUDGET),
    "budgetStart": ("2026-01-01", ANOTHER_BUDGET),
    "allowedIps": (
        ["198.51.100.7"],
        {"~ Vault vault", *(f"~ StorageAccount {one}" for one in ("data", "runs", "work"))},
    ),
    "storageSku": ("Standard_GRS", {"~ StorageAccount data", "~ StorageAccount runs"}),
    "registryTier": ("Premium", {"~ Registry registry"}),
    "rawCoolDays": (3, {"~ ManagementPolicy lifecycle"}),
    "rawDeleteDays": (60, {"~ ManagementPolicy lifecycle"}),
    "softDeleteDays": (14, {"~ BlobServiceProperties data-blobs", "~ BlobServiceProperties runs-blobs"}),
    "copiesAtOnce": (2, {"~ Pipeline copy-archive", "~ Pipeline copy-and-unpack-archive"}),
    "protectData": (False, {f"- {LOCK}"}),
    "lockData": (False, {f"- {LOCK}"}),
    # The images of several GPU nodes want a larger registry.
    "maxNodes": ([{**CLUSTERS[0], "maxNodes": 2}, CLUSTERS[1]], {f"~ {CLUSTER}", "~ Registry registry"}),
    "idleMinutes": ([{**CLUSTERS[0], "idleMinutes": 30}, CLUSTERS[1]], {f"~ {CLUSTER}"}),
    "priority": ([{**CLUSTERS[0], "priority": "dedicated"}, CLUSTERS[1]], {f"! {CLUSTER}"}),
    "sku": ([{**CLUSTERS[0], "sku": "Standard_NC48ads_A100_v4"}, CLUSTERS[1]], {f"! {CLUSTER}"}),
    "one cluster less": (CLUSTERS[:1], {"- Compute cluster-cpu"}),
}
"""A setting, another value, and all that becomes of it: `~` changed in place, `!` made anew, `-` deleted."""


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_what_it_is_about_and_makes_only_clusters_anew(estate, setting):
    value, expected = CHANGES[setting]
    of_clusters = setting in ("maxNodes", "idleMinutes", "priority", "sku", "one cluster less")
    estate.set(**{"clusters" if of_clusters else setting: value})
    done = estate.up()
    assert (done.error, unmarked(done.changed)) == ("", expected)


def test_more_tags_change_resources_in_place(estate):
    """Their preview shows assignments as made anew: https://github.com/pulumi/pulumi-azure-native/issues/1080."""
    estate.set(tags={"owner": "mri-group", "cost-center": "4711"})
    done = estate.up()
    assert done.error == ""
    assert {one[0] for one in done.changed} == {"~"}
    assert {f"~ {name}" for name, one in customs(estate).items() if "tags" in one["inputs"]} <= done.changed


def test_a_team_gets_rights_and_nothing_else_changes(estate):
    estate.set(teamGroupId="0f1e2d3c-0000-4000-8000-00000000000a")
    done = estate.up()
    assert done.error == ""
    assert len(done.changed) >= 6
    assert all(one.startswith("+ RoleAssignment team-") for one in done.changed)


def test_what_stops_a_spent_budget_is_added_and_its_key_is_in_no_plain_text(estate):
    estate.set(stopAtBudget=True)
    done = estate.up()
    assert done.error == ""
    assert {one for one in unmarked(done.changed) if one[0] != "+"} == {"- Budget budget"}
    assert {"+ Workflow stop-clusters", "+ ActionGroup budget-is-spent"} <= done.changed
    assert "sig=" in json.dumps(estate.azure.resources)
    assert "sig=" not in estate.state


def test_a_network_of_ones_own_makes_clusters_anew_and_leaves_data_where_they_are(estate):
    before = data_ids(estate)
    estate.set(
        allowedIps=[],
        network="private",
        subnetId="/subscriptions/0a1b2c3d-0000-4000-8000-00000000000f/resourceGroups/hub/providers/"
        "Microsoft.Network/virtualNetworks/hospital/subnets/research",
    )
    done = estate.up()
    assert done.error == ""
    assert {one for one in done.changed if one[0] == "!"} == {f"! {CLUSTER}", "! Compute cluster-cpu"}
    assert {one for one in done.changed if one[0] == "-"} == {"- Subnet nodes", "- VirtualNetwork network"}
    assert data_ids(estate) == before
    assert set(estate.up().counts) == {"same"}


def test_another_generation_is_refused_whole_while_the_estate_is_protected(estate):
    before = estate.azure.resources
    estate.set(generation=2)
    done = estate.preview()
    assert any("protect" in line for line in done.errors)
    assert not [line for line in done.errors if re.search(r"StorageAccount|BlobContainer", line)]
    assert estate.azure.resources == before


def test_another_generation_renames_no_data(estate):
    before = data_ids(estate)
    estate.set(protectData=False)
    assert estate.up().error == ""
    estate.set(generation=2)
    done = estate.up()
    assert done.error == ""
    assert "! Workspace workspace" in done.changed
    assert data_ids(estate) == before
    assert {one for one in done.changed if one[2:] in DATA} <= {f"~ {one}" for one in DATA}


def test_destroy_of_a_protected_estate_is_refused_after_a_preview_and_deletes_nothing(estate):
    before = estate.azure.resources
    done = estate.destroy(preview_only=True)
    assert any("protected" in line for line in done.errors)
    assert estate.azure.resources == before


def test_destroy_without_a_preview_takes_nothing_that_up_does_not_bring_back(estate):
    before = estate.azure.resources
    kept = {customs(estate)[name]["id"] for name in KEPT}
    done = estate.destroy()
    assert any("protected" in line for line in done.errors)
    assert kept <= set(estate.azure.resources)
    assert estate.up().error == ""
    assert set(estate.azure.resources) == set(before)


def test_what_was_protected_can_be_let_go_and_then_destroy_takes_everything(estate):
    estate.set(protectData=False)
    assert estate.up().error == ""
    done = estate.destroy()
    assert (done.error, customs(estate), estate.azure.resources) == ("", {}, {})


def test_after_destroy_names_are_held_and_another_generation_gets_new_ones(estate):
    estate.set(protectData=False)
    assert estate.up().error == ""
    assert estate.destroy().error == ""
    assert any("its name is still held" in line for line in estate.up().errors)
    estate.set(generation=2)
    done = estate.up()
    assert (done.error, done.changed & {"! StorageAccount data"}) == ("", set())


def test_a_program_that_refuses_its_settings_says_so_in_one_line_and_makes_nothing(estate):
    before = estate.azure.resources
    estate.set(rawCoolDays=90)
    done = estate.up()
    (line,) = [line for line in done.errors if line.startswith("rawDeleteDays:")]
    assert "\n" not in line
    assert estate.azure.resources == before


def test_state_holds_no_plain_secret(made):
    state = made.state
    assert INSTRUMENTATION_KEY not in state
    assert base64.b64encode(INSTRUMENTATION_KEY.encode()).decode() not in state
    assert PASSPHRASE not in state
    assert json.loads(state)["checkpoint"]["latest"]["secrets_providers"]["type"] == "passphrase"
    plain = [one["inputs"] for one in customs(made).values()] + [made.resources["Stack mrikit-dev"]["outputs"]]
    assert not KEY_LIKE.findall(json.dumps(plain))
