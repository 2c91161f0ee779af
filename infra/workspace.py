"""The Azure ML workspace: datastores that need no secret, and the environments that jobs run in."""

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import (
    applicationinsights,
    containerregistry,
    keyvault,
    machinelearningservices,
    managedidentity,
)
from pulumi_azure_native import storage as azure_storage

from infra.site import Site

IMAGES = {"gpu": "mrikit", "cpu": "mrikit-cpu"}
"""Container images by what they run on; environments have the same names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceArgs:
    """What the workspace needs."""

    site: Site
    work_account: azure_storage.StorageAccount
    data_account: azure_storage.StorageAccount
    containers: tuple[str, ...]
    """Containers of the data account, each a datastore of the same name."""
    vault: keyvault.Vault
    insights: applicationinsights.Component
    registry: containerregistry.Registry
    identity: managedidentity.UserAssignedIdentity
    rights: tuple[pulumi.Resource, ...]
    """What the identity has to have before the workspace is made."""
    image_tag: str
    is_private: bool


class Workspace(pulumi.ComponentResource):
    """`workspace`, whose own datastores are read with the user's identity, never with an account key."""

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
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity.id]
            ),
            primary_user_assigned_identity=args.identity.id,
            storage_account=args.work_account.id,
            key_vault=args.vault.id,
            application_insights=args.insights.id,
            container_registry=args.registry.id,
            system_datastores_auth_mode=ml.SystemDatastoresAuthMode.IDENTITY,
            public_network_access=access.DISABLED if args.is_private else access.ENABLED,
            v1_legacy_mode=False,
            tags=args.site.tagged("workspace"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.rights)),
        )
        self._datastores(args, args.containers)
        self.environments = {kind: self._environment(image, args) for kind, image in IMAGES.items()}
        self.register_outputs({"workspace_name": self.workspace.name})

    def _datastores(self, args: WorkspaceArgs, containers: Iterable[str]) -> None:
        ml = machinelearningservices
        for container in containers:
            ml.Datastore(
                f"{container}-store",
                name=container,
                workspace_name=self.workspace.name,
                resource_group_name=args.site.resource_group_name,
                skip_validation=True,
                properties=ml.AzureBlobDatastoreArgs(
                    datastore_type="AzureBlob",
                    account_name=args.data_account.name,
                    container_name=container,
                    endpoint="core.windows.net",
                    protocol="https",
                    credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
                    service_data_access_auth_identity=ml.ServiceDataAccessAuthIdentity.NONE,
                    tags=args.site.tagged("workspace"),
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )

    def _environment(self, image: str, args: WorkspaceArgs) -> str:
        """Register the container image that `mrikit image push` brings; returns what jobs call it."""
        ml = machinelearningservices
        ml.EnvironmentVersion(
            f"{image}-environment",
            name=image,
            version=args.image_tag,
            workspace_name=self.workspace.name,
            resource_group_name=args.site.resource_group_name,
            properties=ml.EnvironmentVersionPropertiesArgs(
                image=pulumi.Output.concat(args.registry.login_server, f"/{image}:{args.image_tag}"),
                os_type=ml.OperatingSystemType.LINUX,
                is_anonymous=False,
                tags=args.site.tagged("workspace"),
            ),
            # Another tag is another version, and jobs that name the one before may go on.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return f"{image}:{args.image_tag}"
