"""Safety rules that every estate must satisfy.

A rule is a function from a record to the lines that say what breaks it. They are written against Azure's own property
names, so they hold for any program, and know nothing of how this one is written.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mrikit.estate.declared import Declared, Record
from mrikit.estate.names import names_are_unique, names_are_valid
from mrikit.estate.references import broken_references

Rule = Callable[[Record], Iterator[str]]

_SECRET = re.compile(
    r"sig=|signature=|accountkey=|sharedaccess|password|x-amz-|awsaccesskeyid|-----begin", re.IGNORECASE
)
_SECRET_KEY = re.compile(
    r"(account|principal|access)key|sastoken|sasuri|connectionstring|password|secretvalue|token$", re.IGNORECASE
)
_LARGEST_RANGE = 16
"""Addresses are opened in ranges of at most /16."""
_ALERTS = {("Actual", 50), ("Actual", 80), ("Actual", 100), ("Forecasted", 100)}
_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"
"""AzureML Data Scientist, who submits jobs."""
_ON_WORK = {
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "69566ab7-960f-475b-8e7c-b3118f30c6bd": "Storage File Data Privileged Contributor",
}
_TLS = ("TLS1_2", "TLS1_3")
_OURS = ("project", "stack", "managed-by")
_APPROVER = "b556d68e-0be0-4f35-a333-ad7ee1ce17ea"
"""The built-in role Azure AI Enterprise Network Connection Approver."""
_KEPT = (
    "resources:ResourceGroup",
    "storage:StorageAccount",
    "storage:BlobContainer",
    "keyvault:Vault",
    "containerregistry:Registry",
    "machinelearningservices:Workspace",
)
"""Types of which `pulumi up` cannot bring back what was in them."""
_MARKED = "monitor:ActionGroup"
"""The one type with a secret: the address by which it calls a workflow is a key to that."""


def accounts_have_no_keys(record: Record) -> Iterator[str]:
    """No storage account can be used with a key or by anonymous readers."""
    for one in record.of("storage:StorageAccount"):
        yield from _expect(one, "allowSharedKeyAccess", False)
        yield from _expect(one, "allowBlobPublicAccess", False)
        yield from _expect(one, "allowCrossTenantReplication", False)
    for one in record.of("storage:BlobContainer"):
        yield from _expect(one, "publicAccess", "None")


def traffic_is_encrypted(record: Record) -> Iterator[str]:
    """Only https, and only current versions of TLS."""
    for one in record.of("storage:StorageAccount"):
        yield from _expect(one, "enableHttpsTrafficOnly", True)
        if one.inputs.get("minimumTlsVersion") not in _TLS:
            yield f"{one.name}: minimumTlsVersion is {one.inputs.get('minimumTlsVersion')}, not {' or '.join(_TLS)}"


def networks_are_closed(record: Record) -> Iterator[str]:
    """Accounts and vaults let in nobody who is not named."""
    for one in record.of("storage:StorageAccount"):
        yield from _closed(one, "networkRuleSet", one.inputs.get("networkRuleSet") or {})
    for one in record.of("keyvault:Vault"):
        yield from _closed(one, "properties.networkAcls", one.inputs["properties"].get("networkAcls") or {})


def deleted_data_can_be_had_back(record: Record) -> Iterator[str]:
    """Blobs, containers and secrets that are deleted are kept for a while, and archives go by a rule."""
    services = {one.inputs["accountName"]: one for one in record.of("storage:BlobServiceProperties")}
    of_azure_ml = {one.inputs.get("storageAccount") for one in record.of("machinelearningservices:Workspace")}
    for account in record.of("storage:StorageAccount"):
        if account.id in of_azure_ml:
            continue
        service = services.get(account.azure_name)
        for key in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            policy = (service.inputs.get(key) if service else None) or {}
            if policy.get("enabled") is not True or not policy.get("days"):
                yield f"{account.name}: {key} keeps nothing"
    for one in record.of("keyvault:Vault"):
        for key in ("enableSoftDelete", "enablePurgeProtection"):
            if one.inputs["properties"].get(key) is not True:
                yield f"{one.name}: properties.{key} is not on"
    if not record.of("storage:ManagementPolicy"):
        yield "no lifecycle rule makes archives cheaper and deletes them"


def rewritten_data_is_not_kept_for_long(record: Record) -> Iterator[str]:
    """The account of runs, whose checkpoints are replaced all the time, keeps what was replaced for a day at most.

    https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview: data that is often overwritten belongs
    in an account without soft delete, because all that is kept is billed as if it were there.
    """
    accounts = {one.inputs["accountName"] for one in record.of("storage:BlobContainer") if one.azure_name == "runs"}
    for one in record.of("storage:BlobServiceProperties"):
        days = _at(one.inputs, "deleteRetentionPolicy.days") or 0
        if one.inputs["accountName"] in accounts and days > 1:
            yield f"{one.name}: deleteRetentionPolicy.days is {days}, not 1"


def azure_ml_keeps_its_studio(record: Record) -> Iterator[str]:
    """Nothing takes away the CORS rules that Azure ML puts into the blob service of its own account.

    The provider's own words of `cors`: "If no CorsRule elements are included in the request body, all CORS rules will
    be deleted" (https://www.pulumi.com/registry/packages/azure-native/api-docs/storage/blobserviceproperties/).
    """
    names = {one.id: one.azure_name for one in record.of("storage:StorageAccount")}
    accounts = {names.get(str(one.inputs.get("storageAccount"))) for one in record.of("machinelearningservices:Workspace")}
    for one in record.of("storage:BlobServiceProperties"):
        if one.inputs["accountName"] in accounts and not one.inputs.get("cors"):
            yield f"{one.name}: its account is Azure ML's, whose CORS rules it would delete"


def services_come_as_themselves(record: Record) -> Iterator[str]:
    """The factory and the workspace have system-assigned identities, and are let in by rules where they go.

    https://learn.microsoft.com/azure/data-factory/data-factory-service-identity: "Trusted bypass cannot utilize
    user-assigned managed identities"; https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet:
    the workspace is a resource instance of its accounts.
    """
    for one in record.of("datafactory:Factory", "machinelearningservices:Workspace"):
        if "SystemAssigned" not in str(_at(one.inputs, "identity.type")):
            yield f"{one.name}: identity.type is {_at(one.inputs, 'identity.type')}, which no firewall lets through"
    for account in record.of("storage:StorageAccount"):
        rules = _at(account.inputs, "networkRuleSet.resourceAccessRules") or []
        let_in = {str(rule.get("resourceId")).lower() for rule in rules}
        for one in _visitors(record, account):
            if one.id.lower() not in let_in:
                yield f"{account.name}: networkRuleSet.resourceAccessRules lack {one.name}, which goes there"


def _visitors(record: Record, account: Declared) -> Iterator[Declared]:
    """Services that go to an account: by a linked service, as its own account, by a datastore."""
    address = f"https://{account.azure_name}."
    endpoints = [str(_at(one.inputs, "properties.serviceEndpoint")) for one in record.of("datafactory:LinkedService")]
    if any(one.startswith(address) for one in endpoints):
        yield from record.of("datafactory:Factory")
    stores = {_at(one.inputs, "properties.accountName") for one in record.of("machinelearningservices:Datastore")}
    for one in record.of("machinelearningservices:Workspace"):
        if account.azure_name in stores or one.inputs.get("storageAccount") == account.id:
            yield one


def people_see_logs(record: Record) -> Iterator[str]:
    """A group that may submit jobs may also read and write blobs and files of the workspace's account.

    https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage: everybody who works with the
    workspace needs both roles there, since nobody has a key.
    """
    given = {
        (one.inputs.get("principalId"), one.inputs.get("scope"), str(one.inputs.get("roleDefinitionId"))[-36:])
        for one in record.of("authorization:RoleAssignment")
    }
    for workspace in record.of("machinelearningservices:Workspace"):
        for who in sorted({str(who) for who, scope, role in given if (scope, role) == (workspace.id, _SCIENTIST)}):
            for role, kind in _ON_WORK.items():
                if (who, workspace.inputs.get("storageAccount"), role) not in given:
                    yield f"{workspace.name}: {who} submits jobs, and is no {kind} on its account"


def nobody_has_a_password(record: Record) -> Iterator[str]:
    """Registry, vault, clusters and logs know identities with roles, and nothing else."""
    for one in record.of("containerregistry:Registry"):
        yield from _expect(one, "adminUserEnabled", False)
        yield from _expect(one, "anonymousPullEnabled", False)
    for one in record.of("keyvault:Vault"):
        yield from _expect(one, "properties.enableRbacAuthorization", True)
    for one in record.of("machinelearningservices:Compute"):
        yield from _expect(one, "properties.disableLocalAuth", True)
        yield from _expect(one, "properties.properties.remoteLoginPortPublicAccess", "Disabled")
        if _at(one.inputs, "properties.properties.userAccountCredentials"):
            yield f"{one.name}: userAccountCredentials are a way in by password"
    for one in record.of("applicationinsights:Component"):
        yield from _expect(one, "disableLocalAuth", True)
    for one in record.of("machinelearningservices:Workspace"):
        yield from _expect(one, "systemDatastoresAuthMode", "Identity")
    for one in record.of("machinelearningservices:Datastore"):
        yield from _expect(one, "properties.credentials.credentialsType", "None")


def idle_clusters_cost_nothing(record: Record) -> Iterator[str]:
    """Every cluster goes back to no nodes by itself."""
    for one in record.of("machinelearningservices:Compute"):
        scale = _at(one.inputs, "properties.properties.scaleSettings") or {}
        if scale.get("minNodeCount") != 0:
            yield f"{one.name}: minNodeCount is {scale.get('minNodeCount')}, not 0"
        if not re.fullmatch(r"PT\d+M", str(scale.get("nodeIdleTimeBeforeScaleDown"))):
            yield f"{one.name}: nodeIdleTimeBeforeScaleDown is not set"
        if not scale.get("maxNodeCount", 0) >= 1:
            yield f"{one.name}: maxNodeCount is {scale.get('maxNodeCount')}"


def private_means_private(record: Record) -> Iterator[str]:
    """Where there are private endpoints nothing has a public address."""
    if not record.of("network:PrivateEndpoint"):
        return
    types = ("storage:StorageAccount", "containerregistry:Registry", "machinelearningservices:Workspace")
    for one in record.of(*types):
        yield from _expect(one, "publicNetworkAccess", "Disabled")
    for one in record.of("keyvault:Vault"):
        yield from _expect(one, "properties.publicNetworkAccess", "Disabled")
    for one in record.of("machinelearningservices:Compute"):
        yield from _expect(one, "properties.properties.enableNodePublicIp", False)


def rights_are_narrow(record: Record) -> Iterator[str]:
    """Each role is on one resource, for a principal whose kind is told, under a name that stays."""
    for one in record.of("authorization:RoleAssignment"):
        providers = str(one.inputs.get("scope")).split("/providers/")
        if len(providers) != 2 or providers[1].count("/") < 2:
            yield f"{one.name}: its scope is {one.inputs.get('scope')}, more than one resource"
        if one.inputs.get("principalType") not in ("ServicePrincipal", "Group"):
            yield f"{one.name}: principalType is {one.inputs.get('principalType')}"
        if not _is_guid(one.azure_name) or not _is_guid(str(one.inputs.get("principalId"))):
            yield f"{one.name}: its name and its principal are GUIDs, found {one.azure_name}"


def everything_is_tagged(record: Record) -> Iterator[str]:
    """Whatever takes tags says which project and stack it is of."""
    for one in record.resources:
        if one.is_tagged:
            lacking = [tag for tag in _OURS if not (one.inputs.get("tags") or {}).get(tag)]
            if lacking:
                yield f"{one.name}: no tag {', '.join(lacking)}"


def nothing_is_secret(record: Record) -> Iterator[str]:
    """No input and no output is a secret, or looks like one; the address of a workflow is, and is marked as such."""
    for one in record.resources:
        if one.has_secrets and one.type != _MARKED:
            yield f"{one.name}: something of it is marked as secret"
        for path, text in _texts(one.inputs):
            if _SECRET.search(text) or _SECRET_KEY.search(path):
                yield f"{one.name}: {path} looks like a secret"
    for path, text in _texts(record.outputs):
        if _SECRET.search(text) or _SECRET_KEY.search(path):
            yield f"output {path} looks like a secret"


def the_factory_is_whole(record: Record) -> Iterator[str]:
    """Pipelines name what there is, hide what they are given, try again, end, and are bounded."""
    yield from broken_references(record)
    for one in record.of("datafactory:Pipeline"):
        if not 1 <= (one.inputs.get("concurrency") or 0) <= 50:
            yield f"{one.name}: concurrency is {one.inputs.get('concurrency')}, not 1 to 50"
        if (one.inputs["parameters"].get("relativeUrl") or {}).get("type") != "SecureString":
            yield f"{one.name}: parameters.relativeUrl is no SecureString, and runs would show signatures"
        for activity in copies_of(one.inputs["activities"]):
            yield from _careful(f"{one.name}: {activity['name']}", activity)
    for one in record.of("datafactory:LinkedService"):
        properties = one.inputs["properties"]
        # An endpoint and nothing else means the factory's own identity.
        if properties["type"] == "AzureBlobStorage" and not properties.get("serviceEndpoint"):
            yield f"{one.name}: properties.serviceEndpoint is not set, and only with it the factory comes as itself"
        if properties.get("credential"):
            yield f"{one.name}: properties.credential is a user-assigned identity, which no firewall lets through"
        if properties["type"] == "HttpServer" and properties.get("enableServerCertificateValidation") is not True:
            yield f"{one.name}: enableServerCertificateValidation is not on"


def a_budget_warns(record: Record) -> Iterator[str]:
    """A monthly budget warns at 50, 80 and 100 %, and when it is forecast to be spent."""
    budgets = record.of("consumption:Budget")
    if len(budgets) != 1:
        yield f"there are {len(budgets)} budgets, not one"
    for one in budgets:
        alerts = list((one.inputs.get("notifications") or {}).values())
        armed = {(alert.get("thresholdType"), alert.get("threshold")) for alert in alerts if alert.get("enabled")}
        if _ALERTS - armed:
            lacking = ", ".join(f"{share} % {kind.lower()}" for kind, share in sorted(_ALERTS - armed))
            yield f"{one.name}: no alert at {lacking}"
        if not (one.inputs.get("amount") or 0) > 0:
            yield f"{one.name}: amount is {one.inputs.get('amount')}"
        if not all(alert.get("contactEmails") for alert in alerts):
            yield f"{one.name}: an alert tells nobody"
        start = str((one.inputs.get("timePeriod") or {}).get("startDate"))
        if not re.fullmatch(r"\d{4}-\d{2}-01T00:00:00Z", start):
            yield f"{one.name}: timePeriod.startDate is {start}, not the first of a month"


def nodes_have_no_security_group_of_ours(record: Record) -> Iterator[str]:
    """Azure ML makes one for each cluster, with what it needs; another on the subnet could only conflict with it.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-training-vnet ("with public IP").
    """
    yield from (f"{one.name}: a security group of ours" for one in record.of("network:NetworkSecurityGroup"))
    for one in record.of("network:Subnet"):
        if one.inputs.get("networkSecurityGroup"):
            yield f"{one.name}: networkSecurityGroup is one of ours"


def nodes_and_people_reach_the_vault(record: Record) -> Iterator[str]:
    """The nodes' subnet by a service endpoint, people from where they reach the data, Azure ML as a trusted service.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet ("Secure Azure Key Vault").
    """
    subnets = {one.id: one for one in record.of("network:Subnet")}
    for one in subnets.values():
        services = {endpoint.get("service") for endpoint in one.inputs.get("serviceEndpoints") or []}
        lacking = {"Microsoft.Storage", "Microsoft.KeyVault"} - services
        if lacking:
            yield f"{one.name}: serviceEndpoints lack {', '.join(sorted(lacking))}"
    people = {
        rule["iPAddressOrRange"]
        for one in record.of("storage:StorageAccount")
        for rule in _at(one.inputs, "networkRuleSet.ipRules") or []
    }
    for one in record.of("keyvault:Vault"):
        rules = _at(one.inputs, "properties.networkAcls") or {}
        let_in = {rule["id"] for rule in rules.get("virtualNetworkRules") or []}
        if set(subnets) - let_in:
            yield f"{one.name}: properties.networkAcls.virtualNetworkRules lack the nodes' subnet"
        if people - {rule["value"] for rule in rules.get("ipRules") or []}:
            yield f"{one.name}: properties.networkAcls.ipRules lack addresses that may reach the data"
        if rules.get("bypass") != "AzureServices":
            yield f"{one.name}: properties.networkAcls.bypass is {rules.get('bypass')}, and keeps Azure ML out"


def endpoints_come_one_after_the_other(record: Record) -> Iterator[str]:
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
        chain = record.of(kind)
        urns = {one.urn for one in chain}
        first = [one.name for one in chain if not urns & set(one.dependencies)]
        if len(first) > 1:
            yield f"{', '.join(first)}: made at the same time"


def a_managed_network_lets_out_to_what_is_approved(record: Record) -> Iterator[str]:
    """Nodes are in it and nowhere else, and reach every account of ours by an endpoint.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network,
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network-compute.
    """
    rules = record.of("machinelearningservices:ManagedNetworkSettingsRule")
    workspaces = [one for one in record.of("machinelearningservices:Workspace") if one.inputs.get("managedNetwork")]
    if rules and not workspaces:
        yield f"{rules[0].name}: the workspace has no managed network"
    if not workspaces:
        return
    for one in workspaces:
        yield from _expect(one, "managedNetwork.isolationMode", "AllowOnlyApprovedOutbound")
    for one in record.of("machinelearningservices:Compute"):
        yield from _expect(one, "properties.properties.enableNodePublicIp", False)
        yield from _expect(one, "properties.properties.subnet", None)
    # Azure ML makes the endpoint of the workspace's own account itself.
    reached = {_at(one.inputs, "properties.destination.serviceResourceId") for one in rules}
    reached |= {one.inputs.get("storageAccount") for one in workspaces}
    for one in record.of("storage:StorageAccount"):
        if one.id not in reached:
            yield f"{one.name}: no rule leads to it"
    approved = {
        one.inputs["scope"]
        for one in record.of("authorization:RoleAssignment")
        if str(one.inputs.get("roleDefinitionId")).endswith(_APPROVER)
    }
    for one in rules:
        scope = _at(one.inputs, "properties.destination.serviceResourceId")
        if scope and scope not in approved:
            yield f"{one.name}: nobody may approve its endpoint"


def endpoints_have_a_registry_that_knows_them(record: Record) -> Iterator[str]:
    """Only the tier Premium has private endpoints.

    Source:
        https://learn.microsoft.com/azure/container-registry/container-registry-skus.
    """
    if record.of("network:PrivateEndpoint", "machinelearningservices:ManagedNetworkSettingsRule"):
        for one in record.of("containerregistry:Registry"):
            yield from _expect(one, "sku.name", "Premium")


def what_cannot_be_made_again_is_protected(record: Record) -> Iterator[str]:
    """Data, images, secrets, records of jobs, and the group that they are in: all of it, or nothing.

    Source:
        https://www.pulumi.com/docs/iac/concepts/options/protect: a destroy without a preview deletes all that is not
        protected before it stops at what is.
    """
    kept = record.of(*_KEPT)
    if any(one.protect for one in kept):
        yield from (f"{one.name}: is not protected, and others are" for one in kept if not one.protect)


def a_lock_goes_before_what_it_holds(record: Record) -> Iterator[str]:
    """A lock is on one account, and whatever hangs on the account can be deleted once the lock is.

    Source:
        https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources,
        https://github.com/hashicorp/terraform-provider-azurerm/issues/11770.
    """
    accounts = {one.id for one in record.of("storage:StorageAccount")}
    for lock in record.of("authorization:ManagementLockByScope"):
        yield from _expect(lock, "level", "CanNotDelete")
        scope = str(lock.inputs.get("scope"))
        if scope not in accounts:
            yield f"{lock.name}: its scope is {scope}, no storage account"
        for one in record.resources:
            is_held = one.id.startswith(f"{scope}/") and one.urn != lock.urn
            leads_there = one.type == "network:PrivateEndpoint" and scope in str(one.inputs)
            if (is_held or leads_there) and one.urn not in lock.dependencies:
                yield f"{lock.name}: does not wait for {one.name}, which it would keep from being deleted"


def a_spent_budget_stops_every_cluster(record: Record) -> Iterator[str]:
    """Where there is an action group, the budget starts it, and its workflow leaves no cluster a node.

    Source:
        https://learn.microsoft.com/azure/cost-management-billing/manage/cost-management-budget-scenario,
        https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups (Global, 12 characters).
    """
    for group in record.of("monitor:ActionGroup"):
        yield from _expect(group, "location", "Global")
        if len(group.inputs.get("groupShortName") or "") not in range(1, 13):
            yield f"{group.name}: groupShortName has not 1 to 12 characters"
        started = [
            alert
            for budget in record.of("consumption:Budget")
            for alert in (budget.inputs.get("notifications") or {}).values()
            if group.id in (alert.get("contactGroups") or [])
        ]
        if [(alert.get("thresholdType"), alert.get("threshold")) for alert in started] != [("Actual", 100)]:
            yield f"{group.name}: the budget does not start it at 100 % of what is spent"
    for workflow in record.of("logic:Workflow"):
        yield from _expect(workflow, "identity.type", "SystemAssigned")
        actions = [one["inputs"] for one in workflow.inputs["definition"]["actions"].values()]
        stopped = {
            str(one.get("uri")).partition("?")[0].removeprefix("https://management.azure.com")
            for one in actions
            if one.get("method") == "PATCH"
            and _at(one, "body.properties.properties.scaleSettings.maxNodeCount") == 0
            and _at(one, "authentication.type") == "ManagedServiceIdentity"
        }
        for cluster in record.of("machinelearningservices:Compute"):
            if cluster.id not in stopped:
                yield f"{workflow.name}: leaves nodes to {cluster.name}"


RULES: tuple[Rule, ...] = (
    accounts_have_no_keys,
    traffic_is_encrypted,
    networks_are_closed,
    deleted_data_can_be_had_back,
    rewritten_data_is_not_kept_for_long,
    azure_ml_keeps_its_studio,
    services_come_as_themselves,
    people_see_logs,
    nobody_has_a_password,
    idle_clusters_cost_nothing,
    private_means_private,
    rights_are_narrow,
    everything_is_tagged,
    nothing_is_secret,
    the_factory_is_whole,
    a_budget_warns,
    nodes_have_no_security_group_of_ours,
    nodes_and_people_reach_the_vault,
    endpoints_come_one_after_the_other,
    a_managed_network_lets_out_to_what_is_approved,
    endpoints_have_a_registry_that_knows_them,
    what_cannot_be_made_again_is_protected,
    a_lock_goes_before_what_it_holds,
    a_spent_budget_stops_every_cluster,
    names_are_valid,
    names_are_unique,
)
"""All of them."""


def broken_rules(record: Record) -> dict[str, list[str]]:
    """What breaks each rule, by the rule's name in words; nothing for those that hold."""
    found = {rule.__name__.replace("_", " "): list(rule(record)) for rule in RULES}
    return {rule: lines for rule, lines in found.items() if lines}


def copies_of(activities: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The copy activities of a pipeline, those inside of others too."""
    for activity in activities:
        if activity["type"] == "Copy":
            yield activity
        for case in activity.get("cases") or []:
            yield from copies_of(case.get("activities") or [])
        for key in ("activities", "defaultActivities", "ifTrueActivities", "ifFalseActivities"):
            yield from copies_of(activity.get(key) or [])


def _careful(where: str, activity: Mapping[str, Any]) -> Iterator[str]:
    """A copy hides what it is given but not its progress, tries again, and ends."""
    policy = activity.get("policy") or {}
    if policy.get("secureInput") is not True:
        yield f"{where}: policy.secureInput is not on"
    # https://learn.microsoft.com/azure/data-factory/concepts-pipelines-activities: what is secure is not logged.
    if policy.get("secureOutput"):
        yield f"{where}: policy.secureOutput hides how far it is"
    if not (1 <= (policy.get("retry") or 0) <= 10 and 30 <= (policy.get("retryIntervalInSeconds") or 0) <= 86_400):
        yield f"{where}: policy.retry does not try again"
    if not policy.get("timeout"):
        yield f"{where}: policy.timeout is not set, and Azure's is 12 h to 7 d"
    if not 1 <= (activity.get("dataIntegrationUnits") or 0) <= 4:
        yield f"{where}: dataIntegrationUnits are not 1 to 4, the most that a file can use"


def _closed(one: Declared, where: str, rules: Mapping[str, Any]) -> Iterator[str]:
    if rules.get("defaultAction") != "Deny":
        yield f"{one.name}: {where}.defaultAction is {rules.get('defaultAction')}, not Deny"
    if rules.get("bypass") not in ("AzureServices", "None"):
        yield f"{one.name}: {where}.bypass is {rules.get('bypass')}"
    for rule in rules.get("ipRules") or []:
        # Storage has another word for it than Key Vault.
        address = str(rule.get("iPAddressOrRange") or rule.get("value"))
        if int(address.partition("/")[2] or 32) < _LARGEST_RANGE:
            yield f"{one.name}: {where}.ipRules opens it to {address}"


def _expect(one: Declared, path: str, wanted: object) -> Iterator[str]:
    found = _at(one.inputs, path)
    if found != wanted:
        yield f"{one.name}: {path} is {found}, not {wanted}"


def _at(inputs: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - what JSON holds
    value: Any = inputs
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - what JSON holds
    """Every text of a value with its path."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(one, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _texts(one, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
