"""Azure ML's managed network: nodes reach accounts by private endpoints, named hosts, and nothing else."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import machinelearningservices

from infra.rights import Right

IGNORED = ("managedNetwork.status", "managedNetwork.outboundRules")
"""Inputs of the workspace that Azure fills in, and that `pulumi up` would take back (pulumi-azure-native#3225)."""
_APPROVER = "Azure AI Enterprise Network Connection Approver"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """What nodes reach by a private endpoint."""

    name: str
    """In a word."""
    resource_id: pulumi.Input[str]
    part: str
    """Which part of the resource, such as blob."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboundArgs:
    """What the rules need."""

    resource_group_name: pulumi.Input[str]
    workspace_name: pulumi.Input[str]
    reached: tuple[Reached, ...]
    """Beside the workspace and its own account, vault and registry, for which Azure ML makes rules by itself."""
    hosts: tuple[str, ...]
    """Names of hosts on the internet; the first of them brings an Azure Firewall, which is paid for by the hour."""
    after: tuple[pulumi.Resource, ...]
    """The rights by which the workspace approves its endpoints."""


class Outbound(pulumi.ComponentResource):
    """`rules`, made one after the other; Azure ML makes the network with the first cluster, which takes 40 minutes.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network ("allow only approved outbound",
        "List of required rules", "Limitations": storage accounts are reached by endpoints, never by host names).
    """

    def __init__(self, name: str, args: OutboundArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Outbound", name, None, opts)
        ml = machinelearningservices
        wanted: dict[str, ml.PrivateEndpointOutboundRuleArgs | ml.FqdnOutboundRuleArgs] = {
            f"to-{one.name}": ml.PrivateEndpointOutboundRuleArgs(
                type="PrivateEndpoint",
                category=ml.RuleCategory.USER_DEFINED,
                destination=ml.PrivateEndpointDestinationArgs(
                    service_resource_id=one.resource_id, subresource_target=one.part, spark_enabled=False
                ),
            )
            for one in args.reached
        }
        for index, host in enumerate(args.hosts):
            wanted[f"to-host-{index}"] = ml.FqdnOutboundRuleArgs(
                type="FQDN", category=ml.RuleCategory.USER_DEFINED, destination=host
            )
        self.rules: list[pulumi.Resource] = []
        for rule_name, rule in wanted.items():
            made = ml.ManagedNetworkSettingsRule(
                rule_name,
                rule_name=rule_name,
                workspace_name=args.workspace_name,
                resource_group_name=args.resource_group_name,
                properties=rule,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.after, *self.rules[-1:]]),
            )
            self.rules.append(made)
        self.register_outputs({})


def managed_network() -> machinelearningservices.ManagedNetworkSettingsArgs:
    """The workspace's part: only what is approved gets out, and the cheapest firewall where hosts are named."""
    ml = machinelearningservices
    return ml.ManagedNetworkSettingsArgs(
        isolation_mode=ml.IsolationMode.ALLOW_ONLY_APPROVED_OUTBOUND, firewall_sku=ml.FirewallSku.BASIC
    )


def approver_rights(workspace_principal: pulumi.Input[str], targets: dict[str, pulumi.Input[str]]) -> tuple[Right, ...]:
    """The workspace approves the endpoints of its network itself, which since April 2025 takes a role of its own.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-managed-network ("Approval of private endpoints").

    Args:
        workspace_principal: Object id of the workspace's identity.
        targets: Ids of what endpoints lead to, by a word for each.
    """
    return tuple(
        Right(who="workspace", principal_id=workspace_principal, role=_APPROVER, what=what, scope=scope)
        for what, scope in targets.items()
    )
