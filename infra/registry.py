"""The registry of the container images that jobs run in."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerregistry

from infra.config import Cluster
from infra.network import PRIVATE, PUBLIC
from infra.place import Site

_GPU_FAMILY = "Standard_N"
"""How sizes of machines with GPUs begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryArgs:
    """What the registry needs."""

    site: Site
    tier: str
    """Basic, Standard or Premium."""
    network: str
    """The mode of the network."""
    protect: bool
    """Whether the engine refuses to delete it, with all images."""


class Registry(pulumi.ComponentResource):
    """`registry`, for identities with a role; without an administrator's password, and not for anonymous readers."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Registry", name, None, opts)
        access = containerregistry.PublicNetworkAccess
        self.registry = containerregistry.Registry(
            "registry",
            registry_name=args.site.plain_name("images"),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            sku=containerregistry.SkuArgs(name=args.tier),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            public_network_access=access.DISABLED if args.network == PRIVATE else access.ENABLED,
            network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
            tags=args.site.tagged("registry"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.register_outputs({"login_server": self.registry.login_server})


def registry_tier(wanted: str, network: str, clusters: Sequence[Cluster]) -> str:
    """The tier that the user names, else the least that serves.

    Only Premium has private endpoints. Every node pulls an image of several GB while it is billed, and Basic is the
    slowest to give it.

    Source:
        https://learn.microsoft.com/azure/container-registry/container-registry-skus.

    Args:
        wanted: What the user names; empty for nothing.
        network: The mode of the network.
        clusters: Whose nodes pull from it.
    """
    if wanted:
        return wanted
    if network != PUBLIC:
        return "Premium"
    num_gpu_nodes = sum(one.max_nodes for one in clusters if one.sku.startswith(_GPU_FAMILY))
    return "Standard" if num_gpu_nodes > 1 else "Basic"
