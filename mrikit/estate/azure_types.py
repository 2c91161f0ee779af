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


AZURE_TYPES = {
    "resources:ResourceGroup": ("Microsoft.Resources/resourceGroups", ("resourceGroupName",)),
    "managedidentity:UserAssignedIdentity": ("Microsoft.ManagedIdentity/userAssignedIdentities", ("resourceName",)),
    "storage:StorageAccount": (_ACCOUNT, ("accountName",)),
    "storage:BlobServiceProperties": (f"{_ACCOUNT}/blobServices", ("accountName", "blobServicesName")),
    "storage:BlobContainer": (f"{_ACCOUNT}/blobServices/containers", ("accountName", "=default", "containerName")),
    "storage:ManagementPolicy": (f"{_ACCOUNT}/managementPolicies", ("accountName", "managementPolicyName")),
    "keyvault:Vault": ("Microsoft.KeyVault/vaults", ("vaultName",)),
    "containerregistry:Registry": ("Microsoft.ContainerRegistry/registries", ("registryName",)),
    "operationalinsights:Workspace": ("Microsoft.OperationalInsights/workspaces", ("workspaceName",)),
    "applicationinsights:Component": ("Microsoft.Insights/components", ("resourceName",)),
    "monitor:DiagnosticSetting": ("Microsoft.Insights/diagnosticSettings", ("name",)),
    "monitor:ActionGroup": ("Microsoft.Insights/actionGroups", ("actionGroupName",)),
    "logic:Workflow": ("Microsoft.Logic/workflows", ("workflowName",)),
    "machinelearningservices:Workspace": (_ML, ("workspaceName",)),
    "machinelearningservices:Datastore": (f"{_ML}/datastores", ("workspaceName", "name")),
    "machinelearningservices:Compute": (f"{_ML}/computes", ("workspaceName", "computeName")),
    "machinelearningservices:ManagedNetworkSettingsRule": (f"{_ML}/outboundRules", ("workspaceName", "ruleName")),
    "authorization:ManagementLockByScope": ("Microsoft.Authorization/locks", ("lockName",)),
    "authorization:RoleAssignment": ("Microsoft.Authorization/roleAssignments", ("roleAssignmentName",)),
    "consumption:Budget": ("Microsoft.Consumption/budgets", ("budgetName",)),
    "datafactory:Factory": (_FACTORY, ("factoryName",)),
    "datafactory:LinkedService": (f"{_FACTORY}/linkedservices", ("factoryName", "linkedServiceName")),
    "datafactory:Dataset": (f"{_FACTORY}/datasets", ("factoryName", "datasetName")),
    "datafactory:Pipeline": (f"{_FACTORY}/pipelines", ("factoryName", "pipelineName")),
    "network:VirtualNetwork": (f"{_NETWORK}/virtualNetworks", ("virtualNetworkName",)),
    "network:Subnet": (f"{_NETWORK}/virtualNetworks/subnets", ("virtualNetworkName", "subnetName")),
    "network:NetworkSecurityGroup": (f"{_NETWORK}/networkSecurityGroups", ("networkSecurityGroupName",)),
    "network:PrivateEndpoint": (f"{_NETWORK}/privateEndpoints", ("privateEndpointName",)),
    "network:PrivateDnsZoneGroup": (
        f"{_NETWORK}/privateEndpoints/privateDnsZoneGroups",
        ("privateEndpointName", "privateDnsZoneGroupName"),
    ),
    "privatedns:PrivateZone": (f"{_NETWORK}/privateDnsZones", ("privateZoneName",)),
    "privatedns:VirtualNetworkLink": (
        f"{_NETWORK}/privateDnsZones/virtualNetworkLinks",
        ("privateZoneName", "virtualNetworkLinkName"),
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
    arm, names = AZURE_TYPES[plain]
    return AzureType(arm=arm, names=names)


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
