"""The network that nodes are in: the estate's own, which costs nothing, or a subnet of the user's."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network

from infra.place import Site

_ADDRESSES = "10.42.0.0/22"
_BATCH_PORTS = "29876-29877"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkArgs:
    """What the network needs."""

    site: Site
    subnet_id: str
    """A subnet that is there; empty for one of our own."""


class Network(pulumi.ComponentResource):
    """`subnet_id` of the nodes: storage lets it in, and nothing from outside reaches it but Azure Batch's agents.

    In a network of our own nodes have public addresses, which Azure ML needs to steer them where the workspace has no
    private endpoint; the only inbound rule is for Azure Batch's service tag, and SSH is off.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Network", name, None, opts)
        self.subnet_id: pulumi.Input[str] = args.subnet_id or self._make_subnet(args.site).id
        self.register_outputs({"subnet_id": self.subnet_id})

    def _make_subnet(self, site: Site) -> network.Subnet:
        child = pulumi.ResourceOptions(parent=self)
        group = network.NetworkSecurityGroup(
            "nodes-rules",
            network_security_group_name=site.name("nodes"),
            resource_group_name=site.resource_group_name,
            location=site.location,
            security_rules=[
                network.SecurityRuleArgs(
                    name="azure-batch-steers-nodes",
                    priority=100,
                    access=network.SecurityRuleAccess.ALLOW,
                    direction=network.SecurityRuleDirection.INBOUND,
                    protocol=network.SecurityRuleProtocol.TCP,
                    source_address_prefix=f"BatchNodeManagement.{site.location}",
                    source_port_range="*",
                    destination_address_prefix="*",
                    destination_port_range=_BATCH_PORTS,
                )
            ],
            tags=site.tagged("network"),
            opts=child,
        )
        whole = network.VirtualNetwork(
            "network",
            virtual_network_name=site.name(),
            resource_group_name=site.resource_group_name,
            location=site.location,
            address_space=network.AddressSpaceArgs(address_prefixes=[_ADDRESSES]),
            tags=site.tagged("network"),
            # The subnet is a resource of its own, which the network must not take for one to delete.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subnets"]),
        )
        return network.Subnet(
            "nodes",
            subnet_name="nodes",
            virtual_network_name=whole.name,
            resource_group_name=site.resource_group_name,
            address_prefix=_ADDRESSES,
            network_security_group=network.NetworkSecurityGroupArgs(id=group.id),
            service_endpoints=[network.ServiceEndpointPropertiesFormatArgs(service="Microsoft.Storage")],
            opts=child,
        )
