"""Two storage accounts: one for data, and one that Azure ML keeps its own things in. Neither has keys that work."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import storage

from infra.site import Site

CONTAINERS = ("raw", "datasets", "runs")
"""Archives as they were downloaded; volumes; what runs write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageArgs:
    """What storage needs."""

    site: Site
    sku: str
    """Redundancy of the data account."""
    subnet_id: pulumi.Input[str]
    """The subnet of the nodes, which may read and write."""
    allowed_ips: tuple[str, ...]
    """Public addresses and ranges that may, too."""
    is_private: bool
    """Whether nothing but private endpoints leads there."""
    raw_cool_days: int
    raw_delete_days: int
    soft_delete_days: int
    protect_data: bool


class Storage(pulumi.ComponentResource):
    """`data` with its containers, and `work`, the workspace's account, which may not have a hierarchical namespace."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Storage", name, None, opts)
        protected = pulumi.ResourceOptions(parent=self, protect=args.protect_data)
        self.data = self._account("data", args, args.sku, protected)
        self.work = self._account("work", args, storage.SkuName.STANDARD_LRS, pulumi.ResourceOptions(parent=self))
        service = self._blob_service("data", self.data, args)
        self._blob_service("work", self.work, args)
        self.containers = {
            container: storage.BlobContainer(
                container,
                container_name=container,
                account_name=self.data.name,
                resource_group_name=args.site.resource_group_name,
                public_access=storage.PublicAccess.NONE,
                opts=pulumi.ResourceOptions.merge(protected, pulumi.ResourceOptions(depends_on=[service])),
            )
            for container in CONTAINERS
        }
        self._lifecycle(args)
        self.blob_endpoint = _endpoint(self.data)
        self.work_endpoint = _endpoint(self.work)
        self.register_outputs({"blob_endpoint": self.blob_endpoint})

    def _account(self, part: str, args: StorageArgs, sku: str, opts: pulumi.ResourceOptions) -> storage.StorageAccount:
        reached = storage.PublicNetworkAccess.DISABLED if args.is_private else storage.PublicNetworkAccess.ENABLED
        return storage.StorageAccount(
            part,
            account_name=args.site.plain_name(part),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=sku),
            access_tier=storage.AccessTier.HOT,
            allow_shared_key_access=False,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            is_hns_enabled=False,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            public_network_access=reached,
            network_rule_set=_rules(args),
            tags=args.site.tagged("storage"),
            opts=opts,
        )

    def _blob_service(
        self, part: str, account: storage.StorageAccount, args: StorageArgs
    ) -> storage.BlobServiceProperties:
        kept = storage.DeleteRetentionPolicyArgs(enabled=True, days=args.soft_delete_days)
        return storage.BlobServiceProperties(
            f"{part}-blobs",
            blob_services_name="default",
            account_name=account.name,
            resource_group_name=args.site.resource_group_name,
            delete_retention_policy=kept,
            container_delete_retention_policy=kept,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _lifecycle(self, args: StorageArgs) -> None:
        """Archives can be downloaded again: they get cheaper, and go."""
        cool = storage.DateAfterModificationArgs(days_after_modification_greater_than=args.raw_cool_days)
        gone = storage.DateAfterModificationArgs(days_after_modification_greater_than=args.raw_delete_days)
        storage.ManagementPolicy(
            "lifecycle",
            management_policy_name="default",
            account_name=self.data.name,
            resource_group_name=args.site.resource_group_name,
            policy=storage.ManagementPolicySchemaArgs(
                rules=[
                    storage.ManagementPolicyRuleArgs(
                        name="raw-archives-cool-and-go",
                        type=storage.RuleType.LIFECYCLE,
                        enabled=True,
                        definition=storage.ManagementPolicyDefinitionArgs(
                            filters=storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=["raw/"]),
                            actions=storage.ManagementPolicyActionArgs(
                                base_blob=storage.ManagementPolicyBaseBlobArgs(tier_to_cool=cool, delete=gone)
                            ),
                        ),
                    )
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _endpoint(account: storage.StorageAccount) -> pulumi.Output[str]:
    return account.primary_endpoints.apply(lambda endpoints: endpoints.blob.rstrip("/"))


def _rules(args: StorageArgs) -> storage.NetworkRuleSetArgs:
    """Nobody, but the nodes, the named addresses, and services of Azure that come with an identity that has a role."""
    ips: Sequence[storage.IPRuleArgs] = [
        storage.IPRuleArgs(i_p_address_or_range=one, action=storage.Action.ALLOW) for one in args.allowed_ips
    ]
    nodes = storage.VirtualNetworkRuleArgs(virtual_network_resource_id=args.subnet_id, action=storage.Action.ALLOW)
    return storage.NetworkRuleSetArgs(
        default_action=storage.DefaultAction.DENY,
        bypass=storage.Bypass.AZURE_SERVICES,
        ip_rules=ips,
        virtual_network_rules=[] if args.is_private else [nodes],
    )
