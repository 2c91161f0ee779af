"""The Pulumi program: wires the parts of the estate together and exports what commands need to know of it."""

import sys
from pathlib import Path

# The engine runs this file by its path, and a wheel holds the folder under another name: its parent has to be found.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
from pulumi_azure_native import authorization, resources

from infra.budget import Budget, BudgetArgs
from infra.compute import Compute, ComputeArgs, cluster_names, image_build_cluster
from infra.config import read_settings
from infra.datafactory import KIND as FACTORY
from infra.datafactory import Factory, FactoryArgs
from infra.given import given_settings
from infra.grants import COPIED_TO, compute_rights, factory_rights, team_rights, workspace_rights
from infra.identity import Identities, IdentitiesArgs
from infra.locks import Lock, LockArgs
from infra.managed import Outbound, OutboundArgs, Reached, approver_rights
from infra.monitoring import Monitoring, MonitoringArgs
from infra.network import MANAGED, PRIVATE, PUBLIC, Network, NetworkArgs
from infra.pipelines import COPY, UNPACK
from infra.place import Site, make_suffix, make_tags
from infra.private import PrivateEndpoints, PrivateEndpointsArgs, Target
from infra.registry import Registry, RegistryArgs, registry_tier
from infra.rights import Rights, RightsArgs
from infra.stop import Stop, StopArgs
from infra.storage import CONTAINERS, Storage, StorageArgs
from infra.values import SettingsError
from infra.vault import Vault, VaultArgs
from infra.workspace import KIND as WORKSPACE
from infra.workspace import Workspace, WorkspaceArgs

try:
    settings = read_settings(given_settings(), pulumi.get_stack())
except SettingsError as error:
    # The engine prints this as one line, without a traceback.
    raise pulumi.RunError(str(error)) from None

client = authorization.get_client_config()
tags = make_tags(settings)
group = resources.ResourceGroup(
    "group",
    resource_group_name=f"mrikit-{settings.stack}",
    location=settings.location,
    tags=tags,
    # Deleting it deletes everything in it, what people have put there too.
    opts=pulumi.ResourceOptions(protect=settings.protect_data),
)
site = Site(
    stack=settings.stack,
    suffix=make_suffix(client.subscription_id, settings.stack, settings.generation),
    data_suffix=make_suffix(client.subscription_id, settings.stack, 1),
    subscription_id=client.subscription_id,
    location=settings.location,
    resource_group_name=group.name,
    tags=tags,
)

# What everything else stands on.
identities = Identities("identities", IdentitiesArgs(site=site))
network = Network("network", NetworkArgs(site=site, mode=settings.network, subnet_id=settings.subnet_id))
storage = Storage(
    "storage",
    StorageArgs(
        site=site,
        tenant_id=client.tenant_id,
        sku=settings.storage_sku,
        subnet_id=network.subnet_id,
        allowed_ips=settings.allowed_ips,
        is_private=settings.is_private,
        factory_id=site.resource_id(FACTORY, site.global_name()),
        workspace_id=site.resource_id(WORKSPACE, site.global_name()),
        raw_cool_days=settings.raw_cool_days,
        raw_delete_days=settings.raw_delete_days,
        soft_delete_days=settings.soft_delete_days,
        protect_data=settings.protect_data,
    ),
)
monitoring = Monitoring("monitoring", MonitoringArgs(site=site))
vault = Vault(
    "vault",
    VaultArgs(
        site=site,
        tenant_id=client.tenant_id,
        network=settings.network,
        subnet_id=network.subnet_id,
        allowed_ips=settings.allowed_ips,
        protect=settings.protect_data,
    ),
).vault
registry = Registry(
    "registry",
    RegistryArgs(
        site=site,
        tier=registry_tier(settings.registry_tier, settings.network, settings.clusters),
        network=settings.network,
        protect=settings.protect_data,
    ),
).registry
compute_names = cluster_names(settings.clusters, network=settings.network, subnet_id=settings.subnet_id)

# Where jobs and copies run.
workspace = Workspace(
    "workspace",
    WorkspaceArgs(
        site=site,
        work_account=storage.work,
        accounts=storage.accounts,
        vault=vault,
        insights=monitoring.insights,
        registry=registry,
        network=settings.network,
        image_build_cluster="" if settings.network == PUBLIC else image_build_cluster(settings.clusters, compute_names),
        protect=settings.protect_data,
    ),
)
# Logs of a resource are set up before it gets an endpoint, because it takes one change at a time.
for part, account in (("data", storage.data), ("runs", storage.runs)):
    blobs_id = pulumi.Output.concat(account.id, "/blobServices/default")
    monitoring.collect(
        f"{part}-logs", of=blobs_id, categories=("StorageWrite", "StorageDelete"), metrics=("Transaction",)
    )
monitoring.collect("vault-logs", of=vault.id, categories=("AuditEvent",))
monitoring.collect("registry-logs", of=registry.id, categories=("ContainerRegistryLoginEvents",))
ways_in: list[pulumi.Resource] = []
granted: list[pulumi.Resource] = []
account_endpoints: dict[str, pulumi.Input[str]] = {}
if settings.network == PRIVATE:
    endpoints = PrivateEndpoints(
        "private-endpoints",
        PrivateEndpointsArgs(
            site=site,
            subnet_id=settings.subnet_id,
            targets=(
                Target(name="data-blob", resource_id=storage.data.id, part="blob"),
                Target(name="runs-blob", resource_id=storage.runs.id, part="blob"),
                Target(name="work-blob", resource_id=storage.work.id, part="blob"),
                Target(name="work-file", resource_id=storage.work.id, part="file"),
                Target(name="vault", resource_id=vault.id, part="vault"),
                Target(name="registry", resource_id=registry.id, part="registry"),
                Target(name="workspace", resource_id=workspace.workspace.id, part="amlworkspace"),
            ),
            after=(storage, monitoring),
        ),
    )
    ways_in.append(endpoints)
    account_endpoints.update(
        {name: one.id for name, one in endpoints.endpoints.items() if name.endswith(("-blob", "-file"))}
    )
if settings.network == MANAGED:
    accounts = {"data": storage.data, "runs": storage.runs}
    approvers = approver_rights(workspace.principal_id, {name: account.id for name, account in accounts.items()})
    approval = Rights(
        "approver-rights", RightsArgs(site=site, subscription_id=client.subscription_id, rights=approvers)
    )
    granted.append(approval)
    ways_in.append(
        Outbound(
            "outbound",
            OutboundArgs(
                resource_group_name=group.name,
                workspace_name=workspace.workspace.name,
                reached=tuple(
                    Reached(name=name, resource_id=account.id, part="blob") for name, account in accounts.items()
                ),
                hosts=settings.download_hosts,
                after=approval.assignments,
            ),
        )
    )
Compute(
    "compute",
    ComputeArgs(
        site=site,
        clusters=settings.clusters,
        names=compute_names,
        workspace_name=workspace.workspace.name,
        network=settings.network,
        subnet_id=network.subnet_id,
        identity=identities.compute,
        ways_in=tuple(ways_in),
    ),
)
factory = Factory(
    "datafactory",
    FactoryArgs(
        site=site,
        blob_endpoint=storage.blob_endpoint,
        account_kind=storage.kind,
        copies_at_once=settings.copies_at_once,
    ),
)

# Who may do what. Nothing above waits for it; what works only with rights is looked at by `mrikit doctor --run`.
rights = (
    *compute_rights(identities.compute.principal_id, storage, registry_id=registry.id, vault_id=vault.id),
    *factory_rights(factory.principal_id, storage),
    *workspace_rights(workspace.principal_id, account_endpoints),
)
granted.append(Rights("service-rights", RightsArgs(site=site, subscription_id=client.subscription_id, rights=rights)))
if settings.team_group_id:
    people = team_rights(
        settings.team_group_id,
        storage,
        workspace_id=workspace.workspace.id,
        factory_id=factory.factory.id,
        registry_id=registry.id,
        vault_id=vault.id,
    )
    granted.append(Rights("team-rights", RightsArgs(site=site, subscription_id=client.subscription_id, rights=people)))

# What watches over it.
monitoring.collect("factory-logs", of=factory.factory.id, categories=("PipelineRuns", "ActivityRuns"))
monitoring.collect(
    "workspace-logs", of=workspace.workspace.id, categories=("AmlComputeClusterEvent", "AmlComputeJobEvent")
)
action_group: pulumi.Output[str] | None = None
if settings.stop_at_budget:
    stop = StopArgs(
        site=site,
        subscription_id=client.subscription_id,
        workspace_id=workspace.workspace.id,
        compute_names=compute_names,
    )
    action_group = Stop("stop", stop).action_group.id
Budget(
    "budget",
    BudgetArgs(
        name=site.name(),
        scope=group.id,
        amount=settings.monthly_budget,
        start=settings.budget_start,
        email=settings.admin_email,
        action_group=action_group,
    ),
)
if settings.protect_data and settings.lock_data:
    # Last, because it waits for all that hangs on the account.
    Lock("lock", LockArgs(account_id=storage.data.id, after=(storage, monitoring, *granted, *ways_in)))
# By the names of the file that `mrikit infra link` writes; nothing of it is secret.
outputs = {
    "subscription_id": client.subscription_id,
    "tenant_id": client.tenant_id,
    "resource_group": group.name,
    "location": settings.location,
    "blob_endpoint": storage.blob_endpoint,
    "runs_endpoint": storage.runs_endpoint,
    "work_endpoint": storage.work_endpoint,
    "vault_uri": vault.name.apply(lambda vault_name: f"https://{vault_name}.vault.azure.net"),
    "containers": list(COPIED_TO),
    "factory_name": factory.factory.name,
    "copy_pipeline": COPY,
    "unpack_pipeline": UNPACK,
    "workspace_name": workspace.workspace.name,
    "datastores": list(CONTAINERS),
    "registry_server": registry.login_server,
    "compute_client_id": identities.compute.client_id,
    "network": settings.network,
    "clusters": [
        {
            "name": one.name,
            "compute_name": compute_name,
            "sku": one.sku,
            "priority": one.priority,
            "max_nodes": one.max_nodes,
        }
        for one, compute_name in zip(settings.clusters, compute_names, strict=True)
    ],
}
for name, value in outputs.items():
    pulumi.export(name, value)
