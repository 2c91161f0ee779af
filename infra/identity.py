"""The identity that jobs act as; the factory and the workspace have identities of their own, nobody holds a key."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

from infra.place import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentitiesArgs:
    """What identities need."""

    site: Site


class Identities(pulumi.ComponentResource):
    """`compute`, the user-assigned identity of all clusters.

    There is none for the factory and the workspace: services are let through a firewall as themselves only, by a
    system-assigned identity.

    Source:
        https://learn.microsoft.com/azure/data-factory/data-factory-service-identity ("Trusted bypass cannot utilize
        user-assigned managed identities"),
        https://learn.microsoft.com/azure/storage/common/storage-network-security-trusted-azure-services ("Trusted
        access based on system-assigned managed identity").
    """

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Identities", name, None, opts)
        self.compute = managedidentity.UserAssignedIdentity(
            "compute-identity",
            resource_name_=args.site.name("compute"),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            tags=args.site.tagged("identity"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"compute_client_id": self.compute.client_id})
