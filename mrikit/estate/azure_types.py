"""Pulumi's resource types and their Azure names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PREFIX = "azure-native:"
_ML = "Microsoft.MachineLearningServices/workspaces"
_FACTORY = "Microsoft.DataFactory/factories"
_ACCOUNT = "Microsoft.Storage/storageAccounts"
_NETWORK = "Microsoft.Network"


@dataclass(frozen=True, kw_only=True, slots=True)
class AzureType:
    """One type of resource."""

    arm: str
    """Its type in Azure's API, such as Microsoft.Storage/storageAccounts."""
    names: tuple[str, ...]
    """Inputs with the names along its path, its own last; `=default` is a name that is always the same."""
    is_tagged: bool = False
    """Whether Azure takes tags on it."""


AZURE_TYPES = {
    "resources:ResourceGroup": ("Microsoft.Resources/resourceGroups", ("resourceGroupName",), True),
    "managedidentity:UserAssignedIdentity": (
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        ("resourceName",),
        True,
    ),
    "storage:StorageAccount": (_ACCOUNT, ("accountName",), True),
    "storage:BlobServiceProperties": (f"{_ACCOUNT}/blobServices", ("accountName", "blobServicesName"), False),
    "storage:BlobContainer": (
        f"{_ACCOUNT}/blobServices/containers",
        ("accountName", "=default", "containerName"),
        False,
    ),
    "storage:ManagementPolicy": (f"{_ACCOUNT}/managementPolicies", ("accountName", "managementPolicyName"), False),
    "keyvault:Vault": ("Microsoft.KeyVault/vaults", ("vaultName",), True),
    "containerregistry:Registry": ("Microsoft.ContainerRegistry/registries", ("registryName",), True),
    "operationalinsights:Workspace": ("Microsoft.OperationalInsights/workspaces", ("workspaceName",), True),
    "applicationinsights:Component": ("Microsoft.Insights/components", ("resourceName",), True),
    "monitor:DiagnosticSetting": ("Microsoft.Insights/diagnosticSettings", ("name",), False),
    "monitor:ActionGroup": ("Microsoft.Insights/actionGroups", ("actionGroupName",), True),
    "logic:Workflow": ("Microsoft.Logic/workflows", ("workflowName",), True),
    "machinelearningservices:Workspace": (_ML, ("workspaceName",), True),
    "machinelearningservices:Datastore": (f"{_ML}/datastores", ("workspaceName", "name"), False),
    "machinelearningservices:Compute": (f"{_ML}/computes", ("workspaceName", "computeName"), True),
    "machinelearningservices:ManagedNetworkSettingsRule": (
        f"{_ML}/outboundRules",
        ("workspaceName", "ruleName"),
        False,
    ),
    "authorization:ManagementLockByScope": ("Microsoft.Authorization/locks", ("lockName",), False),
    "authorization:RoleAssignment": ("Microsoft.Authorization/roleAssignments", ("roleAssignmentName",), False),
    "consumption:Budget": ("Microsoft.Consumption/budgets", ("budgetName",), False),
    "datafactory:Factory": (_FACTORY, ("factoryName",), True),
    "datafactory:LinkedService": (f"{_FACTORY}/linkedservices", ("factoryName", "linkedServiceName"), False),
    "datafactory:Dataset": (f"{_FACTORY}/datasets", ("factoryName", "datasetName"), False),
    "datafactory:Pipeline": (f"{_FACTORY}/pipelines", ("factoryName", "pipelineName"), False),
    "network:VirtualNetwork": (f"{_NETWORK}/virtualNetworks", ("virtualNetworkName",), True),
    "network:Subnet": (f"{_NETWORK}/virtualNetworks/subnets", ("virtualNetworkName", "subnetName"), False),
    "network:NetworkSecurityGroup": (f"{_NETWORK}/networkSecurityGroups", ("networkSecurityGroupName",), True),
    "network:PrivateEndpoint": (f"{_NETWORK}/privateEndpoints", ("privateEndpointName",), True),
    "network:PrivateDnsZoneGroup": (
        f"{_NETWORK}/privateEndpoints/privateDnsZoneGroups",
        ("privateEndpointName", "privateDnsZoneGroupName"),
        False,
    ),
    "privatedns:PrivateZone": (f"{_NETWORK}/privateDnsZones", ("privateZoneName",), True),
    "privatedns:VirtualNetworkLink": (
        f"{_NETWORK}/privateDnsZones/virtualNetworkLinks",
        ("privateZoneName", "virtualNetworkLinkName"),
        True,
    ),
}
"""By Pulumi's type without `azure-native:`."""


def azure_type(pulumi_type: str) -> AzureType:
    """The type in Azure's API.

    Raises:
        LookupError: The program declares a type that is not in the table above.
    """
    plain = pulumi_type.removeprefix(_PREFIX)
    if plain not in AZURE_TYPES:
        raise LookupError(f"mrikit/estate/azure_types.py lacks {plain}")
    arm, names, is_tagged = AZURE_TYPES[plain]
    return AzureType(arm=arm, names=names, is_tagged=is_tagged)


def path_names(pulumi_type: str, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The names along the path of a resource, its own last."""
    keys = azure_type(pulumi_type).names
    return tuple(key[1:] if key.startswith("=") else str(inputs[key]) for key in keys)


def resource_id(pulumi_type: str, inputs: Mapping[str, Any], subscription_id: str) -> str:
    """The id that Azure would give a resource, below its scope where it has one."""
    provider, _, path = azure_type(pulumi_type).arm.partition("/")
    names = path_names(pulumi_type, inputs)
    parts = "/".join(f"{kind}/{name}" for kind, name in zip(path.split("/"), names, strict=True))
    scope = inputs.get("scope") or inputs.get("resourceUri")
    if scope:
        return f"{scope}/providers/{provider}/{parts}"
    if path == "resourceGroups":
        return f"/subscriptions/{subscription_id}/{parts}"
    return f"/subscriptions/{subscription_id}/resourceGroups/{inputs['resourceGroupName']}/providers/{provider}/{parts}"
