"""The three ways in which nodes and people reach the parts, as Microsoft's documents ask for them."""

from dataclasses import replace

import pytest

from infra.policies.networks import (
    a_managed_network_lets_out_to_what_is_approved,
    endpoints_come_one_after_the_other,
    endpoints_have_a_registry_that_knows_them,
    nodes_and_people_reach_the_vault,
    nodes_have_no_security_group_of_ours,
)

from .altered import altered, loosened

VAULT, SUBNET, WORKSPACE = "keyvault:Vault", "network:Subnet", "machinelearningservices:Workspace"
CLUSTER, RULE = "machinelearningservices:Compute", "machinelearningservices:ManagedNetworkSettingsRule"
ACLS = "properties.networkAcls"


def test_a_network_of_ours_has_no_security_group(records):
    record = records["dev"]
    assert record.of(SUBNET)
    assert not record.of("network:NetworkSecurityGroup")
    with_one = altered(record, SUBNET, "networkSecurityGroup", {"id": "ours"})
    assert list(nodes_have_no_security_group_of_ours(with_one)) == ["nodes: networkSecurityGroup is one of ours"]
    declared = replace(record.of(SUBNET)[0], type="network:NetworkSecurityGroup", name="nodes-rules")
    found = nodes_have_no_security_group_of_ours(replace(record, resources=(*record.resources, declared)))
    assert list(found) == ["nodes-rules: a security group of ours"]


@pytest.mark.parametrize(
    ("kind", "path", "value", "line"),
    [
        (SUBNET, "serviceEndpoints.1.service", "Microsoft.Sql", "nodes: serviceEndpoints lack Microsoft.KeyVault"),
        (VAULT, f"{ACLS}.virtualNetworkRules", [], f"vault: {ACLS}.virtualNetworkRules lack the nodes' subnet"),
        (VAULT, f"{ACLS}.ipRules", [], f"vault: {ACLS}.ipRules lack addresses that may reach the data"),
        (VAULT, f"{ACLS}.bypass", "None", f"vault: {ACLS}.bypass is None, and keeps Azure ML out"),
    ],
)
def test_nodes_people_and_azure_ml_reach_the_vault(records, kind, path, value, line):
    assert list(nodes_and_people_reach_the_vault(altered(records["dev"], kind, path, value))) == [line]


def test_the_vault_of_a_private_network_is_reached_by_its_endpoint_alone(records):
    (vault,) = records["private"].of(VAULT)
    assert vault.inputs["properties"]["publicNetworkAccess"] == "Disabled"
    assert not vault.inputs["properties"]["networkAcls"]["virtualNetworkRules"]
    assert "endpoint-vault" in {one.name for one in records["private"].of("network:PrivateEndpoint")}


@pytest.mark.parametrize(
    ("stack", "kind"),
    [("private", "network:PrivateEndpoint"), ("private", "privatedns:VirtualNetworkLink"), ("managed", RULE)],
)
def test_endpoints_links_and_rules_are_made_one_after_the_other(records, stack, kind):
    assert len(records[stack].of(kind)) > 1
    (line,) = endpoints_come_one_after_the_other(loosened(records[stack], kind, dependencies=()))
    assert line.endswith(": made at the same time")


def test_two_endpoints_that_wait_for_the_same_one_are_noticed(records):
    record, kind = records["private"], "network:PrivateEndpoint"
    chain = {one.urn for one in record.of(kind)}
    (first,) = [one for one in record.of(kind) if not chain & set(one.dependencies)]
    fan = loosened(record, kind, dependencies=(first.urn,))
    fan = replace(fan, resources=tuple(first if one.urn == first.urn else one for one in fan.resources))
    (line,) = endpoints_come_one_after_the_other(fan)
    assert len(line.split(", ")) == len(chain) - 1


def test_endpoints_wait_for_whatever_else_changes_their_targets(records):
    record = records["private"]
    names = {one.urn: one.name for one in record.resources}
    first_link = min(record.of("privatedns:VirtualNetworkLink"), key=lambda one: len(one.dependencies))
    links = {one.urn for one in record.of("privatedns:VirtualNetworkLink")}
    (first_link,) = [one for one in record.of("privatedns:VirtualNetworkLink") if not links & set(one.dependencies)]
    waits_for = {names.get(urn) for urn in first_link.dependencies}
    assert {"data-blobs", "lifecycle", "data-logs", "vault-logs", "registry-logs"} <= waits_for


def test_a_managed_network_has_no_network_of_ours(records):
    record = records["managed"]
    kinds = {one.type.partition(":")[0] for one in record.resources}
    assert not kinds & {"network", "privatedns"}
    for account in record.of("storage:StorageAccount"):
        assert not account.inputs["networkRuleSet"]["virtualNetworkRules"]
        assert account.inputs["publicNetworkAccess"] == "Enabled"
    (workspace,) = record.of(WORKSPACE)
    assert workspace.inputs["managedNetwork"] == {
        "isolationMode": "AllowOnlyApprovedOutbound",
        "firewallSku": "Basic",
        "enableNetworkMonitor": False,
    }
    assert set(workspace.ignore_changes) == {"managedNetwork.status", "managedNetwork.outboundRules"}


def test_images_are_built_on_a_cluster_without_gpus_where_the_registry_is_reached_by_endpoints(records):
    for stack in ("private", "managed"):
        clusters = {one.name: one.azure_name for one in records[stack].of(CLUSTER)}
        (workspace,) = records[stack].of(WORKSPACE)
        assert workspace.inputs["imageBuildCompute"] == clusters["cluster-cpu"]
    assert "imageBuildCompute" not in records["dev"].of(WORKSPACE)[0].inputs


def test_hosts_of_downloads_are_let_out_by_name(records):
    rules = [one.inputs["properties"] for one in records["managed"].of(RULE)]
    assert [one["destination"] for one in rules if one["type"] == "FQDN"] == ["fastmri-dataset.s3.amazonaws.com"]


@pytest.mark.parametrize(
    ("kind", "name", "path", "value", "line"),
    [
        (
            WORKSPACE,
            "workspace",
            "managedNetwork.isolationMode",
            "AllowInternetOutbound",
            "workspace: managedNetwork.isolationMode is AllowInternetOutbound, not AllowOnlyApprovedOutbound",
        ),
        (
            CLUSTER,
            "cluster-gpu",
            "properties.properties.enableNodePublicIp",
            True,
            "cluster-gpu: properties.properties.enableNodePublicIp is True, not False",
        ),
        (
            CLUSTER,
            "cluster-gpu",
            "properties.properties.subnet",
            {"id": "one"},
            "cluster-gpu: properties.properties.subnet is {'id': 'one'}, not None",
        ),
        (RULE, "to-data", "properties.destination.serviceResourceId", "/x", "data: no rule leads to it"),
        (RULE, "to-data", "properties.destination.serviceResourceId", "/x", "to-data: nobody may approve its endpoint"),
    ],
)  # fmt: skip
def test_a_managed_network_lets_out_to_what_is_approved(records, kind, name, path, value, line):
    found = a_managed_network_lets_out_to_what_is_approved(altered(records["managed"], kind, path, value, name))
    assert line in list(found)


def test_rules_need_a_managed_network(records):
    record = altered(records["managed"], WORKSPACE, "managedNetwork", None)
    assert next(iter(a_managed_network_lets_out_to_what_is_approved(record))).endswith("has no managed network")


@pytest.mark.parametrize("stack", ["private", "managed"])
def test_endpoints_need_the_dearest_registry(records, stack):
    record = altered(records[stack], "containerregistry:Registry", "sku.name", "Standard")
    assert list(endpoints_have_a_registry_that_knows_them(record)) == ["registry: sku.name is Standard, not Premium"]
