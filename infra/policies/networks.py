"""Networks: who is let in, and by which way."""

from collections.abc import Iterator, Mapping
from typing import Any

from .resources import Estate, Resource, at, expect

_LARGEST_RANGE = 16
"""Addresses are opened in ranges of at most /16."""
_APPROVER = "b556d68e-0be0-4f35-a333-ad7ee1ce17ea"
"""The built-in role Azure AI Enterprise Network Connection Approver."""


def networks_are_closed(estate: Estate) -> Iterator[str]:
    """Accounts and vaults let in nobody who is not named."""
    for one in estate.of("storage:StorageAccount"):
        yield from _closed(one, "networkRuleSet", one.inputs.get("networkRuleSet") or {})
    for one in estate.of("keyvault:Vault"):
        yield from _closed(one, "properties.networkAcls", one.inputs["properties"].get("networkAcls") or {})


def private_means_private(estate: Estate) -> Iterator[str]:
    """Where there are private endpoints nothing has a public address."""
    if not estate.of("network:PrivateEndpoint"):
        return
    types = ("storage:StorageAccount", "containerregistry:Registry", "machinelearningservices:Workspace")
    for one in estate.of(*types):
        yield from expect(one, "publicNetworkAccess", "Disabled")
    for one in estate.of("keyvault:Vault"):
        yield from expect(one, "properties.publicNetworkAccess", "Disabled")
    for one in estate.of("machinelearningservices:Compute"):
        yield from expect(one, "properties.properties.enableNodePublicIp", False)


def nodes_have_no_security_group_of_ours(estate: Estate) -> Iterator[str]:
    """Azure ML makes one for each cluster, with what it needs; another on the subnet could only conflict with it.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-training-vnet ("with public IP").
    """
    yield from (f"{one.name}: a security group of ours" for one in estate.of("network:NetworkSecurityGroup"))
    for one in estate.of("network:Subnet"):
        if one.inputs.get("networkSecurityGroup"):
            yield f"{one.name}: networkSecurityGroup is one of ours"


def nodes_and_people_reach_the_vault(estate: Estate) -> Iterator[str]:
    """The nodes' subnet by a service endpoint, people from where they reach the data, Azure ML as a trusted service.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet ("Secure Azure Key Vault").
    """
    subnets = {one.id: one for one in estate.of("network:Subnet")}
    for one in subnets.values():
        services = {endpoint.get("service") for endpoint in one.inputs.get("serviceEndpoints") or []}
        lacking = {"Microsoft.Storage", "Microsoft.KeyVault"} - services
        if lacking:
            yield f"{one.name}: serviceEndpoints lack {', '.join(sorted(lacking))}"
    people = {
        rule["iPAddressOrRange"]
        for one in estate.of("storage:StorageAccount")
        for rule in at(one.inputs, "networkRuleSet.ipRules") or []
    }
    for one in estate.of("keyvault:Vault"):
        rules = at(one.inputs, "properties.networkAcls") or {}
        let_in = {rule["id"] for rule in rules.get("virtualNetworkRules") or []}
        if set(subnets) - let_in:
            yield f"{one.name}: properties.networkAcls.virtualNetworkRules lack the nodes' subnet"
        if people - {rule["value"] for rule in rules.get("ipRules") or []}:
            yield f"{one.name}: properties.networkAcls.ipRules lack addresses that may reach the data"
        if rules.get("bypass") != "AzureServices":
            yield f"{one.name}: properties.networkAcls.bypass is {rules.get('bypass')}, and keeps Azure ML out"


def endpoints_come_one_after_the_other(estate: Estate) -> Iterator[str]:
    """Accounts, vaults and networks refuse a second operation while one goes on.

    Source:
        https://github.com/Azure/bicep-registry-modules/issues/6001,
        https://github.com/hashicorp/terraform-provider-azurerm/issues/29354.
    """
    kinds = (
        "network:PrivateEndpoint",
        "privatedns:VirtualNetworkLink",
        "machinelearningservices:ManagedNetworkSettingsRule",
    )
    for kind in kinds:
        chain = {one.urn: one for one in estate.of(kind)}
        places: dict[int, list[str]] = {}
        for one in chain.values():
            places.setdefault(len(_before(one, chain)), []).append(one.name)
        yield from (f"{', '.join(names)}: made at the same time" for names in places.values() if len(names) > 1)


def a_managed_network_lets_out_to_what_is_approved(estate: Estate) -> Iterator[str]:
    """Nodes are in it and nowhere else, and reach every account of ours by an endpoint.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network,
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network-compute.
    """
    rules = estate.of("machinelearningservices:ManagedNetworkSettingsRule")
    workspaces = [one for one in estate.of("machinelearningservices:Workspace") if one.inputs.get("managedNetwork")]
    if rules and not workspaces:
        yield f"{rules[0].name}: the workspace has no managed network"
    if not workspaces:
        return
    for one in workspaces:
        yield from expect(one, "managedNetwork.isolationMode", "AllowOnlyApprovedOutbound")
    for one in estate.of("machinelearningservices:Compute"):
        yield from expect(one, "properties.properties.enableNodePublicIp", False)
        yield from expect(one, "properties.properties.subnet", None)
    # Azure ML makes the endpoint of the workspace's own account itself.
    reached = {at(one.inputs, "properties.destination.serviceResourceId") for one in rules}
    reached |= {one.inputs.get("storageAccount") for one in workspaces}
    for one in estate.of("storage:StorageAccount"):
        if one.id not in reached:
            yield f"{one.name}: no rule leads to it"
    approved = {
        one.inputs["scope"]
        for one in estate.of("authorization:RoleAssignment")
        if str(one.inputs.get("roleDefinitionId")).endswith(_APPROVER)
    }
    for one in rules:
        scope = at(one.inputs, "properties.destination.serviceResourceId")
        if scope and scope not in approved:
            yield f"{one.name}: nobody may approve its endpoint"


def endpoints_have_a_registry_that_knows_them(estate: Estate) -> Iterator[str]:
    """Only the tier Premium has private endpoints.

    Source:
        https://learn.microsoft.com/azure/container-registry/container-registry-skus.
    """
    if estate.of("network:PrivateEndpoint", "machinelearningservices:ManagedNetworkSettingsRule"):
        for one in estate.of("containerregistry:Registry"):
            yield from expect(one, "sku.name", "Premium")


def _before(one: Resource, chain: Mapping[str, Resource]) -> set[str]:
    """URNs of all in a chain that are made before a resource."""
    found: set[str] = set()
    left = list(one.dependencies)
    while left:
        urn = left.pop()
        if urn in chain and urn not in found:
            found.add(urn)
            left += chain[urn].dependencies
    return found


def _closed(one: Resource, where: str, rules: Mapping[str, Any]) -> Iterator[str]:
    if rules.get("defaultAction") != "Deny":
        yield f"{one.name}: {where}.defaultAction is {rules.get('defaultAction')}, not Deny"
    if rules.get("bypass") not in ("AzureServices", "None"):
        yield f"{one.name}: {where}.bypass is {rules.get('bypass')}"
    for rule in rules.get("ipRules") or []:
        # Storage has another word for it than Key Vault.
        address = str(rule.get("iPAddressOrRange") or rule.get("value"))
        if int(address.partition("/")[2] or 32) < _LARGEST_RANGE:
            yield f"{one.name}: {where}.ipRules opens it to {address}"
