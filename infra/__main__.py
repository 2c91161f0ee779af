"""The Pulumi program: wires the parts of the estate together and exports what commands need to know of it."""

import sys
from pathlib import Path

# The engine runs this file by its path, and a wheel holds the folder under another name: its parent has to be found.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
from pulumi_azure_native import authorization, resources

from infra.budget import Budget, BudgetArgs
from infra.compute import Compute, ComputeArgs
from infra.config import read_settings
from infra.datafactory import KIND as FACTORY
from infra.datafactory import Factory, FactoryArgs
from infra.given import given_settings
from infra.grants import COPIED_TO, compute_rights, factory_rights, team_rights, workspace_rights
from infra.identity import Identities, IdentitiesArgs
from infra.monitoring import Monitoring, MonitoringArgs
from infra.network import Network, NetworkArgs
from infra.pipelines import COPY, UNPACK
from infra.place import Site, make_suffix, make_tags
from infra.private import PrivateEndpoints, PrivateEndpointsArgs, Target
from infra.registry import Registry, RegistryArgs
from infra.rights import Rights, RightsArgs
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
network = Network("network", NetworkArgs(site=site, subnet_id=settings.subnet_id))
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
vault = Vault("vault", VaultArgs(site=site, tenant_id=client.tenant_id, is_private=settings.is_private)).vault
registry = Registry("registry", RegistryArgs(site=site, is_private=settings.is_private)).registry

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
        is_private=settings.is_private,
        protect=settings.protect_data,
    ),
)
ways_in: list[pulumi.Resource] = []
account_endpoints: dict[str, pulumi.Input[str]] = {}
if settings.is_private:
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
        ),
    )
    ways_in.append(endpoints)
    account_endpoints.update(
        {name: one.id for name, one in endpoints.endpoints.items() if name.endswith(("-blob", "-file"))}
    )
Compute(
    "compute",
    ComputeArgs(
        site=site,
        clusters=settings.clusters,
        workspace_name=workspace.workspace.name,
        subnet_id=network.subnet_id,
        is_private=settings.is_private,
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
Rights("service-rights", RightsArgs(site=site, subscription_id=client.subscription_id, rights=rights))
if settings.team_group_id:
    people = team_rights(
        settings.team_group_id,
        storage,
        workspace_id=workspace.workspace.id,
        factory_id=factory.factory.id,
        registry_id=registry.id,
        vault_id=vault.id,
    )
    Rights("team-rights", RightsArgs(site=site, subscription_id=client.subscription_id, rights=people))

# What watches over it.
Budget(
    "budget",
    BudgetArgs(
        name=site.name(),
        scope=group.id,
        amount=settings.monthly_budget,
        start=settings.budget_start,
        email=settings.admin_email,
    ),
)
for part, account in (("data", storage.data), ("runs", storage.runs)):
    blobs_id = pulumi.Output.concat(account.id, "/blobServices/default")
    monitoring.collect(
        f"{part}-logs", of=blobs_id, categories=("StorageWrite", "StorageDelete"), metrics=("Transaction",)
    )
monitoring.collect("vault-logs", of=vault.id, categories=("AuditEvent",))
monitoring.collect("registry-logs", of=registry.id, categories=("ContainerRegistryLoginEvents",))
monitoring.collect("factory-logs", of=factory.factory.id, categories=("PipelineRuns", "ActivityRuns"))
monitoring.collect(
    "workspace-logs", of=workspace.workspace.id, categories=("AmlComputeClusterEvent", "AmlComputeJobEvent")
)
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
    "gpu_environment": workspace.environments["gpu"],
    "cpu_environment": workspace.environments["cpu"],
    "compute_client_id": identities.compute.client_id,
    "network": settings.network,
    "clusters": [
        {"name": one.name, "sku": one.sku, "priority": one.priority, "max_nodes": one.max_nodes}
        for one in settings.clusters
    ],
}
for name, value in outputs.items():
    pulumi.export(name, value)
