"""What happens when the budget is spent, and what does not have to."""

import datetime as dt

import pytest

from infra.budget import BudgetArgs, budget_mark
from infra.policies.resources import UNKNOWN
from infra.policies.secrecy import hide_marked, nothing_is_secret
from infra.policies.spending import a_spent_budget_stops_every_cluster

from .altered import altered, loosened
from .arm_bodies import wire_body

GROUP, WORKFLOW, BUDGET = "monitor:ActionGroup", "logic:Workflow", "consumption:Budget"
COMPUTE = "machinelearningservices:Compute"


def actions(record):
    (workflow,) = record.of(WORKFLOW)
    return workflow.inputs["definition"]["actions"]


def test_a_stack_stops_nothing_unless_it_is_asked_to(records):
    assert not records["dev"].of(GROUP, WORKFLOW)
    (budget,) = records["dev"].of(BUDGET)
    assert not any("contactGroups" in alert for alert in budget.inputs["notifications"].values())


def test_a_spent_budget_sets_every_cluster_to_zero_nodes(records):
    clusters = {one.id for one in records["managed"].of(COMPUTE)}
    uris = [one["inputs"]["uri"] for one in actions(records["managed"]).values()]
    assert {uri.removeprefix("https://management.azure.com").partition("?")[0] for uri in uris} == clusters
    assert all(uri.endswith("?api-version=2025-12-01") for uri in uris)


def test_microsofts_schema_takes_what_the_workflow_makes_of_a_cluster(records, arm_schemas):
    record = records["managed"]
    for action in actions(record).values():
        scale = action["inputs"]["body"]["properties"]["properties"]["scaleSettings"]
        stopped = altered(record, COMPUTE, "properties.properties.scaleSettings", scale, "cluster-gpu")
        (cluster,) = [one for one in stopped.of(COMPUTE) if one.name == "cluster-gpu"]
        assert arm_schemas.faults(wire_body(cluster, arm_schemas)) == []
        assert scale["maxNodeCount"] == 0


def test_one_cluster_that_fails_does_not_keep_the_others(records):
    assert all(one["runAfter"] == {} for one in actions(records["managed"]).values())


def test_the_identity_of_the_workflow_may_change_clusters_and_nothing_else(records):
    record = records["managed"]
    (workflow,) = record.of(WORKFLOW)
    rights = [
        one for one in record.of("authorization:RoleAssignment") if one.inputs["principalId"] == workflow.principal_id
    ]
    (right,) = rights
    assert right.inputs["roleDefinitionId"].endswith("e503ece1-11d0-4e8e-8e2c-7a6c3bf38815")
    assert right.inputs["scope"] == record.of("machinelearningservices:Workspace")[0].id


def test_only_a_spent_budget_starts_it(records):
    record = records["managed"]
    (group,), (budget,) = record.of(GROUP), record.of(BUDGET)
    started = {name for name, one in budget.inputs["notifications"].items() if one.get("contactGroups") == [group.id]}
    assert started == {"spent-100"}
    assert {tuple(one["contactEmails"]) for one in budget.inputs["notifications"].values()} == {
        ("mri-admin@example.org",)
    }


def test_the_address_of_the_workflow_is_marked_as_secret_and_not_in_the_record(records):
    record = records["managed"]
    (group,) = record.of(GROUP)
    assert group.has_secrets
    assert group.inputs["logicAppReceivers"][0]["callbackUrl"] == "(secret)"
    leaked = altered(record, GROUP, "logicAppReceivers.0.callbackUrl", "https://prod.logic.azure.com/spent?sig=made-up")
    assert list(nothing_is_secret(leaked)) == ["budget-is-spent: logicAppReceivers[0].callbackUrl looks like a secret"]
    assert list(nothing_is_secret(loosened(record, WORKFLOW, has_secrets=True)))


def test_an_engine_that_shows_the_address_without_its_mark_is_told_from_a_leak(records):
    (group,) = records["managed"].of(GROUP)
    signed = {"name": "stop-clusters", "callbackUrl": "https://prod.logic.azure.com/spent?sig=made-up"}
    shown = {**group.inputs, "logicAppReceivers": [signed]}
    assert hide_marked(GROUP, shown)["logicAppReceivers"] == [{"name": "stop-clusters", "callbackUrl": "(secret)"}]
    assert hide_marked(WORKFLOW, shown) == shown


@pytest.mark.parametrize(
    ("kind", "path", "value", "line"),
    [
        (GROUP, "location", "westeurope", "budget-is-spent: location is westeurope, not Global"),
        (GROUP, "groupShortName", "more-than-12-x", "budget-is-spent: groupShortName has not 1 to 12 characters"),
        (WORKFLOW, "identity.type", "None", "stop-clusters: identity.type is None, not SystemAssigned"),
        (WORKFLOW, "definition.actions", {}, "stop-clusters: leaves nodes to cluster-gpu"),
    ],
)
def test_a_stop_that_would_not_stop_is_noticed(records, kind, path, value, line):
    assert line in list(a_spent_budget_stops_every_cluster(altered(records["managed"], kind, path, value)))


def test_a_first_preview_that_does_not_know_the_workflow_yet_breaks_nothing(records):
    new = altered(records["managed"], WORKFLOW, "definition", UNKNOWN)
    assert list(a_spent_budget_stops_every_cluster(new)) == []


def test_a_budget_that_starts_nothing_is_noticed(records):
    (budget,) = records["managed"].of(BUDGET)
    deaf = altered(records["managed"], BUDGET, "notifications.spent-100.contactGroups", None, budget.name)
    assert list(a_spent_budget_stops_every_cluster(deaf)) == [
        "budget-is-spent: the budget does not start it at 100 % of what is spent"
    ]


def budget(**changes):
    given = {"name": "mrikit-dev", "scope": "/group", "amount": 300, "start": None, "email": "a@b.org"}
    return BudgetArgs(**{**given, "action_group": None, **changes})


@pytest.mark.parametrize(
    "changes",
    [{"amount": 301}, {"email": "c@b.org"}, {"action_group": "/group"}, {"start": dt.date(2026, 12, 1)}],
)
def test_a_budget_that_says_something_else_is_another_budget(changes):
    """Azure refuses to change one without an eTag, and a replacement would have the old first month."""
    assert budget_mark(budget(**changes)) != budget_mark(budget())
    assert budget_mark(budget()) == budget_mark(budget(scope="/other"))


def test_a_budget_has_its_mark_in_both_names(records):
    (found,) = records["dev"].of(BUDGET)
    mark = found.name.removeprefix("budget-")
    assert found.azure_name == f"mrikit-dev-{mark}"
