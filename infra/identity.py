"""The three identities that work in the estate; nobody holds a key."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

from infra.site import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentitiesArgs:
    """What identities need."""

    site: Site


class Identities(pulumi.ComponentResource):
    """User-assigned identities of compute (jobs), of the factory (copies) and of the Azure ML workspace."""

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Identities", name, None, opts)
        self.compute = self._make("compute", args.site)
        self.factory = self._make("factory", args.site)
        self.workspace = self._make("workspace", args.site)
        self.register_outputs({"compute_client_id": self.compute.client_id})

    def _make(self, of: str, site: Site) -> managedidentity.UserAssignedIdentity:
        return managedidentity.UserAssignedIdentity(
            f"{of}-identity",
            resource_name_=site.name(of),
            resource_group_name=site.resource_group_name,
            location=site.location,
            tags=site.tagged("identity"),
            opts=pulumi.ResourceOptions(parent=self),
        )
