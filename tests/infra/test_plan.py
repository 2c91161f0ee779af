"""What the plan says of an estate: everything that is declared, who may do what, who gets in, and what it costs."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mrikit.estate.costs import estimate
from mrikit.estate.declared import record_program
from mrikit.estate.preview import ROLES, plan_facts
from mrikit.estate.prices import load_prices
from mrikit.estate.stack_file import read_stack

from .altered import altered
from .conftest import STACKS

GOLDEN = Path(__file__).parent / "golden"
PRICES = load_prices()
CONFIG = read_stack(STACKS["dev"], Path(__file__).parents[2]).config


def golden(record):
    """What a stack declares, as text; the budget's first month is this one unless the stack names it."""
    facts = plan_facts(record, PRICES, data_tb=1.0)
    kept = {"resources": facts["resources"], "outputs": facts["outputs"]}
    for one in kept["resources"]:
        del one["id"]
        if one["type"] == "consumption:Budget" and record.stack not in ("private", "managed"):
            one["inputs"]["timePeriod"] = "of the first month"
    return json.dumps(kept, indent=1, sort_keys=True) + "\n"


def test_a_stack_declares_what_it_did_before(record):
    """MRIKIT_UPDATE_GOLDEN=1 writes the files anew; read their diff as what `pulumi up` would change."""
    file = GOLDEN / f"{record.stack}.json"
    if os.environ.get("MRIKIT_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(golden(record))
    assert golden(record) == file.read_text()


def test_a_generation_renames_all_that_azure_holds_back_and_no_data(records):
    second = record_program({**CONFIG, "mrikit:generation": "2"}, "dev")
    first = records["dev"]
    ids = [{(one.type, one.name): one.id for one in record.resources} for record in (first, second)]
    renamed = {kind for kind, name in ids[0] if ids[0][kind, name] != ids[1][kind, name]}
    assert {"keyvault:Vault", "machinelearningservices:Workspace", "datafactory:Factory"} <= renamed
    assert not [kind for kind in renamed if kind.startswith("storage:")]


def test_a_premium_account_holds_block_blobs_and_has_no_tiers():
    record = record_program({**CONFIG, "mrikit:storageSku": "Premium_ZRS"}, "dev")
    accounts = {one.name: one.inputs for one in record.of("storage:StorageAccount")}
    assert (accounts["data"]["kind"], accounts["data"]["sku"]["name"]) == ("BlockBlobStorage", "Premium_ZRS")
    assert (accounts["runs"]["kind"], accounts["runs"]["sku"]["name"]) == ("StorageV2", "Standard_ZRS")
    assert "accessTier" not in accounts["data"]
    (lifecycle,) = record.of("storage:ManagementPolicy")
    (rule,) = lifecycle.inputs["policy"]["rules"]
    assert list(rule["definition"]["actions"]["baseBlob"]) == ["delete"]
    (store,) = [one for one in record.of("datafactory:LinkedService") if one.name == "data_account"]
    assert store.inputs["properties"]["accountKind"] == "BlockBlobStorage"


def test_names_differ_between_stacks_and_stay_for_one(records):
    ids = {stack: {one.id for one in records[stack].resources} for stack in ("dev", "prod", "private")}
    assert not ids["dev"] & ids["prod"]
    assert not ids["dev"] & ids["private"]


def test_roles_are_called_what_they_are(record):
    """The program's names of roles and ours are two tables; they agree on every id."""
    for one in record.of("authorization:RoleAssignment"):
        guid = one.inputs["roleDefinitionId"].rpartition("/")[2]
        assert f": {ROLES[guid]} of " in one.inputs["description"]


def test_rights_name_identities_groups_and_resources(records):
    rows = {tuple(row.values()) for row in plan_facts(records["prod"], PRICES, 1.0)["rights"]}
    assert ("mrikit-prod-compute", "Storage Blob Data Contributor", "BlobContainer raw") in rows
    assert ("Factory mrikit-prod-0e120d09", "Storage Blob Data Contributor", "BlobContainer datasets") in rows
    assert not [row for row in rows if row[0].startswith("Workspace")]
    team = {(role, what.split()[0]) for who, role, what in rows if who.startswith("Group 0f1e2d3c")}
    assert ("AzureML Data Scientist", "Workspace") in team
    assert ("Data Factory Contributor", "Factory") in team
    assert {
        ("Key Vault Secrets Officer", "Vault"),
        ("Storage File Data Privileged Contributor", "StorageAccount"),
    } <= team
    # Nobody's right reaches the whole data account.
    assert not any(what.startswith("StorageAccount mriproddata") for _, _, what in rows)


def test_the_studio_finds_accounts_by_private_endpoints_that_the_workspace_may_read(records):
    rows = [tuple(row.values()) for row in plan_facts(records["private"], PRICES, 1.0)["rights"]]
    read = {what for who, role, what in rows if who.startswith("Workspace") and role == "Reader"}
    endpoints = ("data-blob", "runs-blob", "work-blob", "work-file")
    assert read == {f"PrivateEndpoint mrikit-private-{name}" for name in endpoints}


def test_ways_in_are_the_named_addresses_the_nodes_and_trusted_services(records):
    ways = {row["what"]: row["from"] for row in plan_facts(records["prod"], PRICES, 1.0)["ways_in"]}
    named = "203.0.113.0/24, 198.51.100.7, the nodes' subnet"
    assert ways["account mriproddata0e120d09"] == f"{named}, the factory, the workspace"
    assert ways["account mriprodruns0e120d09"] == f"{named}, the workspace"
    assert ways["account mriprodwork0e120d09"] == f"{named}, the workspace, services of Azure that it trusts"
    ways = {what.split()[0]: reached_from for what, reached_from in ways.items()}
    assert ways["vault"] == f"{named}, services of Azure that it trusts"
    assert ways["cluster"] == "public addresses; SSH is off"


def test_with_a_network_of_ones_own_only_private_endpoints_lead_in(records):
    facts = plan_facts(records["private"], PRICES, 1.0)
    ways = {row["what"].split()[0]: row["from"] for row in facts["ways_in"]}
    assert ways["account"] == "private endpoint, the workspace, services of Azure that it trusts"
    assert ways["vault"] == "private endpoint, services of Azure that it trusts"
    assert ways["registry"] == ways["workspace"] == "private endpoint"
    assert ways["cluster"] == "no public address; SSH is off"
    cluster = next(one for one in facts["resources"] if one["name"] == "cluster-gpu")
    assert {"endpoint-workspace", "names-workspace"} <= set(cluster["needs"])


def test_components_name_what_they_consist_of_and_need(records):
    components = {one["name"]: one for one in plan_facts(records["dev"], PRICES, 1.0)["components"]}
    assert components["storage"]["kinds"]["BlobContainer"] == 3
    assert components["workspace"]["needs"] == [
        "monitoring", "registry", "storage", "vault",
    ]  # fmt: skip
    assert sum(sum(one["kinds"].values()) for one in components.values()) == len(records["dev"].resources)


def test_nodes_of_a_managed_network_come_by_endpoints(records):
    ways = {row["what"].split()[0]: row["from"] for row in plan_facts(records["managed"], PRICES, 1.0)["ways_in"]}
    assert ways["vault"] == "203.0.113.0/24, services of Azure that it trusts, nodes by an endpoint"
    assert ways["registry"] == "anywhere, with a role, nodes by an endpoint"
    assert ways["factory"] == "anywhere, with a role"


RUNS = 100 * 0.0208
BALANCER = 30 * 0.33


def test_an_idle_estate_costs_its_data_its_registry_and_its_balancers(records):
    dev = estimate(records["dev"], PRICES, data_tb=2.0)
    assert dev.idle == pytest.approx(2000 * 0.0208 + RUNS + 5.1 + 2 * BALANCER)


def test_every_fifty_nodes_of_a_cluster_have_a_balancer(records):
    scale = "properties.properties.scaleSettings.maxNodeCount"
    larger = altered(records["dev"], "machinelearningservices:Compute", scale, 101, "cluster-cpu")
    (line,) = [one for one in estimate(larger, PRICES, 0.0).lines if "balancer" in one.what]
    assert (line.what, line.idle) == ("4 load balancers, one for 50 nodes of a cluster", pytest.approx(4 * BALANCER))


def test_a_private_network_costs_its_endpoints_and_has_no_balancers(records):
    private = estimate(records["private"], PRICES, data_tb=0.0)
    assert private.idle == pytest.approx(50.7 + RUNS + 7 * 7.3 + 6 * 0.5)


def test_a_managed_network_costs_its_endpoints_and_its_firewall(records):
    managed = estimate(records["managed"], PRICES, data_tb=0.0)
    assert managed.idle == pytest.approx(50.7 + RUNS + 7 * 7.3 + 730 * 0.395)


def test_prices_of_the_stacks_region_go_before_the_table(records):
    listed = {"storage_gb_month Standard_LRS": 0.02, "registry_month Basic": 5.0}
    prices = replace(PRICES, listed_services=listed, listed_services_date="2026-11-30")
    lines = {one.what: one for one in estimate(records["dev"], prices, data_tb=1.0).lines}
    assert lines["1 TB of data, Standard_LRS, hot"].idle == pytest.approx(20.0)
    assert lines["1 TB of data, Standard_LRS, hot"].source == "listed 2026-11-30"
    assert lines["container registry, Basic"].idle == 5.0
    assert lines["2 load balancers, one for 50 nodes of a cluster"].source == "table of 2025-10-01"


@pytest.mark.parametrize(("sku", "gigabyte"), [("Premium_LRS", 0.15), ("Premium_ZRS", 0.1875)])
def test_premium_storage_has_a_price_and_no_tier(records, sku, gigabyte):
    record = altered(records["dev"], "storage:StorageAccount", "sku.name", sku, "data")
    (line,) = [one for one in estimate(record, PRICES, data_tb=1.0).lines if "TB of data" in one.what]
    assert (line.what, line.idle) == (f"1 TB of data, {sku}", pytest.approx(1000 * gigabyte))


def test_a_full_month_is_every_node_and_all_logs(records):
    bill = estimate(records["dev"], PRICES, data_tb=0.0)
    nodes = 730 * (3.673 * 0.2 + 0.768)
    assert bill.full == pytest.approx(5.1 + RUNS + 2 * BALANCER + 25 * 2.3 + nodes)
    assert bill.unknown == ()


def test_a_size_without_a_price_is_named_and_not_counted(records):
    poor = load_prices_without("Standard_NC24ads_A100_v4")
    bill = estimate(records["dev"], poor, data_tb=0.0)
    assert bill.unknown == ("Standard_NC24ads_A100_v4",)
    assert not any("NC24ads" in line.what for line in bill.lines)


def load_prices_without(sku):
    return replace(PRICES, machines={name: one for name, one in PRICES.machines.items() if name != sku})
