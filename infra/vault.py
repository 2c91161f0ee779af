"""The key vault that Azure ML needs; by roles only, recoverable, closed to the public network."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import keyvault

from infra.place import Site

_DAYS_RECOVERABLE = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultArgs:
    """What the vault needs."""

    site: Site
    tenant_id: str
    is_private: bool


class Vault(pulumi.ComponentResource):
    """`vault`; the workspace reaches it as a service that Azure trusts, people do not need to."""

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
                public_network_access="Disabled" if args.is_private else "Enabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action=keyvault.NetworkRuleAction.DENY,
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                ),
            ),
            tags=args.site.tagged("vault"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"vault_id": self.vault.id})
