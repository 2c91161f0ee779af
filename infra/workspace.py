"""The Azure ML workspace, with datastores that need no secret; `mrikit image push` adds container images."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import (
    applicationinsights,
    containerregistry,
    keyvault,
    machinelearningservices,
)
from pulumi_azure_native import storage as azure_storage

from infra.managed import IGNORED, managed_network
from infra.network import MANAGED, PRIVATE
from infra.place import Site

KIND = "Microsoft.MachineLearningServices/workspaces"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceArgs:
    """What the workspace needs."""

    site: Site
    work_account: azure_storage.StorageAccount
    accounts: Mapping[str, azure_storage.StorageAccount]
    """Account of each container, which is a datastore of the same name."""
    vault: keyvault.Vault
    insights: applicationinsights.Component
    registry: containerregistry.Registry
    network: str
    """The mode of the network."""
    image_build_cluster: str
    """Where images are built if the registry cannot; empty where it can."""
    protect: bool
    """Whether the engine refuses to delete it, with all records of jobs."""


class Workspace(pulumi.ComponentResource):
    """`workspace`, whose own datastores are read with the user's identity, never with an account key.

    Its identity is system-assigned: the firewall of its account knows no other, and Azure ML gives it its rights.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet,
        https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication.
    """

    def __init__(self, name: str, args: WorkspaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Workspace", name, None, opts)
        ml = machinelearningservices
        access = ml.PublicNetworkAccessType
        self.workspace = ml.Workspace(
            "workspace",
            workspace_name=args.site.global_name(),
            friendly_name=args.site.name(),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            sku=ml.SkuArgs(name="Basic", tier=ml.SkuTier.BASIC),
            identity=ml.ManagedServiceIdentityArgs(type=ml.ManagedServiceIdentityType.SYSTEM_ASSIGNED),
            storage_account=args.work_account.id,
            key_vault=args.vault.id,
            application_insights=args.insights.id,
            container_registry=args.registry.id,
            system_datastores_auth_mode=ml.SystemDatastoresAuthMode.IDENTITY,
            public_network_access=access.DISABLED if args.network == PRIVATE else access.ENABLED,
            managed_network=managed_network() if args.network == MANAGED else None,
            image_build_compute=args.image_build_cluster or None,
            v1_legacy_mode=False,
            tags=args.site.tagged("workspace"),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                ignore_changes=list(IGNORED) if args.network == MANAGED else None,
            ),
        )
        self.principal_id = self.workspace.identity.apply(lambda identity: identity.principal_id if identity else "")
        self._datastores(args)
        self.register_outputs({"workspace_name": self.workspace.name})

    def _datastores(self, args: WorkspaceArgs) -> None:
        ml = machinelearningservices
        for container, account in args.accounts.items():
            ml.Datastore(
                f"{container}-store",
                name=container,
                workspace_name=self.workspace.name,
                resource_group_name=args.site.resource_group_name,
                skip_validation=True,
                properties=ml.AzureBlobDatastoreArgs(
                    datastore_type="AzureBlob",
                    account_name=account.name,
                    container_name=container,
                    endpoint="core.windows.net",
                    protocol="https",
                    credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
                    service_data_access_auth_identity=ml.ServiceDataAccessAuthIdentity.NONE,
                    tags=args.site.tagged("workspace"),
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
