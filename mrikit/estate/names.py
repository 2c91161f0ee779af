"""Azure's rules for resource names."""

import re
from collections import Counter
from collections.abc import Iterator

from mrikit.estate.declared import Record

# From "Naming rules and restrictions for Azure resources" in Azure's documentation, as far as our types go.
_RULES = {
    "resources:ResourceGroup": r"[\w().-]{0,89}[\w()-]",
    "managedidentity:UserAssignedIdentity": r"[A-Za-z0-9][\w-]{2,127}",
    "storage:StorageAccount": r"[a-z0-9]{3,24}",
    "storage:BlobServiceProperties": r"default",
    "storage:BlobContainer": r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*",
    "storage:ManagementPolicy": r"default",
    "keyvault:Vault": r"(?=.{3,24}$)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*",
    "containerregistry:Registry": r"[A-Za-z0-9]{5,50}",
    "operationalinsights:Workspace": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "applicationinsights:Component": r"[^%&\\?/]{0,259}[^%&\\?/ .]",
    "monitor:DiagnosticSetting": r"[^*<>%:&\\?+/]{1,260}",
    "monitor:ActionGroup": r"[^:<>+/&%\\?|]{0,259}[^:<>+/&%\\?| .]",
    "logic:Workflow": r"[\w.()-]{1,43}",
    "machinelearningservices:Workspace": r"[A-Za-z0-9][\w-]{2,32}",
    "machinelearningservices:Datastore": r"[a-z0-9_]{1,255}",
    "machinelearningservices:Compute": r"[A-Za-z](?![A-Za-z0-9-]*-\d+$)[A-Za-z0-9-]{2,23}",
    "machinelearningservices:ManagedNetworkSettingsRule": r"[A-Za-z0-9][\w-]{2,32}",
    "authorization:ManagementLockByScope": r"[^<>%&?/]{0,89}[^<>%&?/. ]",
    "authorization:RoleAssignment": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "consumption:Budget": r"[\w-]{1,63}",
    "datafactory:Factory": r"(?=.{3,63}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*",
    "datafactory:LinkedService": r"[A-Za-z0-9_]\w{0,139}",
    "datafactory:Dataset": r"[A-Za-z0-9_]\w{0,259}",
    "datafactory:Pipeline": r"[A-Za-z0-9_][^<>*#.%&:\\+?/]{0,139}",
    "network:VirtualNetwork": r"[A-Za-z0-9]([\w.-]{0,62}\w)",
    "network:Subnet": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "network:NetworkSecurityGroup": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "network:PrivateEndpoint": r"[A-Za-z0-9]([\w.-]{0,62}\w)",
    "network:PrivateDnsZoneGroup": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "privatedns:PrivateZone": r"[a-z0-9-]+(\.[a-z0-9-]+)+",
    "privatedns:VirtualNetworkLink": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
}
GLOBAL = ("storage:StorageAccount", "keyvault:Vault", "containerregistry:Registry", "datafactory:Factory")
"""Types whose names nobody else in Azure may have."""


def names_are_valid(record: Record) -> Iterator[str]:
    """Azure takes every name."""
    for one in record.resources:
        # \w stands for letters, digits and underscores of the Latin alphabet alone.
        if not re.fullmatch(_RULES[one.type], one.azure_name, re.ASCII):
            yield f"{one.name}: {one.type} cannot be called {one.azure_name}"


def names_are_unique(record: Record) -> Iterator[str]:
    """No two resources have one id, whatever the case, or one name in the program."""
    ids = Counter(one.id.lower() for one in record.resources)
    yield from (f"{number} resources would be {one}" for one, number in ids.items() if number > 1)
    urns = Counter(one.urn for one in record.resources)
    yield from (f"{number} resources are {one}" for one, number in urns.items() if number > 1)
