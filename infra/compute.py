"""Azure ML clusters by the configuration's table: no nodes while idle, no SSH, no passwords."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices, managedidentity

from infra.config import Cluster
from infra.network import PUBLIC
from infra.place import Site

_MARK = 5
"""Letters that tell a cluster from the one that it takes the place of."""
_GPU_FAMILY = "Standard_N"
"""How sizes of machines with GPUs begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeArgs:
    """What clusters need."""

    site: Site
    clusters: tuple[Cluster, ...]
    workspace_name: pulumi.Input[str]
    network: str
    """The mode of the network; nodes have public addresses in the estate's own only."""
    subnet_id: pulumi.Input[str] | None
    """Of the nodes; None where Azure ML manages their network, in which a cluster has no subnet of its own."""
    names: tuple[str, ...]
    """What the clusters are called in Azure ML, in their order."""
    identity: managedidentity.UserAssignedIdentity
    """Whom jobs act as."""
    ways_in: tuple[pulumi.Resource, ...]
    """What has to be there before a node is: endpoints, or rules of the managed network."""


class Compute(pulumi.ComponentResource):
    """`clusters`, by the names that people use.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network-compute (no subnet, no public
        address in a managed network).
    """

    def __init__(self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Compute", name, None, opts)
        pairs = zip(args.clusters, args.names, strict=True)
        self.clusters = {cluster.name: self._cluster(cluster, real, args) for cluster, real in pairs}
        self.register_outputs({"clusters": list(self.clusters)})

    def _cluster(self, cluster: Cluster, real_name: str, args: ComputeArgs) -> machinelearningservices.Compute:
        ml = machinelearningservices
        return ml.Compute(
            f"cluster-{cluster.name}",
            compute_name=real_name,
            workspace_name=args.workspace_name,
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[args.identity.id]
            ),
            properties=ml.AmlComputeArgs(
                compute_type="AmlCompute",
                disable_local_auth=True,
                properties=ml.AmlComputePropertiesArgs(
                    vm_size=cluster.sku,
                    vm_priority=cluster.priority,
                    os_type=ml.OsType.LINUX,
                    enable_node_public_ip=args.network == PUBLIC,
                    remote_login_port_public_access=ml.RemoteLoginPortPublicAccess.DISABLED,
                    subnet=None if args.subnet_id is None else ml.ResourceIdArgs(id=args.subnet_id),
                    scale_settings=ml.ScaleSettingsArgs(
                        min_node_count=0,
                        max_node_count=cluster.max_nodes,
                        node_idle_time_before_scale_down=f"PT{cluster.idle_minutes}M",
                    ),
                ),
            ),
            tags=args.site.tagged("compute"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.ways_in)),
        )


def cluster_names(clusters: Sequence[Cluster], *, network: str, subnet_id: str) -> tuple[str, ...]:
    """What clusters are called in Azure ML: their names and a mark of what is fixed when one is made.

    Another size, priority or subnet is another cluster, and it gets another name: one that was made again under its
    old name came back with the old size, because the provider's request to delete lacks a parameter.

    Source:
        https://github.com/Azure/azure-rest-api-specs/issues/18889,
        https://github.com/hashicorp/terraform-provider-azurerm/issues/15825.

    Args:
        clusters: Of the settings.
        network: The mode of the network.
        subnet_id: The user's subnet; empty for none.
    """
    return tuple(f"{one.name}-{_mark(one.sku, one.priority, network, subnet_id)}" for one in clusters)


def image_build_cluster(clusters: Sequence[Cluster], names: Sequence[str]) -> str:
    """Where Azure ML may build images if the registry cannot: the first cluster without GPUs, else the first.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network ("Configure image builds").
    """
    pairs = zip(clusters, names, strict=True)
    return next((name for one, name in pairs if not one.sku.startswith(_GPU_FAMILY)), names[0])


def _mark(*words: str) -> str:
    """Letters only, because a name may not end in a hyphen and a number."""
    digest = hashlib.sha256("/".join(words).lower().encode()).digest()
    return "".join(chr(ord("a") + byte % 26) for byte in digest[:_MARK])
