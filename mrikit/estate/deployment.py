"""Checks before the first `pulumi up` of a stack."""

from collections.abc import Iterator
from dataclasses import replace

from mrikit.estate.arm import Arm, ArmError, Caller
from mrikit.estate.diagnosis import MISSING, OK, WARNING, Diagnosis
from mrikit.estate.roles import Right, right_diagnosis

WITHOUT_BUDGETS = ("CSP_2015-05-01", "DreamSpark_2015-02-01", "AzureForStudents_2018-01-01", "Sponsored_2016-01-01")
"""Quota ids of offers that Cost Management, which budgets are a part of, does not support.

https://learn.microsoft.com/azure/cost-management-billing/costs/understand-cost-mgt-data
"""
_NO_LOCK = "be given Owner, or set lockData to false in the stack's file"
_GROUP_VERSION = "2021-04-01"
_STORAGE_VERSION = "2023-05-01"
_SUBSCRIPTION_VERSION = "2022-12-01"


def deployment_diagnoses(
    arm: Arm, subscription_id: str, resource_group: str, linked_group: str, caller: Caller
) -> Iterator[Diagnosis]:
    """Whether a stack's names are free, its deployer may give roles, and the offer has budgets.

    Args:
        arm: Where to ask.
        subscription_id: Its GUID.
        resource_group: Of the stack.
        linked_group: Of the linked estate; empty if none is linked.
        caller: Who deploys.

    Raises:
        ArmError: The control plane does not say.
    """
    subscription = f"/subscriptions/{subscription_id}"
    group = f"{subscription}/resourceGroups/{resource_group}"
    is_there = _is_there(arm, group)
    yield (
        _names(arm, group, resource_group)
        if is_there and resource_group != linked_group
        else Diagnosis("names", OK, f"{resource_group} is {'the linked estate' if is_there else 'free'}")
    )
    scope = group if is_there else subscription
    yield right_diagnosis(arm, _deploying(scope), caller)
    locking = right_diagnosis(arm, _locking(scope), caller)
    # A stack does without its lock, and not without its roles.
    yield replace(locking, state=WARNING, remedy=_NO_LOCK) if locking.state == MISSING else locking
    quota_id = arm.get(subscription, _SUBSCRIPTION_VERSION).get("subscriptionPolicies", {}).get("quotaId", "")
    if quota_id in WITHOUT_BUDGETS:
        what = f"the offer {quota_id} has no budgets, and `pulumi up` fails at the one of the stack"
        yield Diagnosis("budget", WARNING, what, "name a subscription of another offer, such as pay-as-you-go")


def _is_there(arm: Arm, group: str) -> bool:
    try:
        arm.get(group, _GROUP_VERSION)
    except ArmError as error:
        if error.status == 404:
            return False
        raise
    return True


def _names(arm: Arm, group: str, name: str) -> Diagnosis:
    """A stack of this name was deployed before: by the same state, which is well, or by another one, which collides."""
    accounts = arm.pages(f"{group}/providers/Microsoft.Storage/storageAccounts", _STORAGE_VERSION)
    data = [str(one["name"]) for one in accounts if "data" in str(one["name"])]
    holds = f", with the data account {data[0]}" if data else ""
    what = f"{name} is there already{holds}; a second state of the same name would collide with it"
    remedy = (
        "if it is yours or your group's, log in to its state and `mrikit infra link`; else give your stack another name"
    )
    return Diagnosis("names", WARNING, what, remedy)


def _deploying(scope: str) -> Right:
    return Right(
        subject="right to deploy",
        purpose="make resources and give roles",
        scope=scope,
        operations=(
            "Microsoft.Resources/subscriptions/resourceGroups/write",
            "Microsoft.Authorization/roleAssignments/write",  # which Contributor may not
        ),
        is_data=False,
        role="Owner",
    )


def _locking(scope: str) -> Right:
    """Role Based Access Control Administrator may give roles and set no locks."""
    return Right(
        subject="right to lock",
        purpose="set locks",
        scope=scope,
        operations=("Microsoft.Authorization/locks/write",),
        is_data=False,
        role="Owner",
    )
