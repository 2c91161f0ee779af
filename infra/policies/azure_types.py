"""Azure's types of resources: which input names one, whether it takes tags, which names it takes.

The patterns are of https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules, as far as
our types go, for the letters of ASCII alone.
"""

from .resources import Resource

_TYPES = {
    "resources:ResourceGroup": ("resourceGroupName", True, r"[\w().-]{0,89}[\w()-]"),
    "managedidentity:UserAssignedIdentity": ("resourceName", True, r"[A-Za-z0-9][\w-]{2,127}"),
    "storage:StorageAccount": ("accountName", True, r"[a-z0-9]{3,24}"),
    "storage:BlobServiceProperties": ("blobServicesName", False, r"default"),
    "storage:BlobContainer": ("containerName", False, r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*"),
    "storage:ManagementPolicy": ("managementPolicyName", False, r"default"),
    "keyvault:Vault": ("vaultName", True, r"(?=.{3,24}$)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*"),
    "containerregistry:Registry": ("registryName", True, r"[A-Za-z0-9]{5,50}"),
    "operationalinsights:Workspace": ("workspaceName", True, r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]"),
    "applicationinsights:Component": ("resourceName", True, r"[^%&\\?/]{0,259}[^%&\\?/ .]"),
    "monitor:DiagnosticSetting": ("name", False, r"[^*<>%:&\\?+/]{1,260}"),
    "monitor:ActionGroup": ("actionGroupName", True, r"[^:<>+/&%\\?|]{0,259}[^:<>+/&%\\?| .]"),
    "logic:Workflow": ("workflowName", True, r"[\w.()-]{1,43}"),
    "machinelearningservices:Workspace": ("workspaceName", True, r"[A-Za-z0-9][\w-]{2,32}"),
    "machinelearningservices:Datastore": ("name", False, r"[a-z0-9_]{1,255}"),
    "machinelearningservices:Compute": ("computeName", True, r"[A-Za-z](?![A-Za-z0-9-]*-\d+$)[A-Za-z0-9-]{2,23}"),
    "machinelearningservices:ManagedNetworkSettingsRule": ("ruleName", False, r"[A-Za-z0-9][\w-]{2,32}"),
    "authorization:ManagementLockByScope": ("lockName", False, r"[^<>%&?/]{0,89}[^<>%&?/. ]"),
    "authorization:RoleAssignment": ("roleAssignmentName", False, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "consumption:Budget": ("budgetName", False, r"[\w-]{1,63}"),
    "datafactory:Factory": ("factoryName", True, r"(?=.{3,63}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*"),
    "datafactory:LinkedService": ("linkedServiceName", False, r"[A-Za-z0-9_]\w{0,139}"),
    "datafactory:Dataset": ("datasetName", False, r"[A-Za-z0-9_]\w{0,259}"),
    "datafactory:Pipeline": ("pipelineName", False, r"[A-Za-z0-9_][^<>*#.%&:\\+?/]{0,139}"),
    "network:VirtualNetwork": ("virtualNetworkName", True, r"[A-Za-z0-9]([\w.-]{0,62}\w)"),
    "network:Subnet": ("subnetName", False, r"[A-Za-z0-9]([\w.-]{0,78}\w)?"),
    "network:NetworkSecurityGroup": ("networkSecurityGroupName", True, r"[A-Za-z0-9]([\w.-]{0,78}\w)?"),
    "network:PrivateEndpoint": ("privateEndpointName", True, r"[A-Za-z0-9]([\w.-]{0,62}\w)"),
    "network:PrivateDnsZoneGroup": ("privateDnsZoneGroupName", False, r"[A-Za-z0-9]([\w.-]{0,78}\w)?"),
    "privatedns:PrivateZone": ("privateZoneName", True, r"[a-z0-9-]+(\.[a-z0-9-]+)+"),
    "privatedns:VirtualNetworkLink": ("virtualNetworkLinkName", True, r"[A-Za-z0-9]([\w.-]{0,78}\w)?"),
}
"""By Pulumi's type without `azure-native:`."""


def is_known(one: Resource) -> bool:
    """Whether its type is in the table."""
    return one.type in _TYPES


def azure_name(one: Resource) -> str:
    """Its name in Azure."""
    return str(one.inputs[_TYPES[one.type][0]])


def takes_tags(one: Resource) -> bool:
    """Whether Azure takes tags on it."""
    return _TYPES[one.type][1]


def name_pattern(one: Resource) -> str:
    """What its name has to look like."""
    return _TYPES[one.type][2]
