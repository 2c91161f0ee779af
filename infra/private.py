"""Private endpoints: with a network of the user's own, the only ways to storage, vault, registry and workspace."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network, privatedns

from infra.place import Site

_ZONES = {
    "blob": ("privatelink.blob.core.windows.net",),
    "file": ("privatelink.file.core.windows.net",),
    "vault": ("privatelink.vaultcore.azure.net",),
    "registry": ("privatelink.azurecr.io",),
    "amlworkspace": ("privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"),
}
"""Part of a resource: the DNS zones in which its private address has to be found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What an endpoint leads to."""

    name: str
    resource_id: pulumi.Input[str]
    part: str
    """Which part of the resource, a key of the zones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateEndpointsArgs:
    """What private endpoints need."""

    site: Site
    subnet_id: str
    """The user's subnet; the DNS zones are linked to its network."""
    targets: tuple[Target, ...]
    after: tuple[pulumi.Resource, ...] = ()
    """What changes a target, and has to be done with it before."""


class PrivateEndpoints(pulumi.ComponentResource):
    """An endpoint for each target, in the user's subnet, found by name from its network.

    They are made one after the other, and so are the links of the network: accounts, vaults and networks refuse a
    second operation while one goes on, and the provider does not try again.

    Source:
        https://github.com/Azure/bicep-registry-modules/issues/6001 (storage),
        https://github.com/hashicorp/terraform-provider-azurerm/issues/28112 (vault),
        https://github.com/hashicorp/terraform-provider-azurerm/issues/29354 (links).
    """

    def __init__(self, name: str, args: PrivateEndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:PrivateEndpoints", name, None, opts)
        self._before: list[pulumi.Resource] = list(args.after)
        network_id = args.subnet_id.rpartition("/subnets/")[0]
        wanted = dict.fromkeys(zone for target in args.targets for zone in _ZONES[target.part])
        zones = {zone: self._zone(zone, network_id, args.site) for zone in wanted}
        self.endpoints = {
            target.name: self._endpoint(target, [zones[zone] for zone in _ZONES[target.part]], args)
            for target in args.targets
        }
        self.register_outputs({})

    def _zone(self, zone: str, network_id: str, site: Site) -> privatedns.PrivateZone:
        made = privatedns.PrivateZone(
            f"zone-{zone}",
            private_zone_name=zone,
            resource_group_name=site.resource_group_name,
            location="global",
            tags=site.tagged("network"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        link = privatedns.VirtualNetworkLink(
            f"link-{zone}",
            virtual_network_link_name=site.name(),
            private_zone_name=made.name,
            resource_group_name=site.resource_group_name,
            location="global",
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=network_id),
            tags=site.tagged("network"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._before),
        )
        self._before = [link]
        return made

    def _endpoint(
        self, target: Target, zones: list[privatedns.PrivateZone], args: PrivateEndpointsArgs
    ) -> network.PrivateEndpoint:
        endpoint = network.PrivateEndpoint(
            f"endpoint-{target.name}",
            private_endpoint_name=args.site.name(target.name),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            subnet=network.SubnetArgs(id=args.subnet_id),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(
                    name=target.name, private_link_service_id=target.resource_id, group_ids=[target.part]
                )
            ],
            tags=args.site.tagged("network"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._before),
        )
        names = network.PrivateDnsZoneGroup(
            f"names-{target.name}",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            resource_group_name=args.site.resource_group_name,
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(name=f"zone-{index}", private_dns_zone_id=zone.id)
                for index, zone in enumerate(zones)
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._before = [endpoint, names]
        return endpoint
