"""Costs: idle clusters cost nothing, a budget warns, and a spent one stops what costs."""

import re
from collections.abc import Iterator

from .resources import UNKNOWN, Estate, at, expect

_ALERTS = {("Actual", 50), ("Actual", 80), ("Actual", 100), ("Forecasted", 100)}


def idle_clusters_cost_nothing(estate: Estate) -> Iterator[str]:
    """Every cluster goes back to no nodes by itself."""
    for one in estate.of("machinelearningservices:Compute"):
        scale = at(one.inputs, "properties.properties.scaleSettings") or {}
        if scale.get("minNodeCount") != 0:
            yield f"{one.name}: minNodeCount is {scale.get('minNodeCount')}, not 0"
        if not re.fullmatch(r"PT\d+M", str(scale.get("nodeIdleTimeBeforeScaleDown"))):
            yield f"{one.name}: nodeIdleTimeBeforeScaleDown is not set"
        if not scale.get("maxNodeCount", 0) >= 1:
            yield f"{one.name}: maxNodeCount is {scale.get('maxNodeCount')}"


def a_budget_warns(estate: Estate) -> Iterator[str]:
    """A monthly budget warns at 50, 80 and 100 %, and when it is forecast to be spent."""
    budgets = estate.of("consumption:Budget")
    if len(budgets) != 1:
        yield f"there are {len(budgets)} budgets, not one"
    for one in budgets:
        alerts = list((one.inputs.get("notifications") or {}).values())
        armed = {(alert.get("thresholdType"), alert.get("threshold")) for alert in alerts if alert.get("enabled")}
        if _ALERTS - armed:
            lacking = ", ".join(f"{share} % {kind.lower()}" for kind, share in sorted(_ALERTS - armed))
            yield f"{one.name}: no alert at {lacking}"
        if not (one.inputs.get("amount") or 0) > 0:
            yield f"{one.name}: amount is {one.inputs.get('amount')}"
        if not all(alert.get("contactEmails") for alert in alerts):
            yield f"{one.name}: an alert tells nobody"
        start = str((one.inputs.get("timePeriod") or {}).get("startDate"))
        if not re.fullmatch(r"\d{4}-\d{2}-01T00:00:00Z", start):
            yield f"{one.name}: timePeriod.startDate is {start}, not the first of a month"


def a_spent_budget_stops_every_cluster(estate: Estate) -> Iterator[str]:
    """Where there is an action group, the budget starts it, and its workflow leaves no cluster a node.

    Source:
        https://learn.microsoft.com/azure/cost-management-billing/manage/cost-management-budget-scenario,
        https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups (Global, 12 characters).
    """
    for group in estate.of("monitor:ActionGroup"):
        yield from expect(group, "location", "Global")
        if len(group.inputs.get("groupShortName") or "") not in range(1, 13):
            yield f"{group.name}: groupShortName has not 1 to 12 characters"
        started = [
            alert
            for budget in estate.of("consumption:Budget")
            for alert in (budget.inputs.get("notifications") or {}).values()
            if group.id in (alert.get("contactGroups") or [])
        ]
        if [(alert.get("thresholdType"), alert.get("threshold")) for alert in started] != [("Actual", 100)]:
            yield f"{group.name}: the budget does not start it at 100 % of what is spent"
    for workflow in estate.of("logic:Workflow"):
        yield from expect(workflow, "identity.type", "SystemAssigned")
        if workflow.inputs["definition"] == UNKNOWN:  # the first preview knows no id of the workspace that is in it
            continue
        actions = [one["inputs"] for one in workflow.inputs["definition"]["actions"].values()]
        stopped = {
            str(one.get("uri")).partition("?")[0].removeprefix("https://management.azure.com")
            for one in actions
            if one.get("method") == "PATCH"
            and at(one, "body.properties.properties.scaleSettings.maxNodeCount") == 0
            and at(one, "authentication.type") == "ManagedServiceIdentity"
        }
        for cluster in estate.of("machinelearningservices:Compute"):
            if cluster.id not in (*stopped, UNKNOWN):
                yield f"{workflow.name}: leaves nodes to {cluster.name}"
