"""Azure ML clusters by the configuration's table: no nodes while idle, no SSH, no passwords."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices, managedidentity

from infra.config import Cluster
from infra.place import Site

_FIXED = ("properties.properties.vmSize", "properties.properties.vmPriority", "properties.properties.subnet")
"""What Azure takes only when a cluster is made: a change makes a new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeArgs:
    """What clusters need."""

    site: Site
    clusters: tuple[Cluster, ...]
    workspace_name: pulumi.Input[str]
    subnet_id: pulumi.Input[str]
    is_private: bool
    """Whether nodes have no public address."""
    identity: managedidentity.UserAssignedIdentity
    """Whom jobs act as."""
    ways_in: tuple[pulumi.Resource, ...]
    """Private endpoints, by which alone nodes without public addresses reach the workspace."""


class Compute(pulumi.ComponentResource):
    """`clusters`, by name."""

    def __init__(self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Compute", name, None, opts)
        self.clusters = {cluster.name: self._cluster(cluster, args) for cluster in args.clusters}
        self.register_outputs({"clusters": list(self.clusters)})

    def _cluster(self, cluster: Cluster, args: ComputeArgs) -> machinelearningservices.Compute:
        ml = machinelearningservices
        return ml.Compute(
            f"cluster-{cluster.name}",
            compute_name=cluster.name,
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
                    enable_node_public_ip=not args.is_private,
                    remote_login_port_public_access=ml.RemoteLoginPortPublicAccess.DISABLED,
                    subnet=ml.ResourceIdArgs(id=args.subnet_id),
                    scale_settings=ml.ScaleSettingsArgs(
                        min_node_count=0,
                        max_node_count=cluster.max_nodes,
                        node_idle_time_before_scale_down=f"PT{cluster.idle_minutes}M",
                    ),
                ),
            ),
            tags=args.site.tagged("compute"),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.ways_in),
                replace_on_changes=list(_FIXED),
                delete_before_replace=True,
            ),
        )
