"""What happens when the budget is spent: every cluster goes to zero nodes, without code or keys of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import logic, monitor

from infra.place import Site
from infra.rights import Right, Rights, RightsArgs

_ARM = "https://management.azure.com"
_COMPUTES_VERSION = "2025-12-01"
_TRIGGER = "spent"
_LANGUAGE = "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#"
_ROLE = "AzureML Compute Operator"


@dataclass(frozen=True, kw_only=True, slots=True)
class StopArgs:
    """What stopping needs."""

    site: Site
    subscription_id: str
    workspace_id: pulumi.Input[str]
    """The identity of the workflow may change clusters of this workspace, and nothing else."""
    compute_names: Sequence[str]
    """What the clusters are called in Azure ML."""


class Stop(pulumi.ComponentResource):
    """`action_group`, which starts a Logic App; its own identity sets the most nodes of each cluster to 0.

    Nodes that are busy then are not promised to go before their job ends. The app's address holds a signature: it is
    marked as secret, and all that it opens is this workflow, which reads nothing of what it is sent.

    Source:
        https://learn.microsoft.com/azure/cost-management-billing/manage/cost-management-budget-scenario,
        https://learn.microsoft.com/azure/logic-apps/authenticate-with-managed-identity.
    """

    def __init__(self, name: str, args: StopArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Stop", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        workflow = logic.Workflow(
            "stop-clusters",
            workflow_name=f"{args.site.global_name()}-stop",
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            identity=logic.ManagedServiceIdentityArgs(type=logic.ManagedServiceIdentityType.SYSTEM_ASSIGNED),
            state=logic.WorkflowState.ENABLED,
            definition=pulumi.Output.from_input(args.workspace_id).apply(
                lambda workspace: _definition(workspace, args.compute_names)
            ),
            tags=args.site.tagged("budget"),
            opts=child,
        )
        right = Right(
            who="stop-clusters",
            principal_id=workflow.identity.apply(lambda identity: identity.principal_id if identity else ""),
            role=_ROLE,
            what="workspace",
            scope=args.workspace_id,
        )
        rights = Rights(
            "stop-rights", RightsArgs(site=args.site, subscription_id=args.subscription_id, rights=(right,)), opts=child
        )
        address = logic.list_workflow_trigger_callback_url_output(
            resource_group_name=args.site.resource_group_name, workflow_name=workflow.name, trigger_name=_TRIGGER
        ).apply(lambda found: found.value)
        self.action_group = monitor.ActionGroup(
            "budget-is-spent",
            action_group_name=args.site.name("budget-is-spent"),
            resource_group_name=args.site.resource_group_name,
            location="Global",
            group_short_name="mrikit-spent",
            enabled=True,
            logic_app_receivers=[
                monitor.LogicAppReceiverArgs(
                    name="stop-clusters",
                    resource_id=workflow.id,
                    callback_url=pulumi.Output.secret(address),
                    use_common_alert_schema=False,
                )
            ],
            tags=args.site.tagged("budget"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(rights.assignments)),
        )
        self.register_outputs({"action_group_id": self.action_group.id})


def _definition(workspace_id: str, compute_names: Sequence[str]) -> dict[str, Any]:
    """The workflow: one PATCH for each cluster, side by side; one that fails does not keep the others."""
    return {
        "$schema": _LANGUAGE,
        "contentVersion": "1.0.0.0",
        "triggers": {_TRIGGER: {"type": "Request", "kind": "Http", "inputs": {"schema": {}}}},
        "actions": {f"stop-{name}": _stop(workspace_id, name) for name in compute_names},
    }


def _stop(workspace_id: str, compute_name: str) -> dict[str, Any]:
    return {
        "type": "Http",
        "runAfter": {},
        "inputs": {
            "method": "PATCH",
            "uri": f"{_ARM}{workspace_id}/computes/{compute_name}?api-version={_COMPUTES_VERSION}",
            "body": {"properties": {"properties": {"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 0}}}},
            "authentication": {"type": "ManagedServiceIdentity", "audience": f"{_ARM}/"},
        },
    }
