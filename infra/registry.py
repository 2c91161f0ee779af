"""The registry of the container images that jobs run in."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerregistry

from infra.place import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryArgs:
    """What the registry needs."""

    site: Site
    is_private: bool
    """Private endpoints need the dearest tier."""


class Registry(pulumi.ComponentResource):
    """`registry`, for identities with a role; without an administrator's password, and not for anonymous readers."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Registry", name, None, opts)
        skus, access = containerregistry.SkuName, containerregistry.PublicNetworkAccess
        self.registry = containerregistry.Registry(
            "registry",
            registry_name=args.site.plain_name("images"),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            sku=containerregistry.SkuArgs(name=skus.PREMIUM if args.is_private else skus.BASIC),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            public_network_access=access.DISABLED if args.is_private else access.ENABLED,
            network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
            tags=args.site.tagged("registry"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"login_server": self.registry.login_server})
