"""Identities and their rights: nobody has a password, and everybody has what they need, on one resource."""

import uuid
from collections.abc import Iterator

from .azure_types import azure_name
from .resources import UNKNOWN, Estate, Resource, at, expect

_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"
"""AzureML Data Scientist, who submits jobs."""
_ON_WORK = {
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": "Storage File Data Privileged Contributor",
}


def nobody_has_a_password(estate: Estate) -> Iterator[str]:
    """Registry, vault, clusters and logs know identities with roles, and nothing else."""
    for one in estate.of("containerregistry:Registry"):
        yield from expect(one, "adminUserEnabled", False)
        yield from expect(one, "anonymousPullEnabled", False)
    for one in estate.of("keyvault:Vault"):
        yield from expect(one, "properties.enableRbacAuthorization", True)
    for one in estate.of("machinelearningservices:Compute"):
        yield from expect(one, "properties.disableLocalAuth", True)
        yield from expect(one, "properties.properties.remoteLoginPortPublicAccess", "Disabled")
        if at(one.inputs, "properties.properties.userAccountCredentials"):
            yield f"{one.name}: userAccountCredentials are a way in by password"
    for one in estate.of("applicationinsights:Component"):
        yield from expect(one, "disableLocalAuth", True)
    for one in estate.of("machinelearningservices:Workspace"):
        yield from expect(one, "systemDatastoresAuthMode", "Identity")
    for one in estate.of("machinelearningservices:Datastore"):
        yield from expect(one, "properties.credentials.credentialsType", "None")


def services_come_as_themselves(estate: Estate) -> Iterator[str]:
    """The factory and the workspace have system-assigned identities, and are let in by rules where they go.

    https://learn.microsoft.com/azure/data-factory/data-factory-service-identity: "Trusted bypass cannot utilize
    user-assigned managed identities"; https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet:
    the workspace is a resource instance of its accounts.
    """
    for one in estate.of("datafactory:Factory", "machinelearningservices:Workspace"):
        if "SystemAssigned" not in str(at(one.inputs, "identity.type")):
            yield f"{one.name}: identity.type is {at(one.inputs, 'identity.type')}, which no firewall lets through"
    for account in estate.of("storage:StorageAccount"):
        rules = at(account.inputs, "networkRuleSet.resourceAccessRules") or []
        let_in = {str(rule.get("resourceId")).lower() for rule in rules}
        for one in _visitors(estate, account):
            if one.id.lower() not in let_in:
                yield f"{account.name}: networkRuleSet.resourceAccessRules lack {one.name}, which goes there"


def people_see_logs(estate: Estate) -> Iterator[str]:
    """A group that may submit jobs may also read and write blobs and files of the workspace's account.

    https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage: everybody who works with the
    workspace needs both roles there, since nobody has a key.
    """
    given = {
        (one.inputs.get("principalId"), one.inputs.get("scope"), str(one.inputs.get("roleDefinitionId"))[-36:])
        for one in estate.of("authorization:RoleAssignment")
    }
    for workspace in estate.of("machinelearningservices:Workspace"):
        for who in sorted({str(who) for who, scope, role in given if (scope, role) == (workspace.id, _SCIENTIST)}):
            for role, kind in _ON_WORK.items():
                if (who, workspace.inputs.get("storageAccount"), role) not in given:
                    yield f"{workspace.name}: {who} submits jobs, and is no {kind} on its account"


def rights_are_narrow(estate: Estate) -> Iterator[str]:
    """Each role is on one resource, for a principal whose kind is told, under a name that stays."""
    for one in estate.of("authorization:RoleAssignment"):
        scope = str(one.inputs.get("scope"))
        providers = scope.split("/providers/")
        if scope != UNKNOWN and (len(providers) != 2 or providers[1].count("/") < 2):
            yield f"{one.name}: its scope is {scope}, more than one resource"
        if one.inputs.get("principalType") not in ("ServicePrincipal", "Group"):
            yield f"{one.name}: principalType is {one.inputs.get('principalType')}"
        if not _is_guid(azure_name(one)) or not _is_guid(str(one.inputs.get("principalId"))):
            yield f"{one.name}: its name and its principal are GUIDs, found {azure_name(one)}"


def _visitors(estate: Estate, account: Resource) -> Iterator[Resource]:
    """Services that go to an account: by a linked service, as its own account, by a datastore."""
    address = f"https://{azure_name(account)}."
    endpoints = [str(at(one.inputs, "properties.serviceEndpoint")) for one in estate.of("datafactory:LinkedService")]
    if any(one.startswith(address) for one in endpoints):
        yield from estate.of("datafactory:Factory")
    stores = {at(one.inputs, "properties.accountName") for one in estate.of("machinelearningservices:Datastore")}
    for one in estate.of("machinelearningservices:Workspace"):
        if azure_name(account) in stores or one.inputs.get("storageAccount") == account.id:
            yield one


def _is_guid(text: str) -> bool:
    if text == UNKNOWN:
        return True
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
