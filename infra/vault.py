"""The key vault: Azure ML's, and of links that jobs copy from; by roles only, recoverable, closed but to the named."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import keyvault

from infra.network import PRIVATE, PUBLIC
from infra.place import Site

_DAYS_RECOVERABLE = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultArgs:
    """What the vault needs."""

    site: Site
    tenant_id: str
    network: str
    """The mode of the network."""
    subnet_id: pulumi.Input[str] | None
    """The subnet of the nodes; None where Azure ML manages their network and makes an endpoint there."""
    allowed_ips: tuple[str, ...]
    """Public addresses and ranges from which people leave a link's secret there."""
    protect: bool
    """Whether the engine refuses to delete it."""


class Vault(pulumi.ComponentResource):
    """`vault`; the workspace reaches it as a service that Azure trusts, nodes from their subnet.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-workspace-vnet ("Secure Azure Key Vault"): the
        subnet of the compute and trusted services are let in.
    """

    def __init__(self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Vault", name, None, opts)
        self.vault = keyvault.Vault(
            "vault",
            vault_name=args.site.global_name(),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=args.tenant_id,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                enable_purge_protection=True,
                soft_delete_retention_in_days=_DAYS_RECOVERABLE,
                public_network_access="Disabled" if args.network == PRIVATE else "Enabled",
                network_acls=_rules(args),
            ),
            tags=args.site.tagged("vault"),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.register_outputs({"vault_id": self.vault.id})


def _rules(args: VaultArgs) -> keyvault.NetworkRuleSetArgs:
    nodes = args.subnet_id if args.network == PUBLIC else None
    return keyvault.NetworkRuleSetArgs(
        default_action=keyvault.NetworkRuleAction.DENY,
        bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
        ip_rules=[keyvault.IPRuleArgs(value=one) for one in args.allowed_ips],
        virtual_network_rules=[keyvault.VirtualNetworkRuleArgs(id=nodes)] if nodes is not None else [],
    )
