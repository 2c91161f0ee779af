"""Preview of an estate: parts, rights, costs, rules."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from mrikit.estate.costs import cluster_facts, estimate
from mrikit.estate.declared import Declared, Record
from mrikit.estate.policies import broken_rules, load_rules
from mrikit.estate.prices import Prices

ROLES = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": "AzureML Data Scientist",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "673868aa-7521-48a0-acc6-0f60742d39f5": "Data Factory Contributor",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "b556d68e-0be0-4f35-a333-ad7ee1ce17ea": "Azure AI Enterprise Network Connection Approver",
    "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815": "AzureML Compute Operator",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": "Storage File Data Privileged Contributor",
}
"""Azure's built-in roles by their ids: what a program grants is named by these, whatever it calls it itself."""


def plan_facts(record: Record, prices: Prices, data_tb: float) -> dict[str, Any]:
    """All that the plan shows, in the form of --json."""
    bill = estimate(record, prices, data_tb)
    broken = broken_rules(record)
    return {
        "stack": record.stack,
        "location": record.outputs["location"],
        "num_resources": len(record.resources),
        "components": _components(record),
        "rights": _rights(record),
        "ways_in": [_way_in(one, _reached_inside(record)) for one in record.resources if one.type in _WAYS_IN],
        "clusters": [_cluster(one) for one in record.of("machinelearningservices:Compute")],
        "costs": {
            "currency": prices.currency,
            "date": prices.date,
            "region": prices.region,
            "idle": round(bill.idle, 2),
            "full": round(bill.full, 2),
            "lines": [
                {
                    "what": line.what,
                    "idle": round(line.idle, 2),
                    "full": round(line.full, 2),
                    "source": line.source,
                }
                for line in bill.lines
            ],
            "unknown": list(bill.unknown),
        },
        "num_rules": len(load_rules()),
        "broken": broken,
        "outputs": dict(record.outputs),
        "resources": _resources(record),
    }


def _components(record: Record) -> list[dict[str, Any]]:
    """Each part with what it consists of and which other parts it needs."""
    owner = {one.urn: one.component for one in record.resources}
    facts = []
    for component in sorted({one.component for one in record.resources}):
        own = [one for one in record.resources if one.component == component]
        needs = {owner.get(urn, "") for one in own for urn in one.dependencies} - {component, ""}
        kinds = Counter(one.type.partition(":")[2] for one in own)
        facts.append(
            {"name": component or "resource group", "kinds": dict(sorted(kinds.items())), "needs": sorted(needs)}
        )
    return facts


def _rights(record: Record) -> list[dict[str, str]]:
    """Who may do what, on what."""
    ids = {one.id: f"{one.type.partition(':')[2]} {one.azure_name}" for one in record.resources}
    names = {
        one.principal_id: one.azure_name if one.type == "managedidentity:UserAssignedIdentity" else ids[one.id]
        for one in record.resources
        if one.principal_id
    }
    rows = []
    for one in record.of("authorization:RoleAssignment"):
        role = str(one.inputs["roleDefinitionId"]).rpartition("/")[2]
        principal, scope = str(one.inputs["principalId"]), str(one.inputs["scope"])
        who = names.get(principal, f"{one.inputs['principalType']} {principal}")
        rows.append({"who": who, "role": ROLES.get(role, role), "what": ids.get(scope, scope)})
    return sorted(rows, key=lambda row: (row["who"], row["what"], row["role"]))


_WAYS_IN = {
    "storage:StorageAccount": "account",
    "keyvault:Vault": "vault",
    "containerregistry:Registry": "registry",
    "machinelearningservices:Workspace": "workspace",
    "datafactory:Factory": "factory",
    "machinelearningservices:Compute": "cluster",
}


def _way_in(one: Declared, inside: Collection[str]) -> dict[str, str]:
    """Who can reach a resource over the network; a role is needed besides."""
    nodes = ", nodes by an endpoint" if one.id in inside else ""
    return {"what": f"{_WAYS_IN[one.type]} {one.azure_name}", "from": f"{_reached_from(one)}{nodes}"}


def _reached_inside(record: Record) -> set[str]:
    """Ids of what a managed network has endpoints to: those of its rules, and those that Azure ML makes itself."""
    found: set[str] = set()
    for one in record.of("machinelearningservices:ManagedNetworkSettingsRule"):
        destination = one.inputs["properties"]["destination"]
        found |= {destination["serviceResourceId"]} if isinstance(destination, Mapping) else set()
    for one in record.of("machinelearningservices:Workspace"):
        if one.inputs.get("managedNetwork"):
            found |= {one.id, *(one.inputs[key] for key in ("storageAccount", "keyVault", "containerRegistry"))}
    return found


def _reached_from(one: Declared) -> str:
    if one.type == "machinelearningservices:Compute":
        has_address = one.inputs["properties"]["properties"]["enableNodePublicIp"]
        return f"{'public addresses' if has_address else 'no public address'}; SSH is off"
    properties: Mapping[str, Any] = one.inputs["properties"] if one.type == "keyvault:Vault" else one.inputs
    rules = properties.get("networkRuleSet") or properties.get("networkAcls")
    trusted = "services of Azure that it trusts" if rules and rules.get("bypass") == "AzureServices" else ""
    services = [_service(str(rule["resourceId"])) for rule in (rules or {}).get("resourceAccessRules") or []]
    if properties.get("publicNetworkAccess") == "Disabled":
        return ", ".join(filter(None, ["private endpoint", *services, trusted]))
    if rules is None:
        return "anywhere, with a role"
    # Storage has another word for it than Key Vault.
    named = [rule.get("iPAddressOrRange") or rule["value"] for rule in rules.get("ipRules") or []]
    nodes = ["the nodes' subnet"] if rules.get("virtualNetworkRules") else []
    return ", ".join(filter(None, [*named, *nodes, *services, trusted])) or "nowhere"


def _service(resource_id: str) -> str:
    """A service that is let in as itself, in words."""
    return "the factory" if "/Microsoft.DataFactory/" in resource_id else "the workspace"


def _cluster(one: Declared) -> dict[str, Any]:
    sku, priority, least, most = cluster_facts(one)
    idle = one.inputs["properties"]["properties"]["scaleSettings"]["nodeIdleTimeBeforeScaleDown"]
    return {
        "name": one.name.removeprefix("cluster-"),
        "compute_name": one.azure_name,
        "sku": sku,
        "priority": priority,
        "min_nodes": least,
        "max_nodes": most,
        "idle": idle,
    }


def _resources(record: Record) -> list[dict[str, Any]]:
    """Every resource as the program says it."""
    names = {one.urn: one.name for one in record.resources}
    return [
        {
            "type": one.type,
            "name": one.name,
            "component": one.component,
            "id": one.id,
            "protect": one.protect,
            "needs": sorted(names[urn] for urn in one.dependencies if urn in names),
            "inputs": dict(one.inputs),
        }
        for one in record.resources
    ]
