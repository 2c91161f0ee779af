"""The network that nodes are in: the estate's own, a subnet of the user's, or none where Azure ML manages one."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network

from infra.place import Site

PUBLIC, PRIVATE, MANAGED = "public", "private", "managed"
"""The modes: a network of our own and named addresses; the user's subnet and private endpoints; Azure ML's own."""
_ADDRESSES = "10.42.0.0/22"
_ENDPOINTS = ("Microsoft.Storage", "Microsoft.KeyVault")
"""Services whose firewalls let in the nodes' subnet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkArgs:
    """What the network needs."""

    site: Site
    mode: str
    """One of the three."""
    subnet_id: str
    """The user's subnet; empty unless the mode is private."""


class Network(pulumi.ComponentResource):
    """`subnet_id` of the nodes; None where Azure ML manages their network.

    In a network of our own nodes have public addresses, which Azure ML needs to steer them where the workspace has no
    private endpoint. It makes a security group for each cluster, which lets in what it needs and nothing else; one of
    ours on the subnet could only conflict with it, so there is none.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-training-vnet ("with public IP").
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Network", name, None, opts)
        self.subnet_id: pulumi.Input[str] | None = args.subnet_id or None
        if args.mode == PUBLIC:
            self.subnet_id = self._make_subnet(args.site).id
        self.register_outputs({"subnet_id": self.subnet_id})

    def _make_subnet(self, site: Site) -> network.Subnet:
        child = pulumi.ResourceOptions(parent=self)
        whole = network.VirtualNetwork(
            "network",
            virtual_network_name=site.name(),
            resource_group_name=site.resource_group_name,
            location=site.location,
            address_space=network.AddressSpaceArgs(address_prefixes=[_ADDRESSES]),
            tags=site.tagged("network"),
            opts=child,
        )
        return network.Subnet(
            "nodes",
            subnet_name="nodes",
            virtual_network_name=whole.name,
            resource_group_name=site.resource_group_name,
            address_prefix=_ADDRESSES,
            service_endpoints=[network.ServiceEndpointPropertiesFormatArgs(service=one) for one in _ENDPOINTS],
            opts=child,
        )
