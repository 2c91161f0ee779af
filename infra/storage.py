"""Three storage accounts: for data, for runs, and for what Azure ML keeps for itself. None has keys that work."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import storage

from infra.place import Site

RUNS = "runs"
CONTAINERS = ("raw", "datasets", RUNS)
"""Archives as they were downloaded; volumes; what runs write, in an account of its own."""
_RUNS_DAYS = 1
"""Runs replace checkpoints every few minutes, and each one that was replaced is kept, and paid, this long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageArgs:
    """What storage needs."""

    site: Site
    tenant_id: str
    sku: str
    """Redundancy and kind of the data account."""
    subnet_id: pulumi.Input[str] | None
    """The subnet of the nodes, which may read and write; None where they come by private endpoints."""
    allowed_ips: tuple[str, ...]
    """Public addresses and ranges that may, too."""
    is_private: bool
    """Whether nothing but private endpoints leads there."""
    factory_id: str
    workspace_id: str
    """Services that are let in as themselves, made later than storage."""
    raw_cool_days: int
    raw_delete_days: int
    soft_delete_days: int
    protect_data: bool


class Storage(pulumi.ComponentResource):
    """`data`, `runs` and `work`, the workspace's account; `containers` by name.

    Azure ML puts rules for the studio (CORS) into the blob service of its account, and a definition of that service
    without them would take them away, so `work` has none of ours.

    Source:
        https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview (data that is often overwritten
        belongs in an account without soft delete),
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet ("Secure Azure storage
        accounts": the workspace as a resource instance; `work` also lets in trusted services).
    """

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Storage", name, None, opts)
        self._args = args
        self._protected = pulumi.ResourceOptions(parent=self, protect=args.protect_data)
        self.kind = storage.Kind.BLOCK_BLOB_STORAGE if _is_premium(args.sku) else storage.Kind.STORAGE_V2
        standard = args.sku.replace("Premium", "Standard")
        both = (args.factory_id, args.workspace_id)
        self.data = self._account("data", args.sku, self.kind, both)
        self.runs = self._account(RUNS, standard, storage.Kind.STORAGE_V2, (args.workspace_id,))
        self.work = self._account("work", storage.SkuName.STANDARD_LRS, storage.Kind.STORAGE_V2, (args.workspace_id,))
        self.accounts: Mapping[str, storage.StorageAccount] = {
            container: self.runs if container == RUNS else self.data for container in CONTAINERS
        }
        services = {
            "data": self._blob_service("data", self.data, args.soft_delete_days),
            RUNS: self._blob_service(RUNS, self.runs, _RUNS_DAYS),
        }
        self.containers = {
            container: storage.BlobContainer(
                container,
                container_name=container,
                account_name=account.name,
                resource_group_name=args.site.resource_group_name,
                public_access=storage.PublicAccess.NONE,
                opts=pulumi.ResourceOptions.merge(
                    self._protected,
                    pulumi.ResourceOptions(depends_on=[services.get(container, services["data"])]),
                ),
            )
            for container, account in self.accounts.items()
        }
        self._lifecycle()
        self.blob_endpoint, self.runs_endpoint, self.work_endpoint = map(_endpoint, (self.data, self.runs, self.work))
        self.register_outputs({"blob_endpoint": self.blob_endpoint, "runs_endpoint": self.runs_endpoint})

    def _account(self, part: str, sku: str, kind: storage.Kind, services: tuple[str, ...]) -> storage.StorageAccount:
        args = self._args
        access = storage.PublicNetworkAccess
        return storage.StorageAccount(
            part,
            account_name=args.site.data_name(part),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            kind=kind,
            sku=storage.SkuArgs(name=sku),
            # Premium accounts have no tiers.
            access_tier=None if _is_premium(sku) else storage.AccessTier.HOT,
            allow_shared_key_access=False,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            is_hns_enabled=False,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            public_network_access=access.DISABLED if args.is_private else access.ENABLED,
            network_rule_set=self._rules(services, trusts_azure=part == "work"),
            tags=args.site.tagged("storage"),
            opts=self._protected,
        )

    def _rules(self, services: tuple[str, ...], *, trusts_azure: bool) -> storage.NetworkRuleSetArgs:
        """Nobody, but the nodes, the named addresses, and services that come as themselves with a role."""
        args, allow = self._args, storage.Action.ALLOW
        nodes = [] if args.subnet_id is None or args.is_private else [args.subnet_id]
        return storage.NetworkRuleSetArgs(
            default_action=storage.DefaultAction.DENY,
            bypass=storage.Bypass.AZURE_SERVICES if trusts_azure else storage.Bypass.NONE,
            ip_rules=[storage.IPRuleArgs(i_p_address_or_range=one, action=allow) for one in args.allowed_ips],
            virtual_network_rules=[
                storage.VirtualNetworkRuleArgs(virtual_network_resource_id=one, action=allow) for one in nodes
            ],
            resource_access_rules=[
                storage.ResourceAccessRuleArgs(resource_id=one, tenant_id=args.tenant_id) for one in services
            ],
        )

    def _blob_service(self, part: str, account: storage.StorageAccount, days: int) -> storage.BlobServiceProperties:
        kept, containers_kept = (
            storage.DeleteRetentionPolicyArgs(enabled=True, days=count) for count in (days, self._args.soft_delete_days)
        )
        return storage.BlobServiceProperties(
            f"{part}-blobs",
            blob_services_name="default",
            account_name=account.name,
            resource_group_name=self._args.site.resource_group_name,
            delete_retention_policy=kept,
            container_delete_retention_policy=containers_kept,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _lifecycle(self) -> None:
        """Archives can be downloaded again: they get cheaper, and go."""
        args, after = self._args, storage.DateAfterModificationArgs
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
                                base_blob=storage.ManagementPolicyBaseBlobArgs(
                                    tier_to_cool=None
                                    if _is_premium(args.sku)
                                    else after(days_after_modification_greater_than=args.raw_cool_days),
                                    delete=after(days_after_modification_greater_than=args.raw_delete_days),
                                )
                            ),
                        ),
                    )
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _is_premium(sku: str) -> bool:
    return sku.startswith("Premium")


def _endpoint(account: storage.StorageAccount) -> pulumi.Output[str]:
    # By the name, which a preview knows where the account changes; endpoints of the answer it does not.
    return account.name.apply(lambda name: f"https://{name}.blob.core.windows.net")
