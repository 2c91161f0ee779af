"""The budget: mails before it is spent, and when it is forecast to be; an action when it is."""

import datetime as dt
import hashlib
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import consumption

_SHARES = (50, 80, 100)
_MARK = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetArgs:
    """What the budget needs."""

    name: str
    scope: pulumi.Input[str]
    """Id of the resource group."""
    amount: int
    """A month, in the currency of the bill."""
    start: dt.date | None
    """Its first month; None for this one."""
    email: str
    action_group: pulumi.Input[str] | None
    """Id of what is started when all of it is spent; None for nothing."""


class Budget(pulumi.ComponentResource):
    """A monthly budget of the resource group.

    It is never changed, because Azure refuses changes without an eTag, which the provider does not send: what it says
    is in its name, so another amount is another budget, made before the old one goes. Its first month has to be the
    current one when it is made, and stays what it was in later months.

    Source:
        https://github.com/MicrosoftDocs/azure-docs/issues/34023 (eTag),
        https://github.com/Azure/CanadaPubSecALZ/issues/317 (first month),
        https://learn.microsoft.com/azure/cost-management-billing/manage/cost-management-budget-scenario (action group).
    """

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Budget", name, None, opts)
        start = args.start or dt.datetime.now(dt.UTC).date().replace(day=1)
        actual, forecast = consumption.ThresholdType.ACTUAL, consumption.ThresholdType.FORECASTED
        alerts = {f"spent-{share}": _alert(args.email, share, actual) for share in _SHARES}
        alerts["forecast-100"] = _alert(args.email, 100, forecast)
        if args.action_group is not None:
            alerts["spent-100"] = _alert(args.email, 100, actual, args.action_group)
        mark = budget_mark(args)
        consumption.Budget(
            f"budget-{mark}",
            budget_name=f"{args.name}-{mark}",
            scope=args.scope,
            amount=args.amount,
            category=consumption.CategoryType.COST,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(start_date=f"{start.isoformat()}T00:00:00Z"),
            notifications=alerts,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["timePeriod"]),
        )
        self.register_outputs({})


def _alert(
    email: str, share: int, kind: consumption.ThresholdType, action_group: pulumi.Input[str] | None = None
) -> consumption.NotificationArgs:
    return consumption.NotificationArgs(
        enabled=True,
        operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
        threshold=share,
        threshold_type=kind,
        contact_emails=[email],
        contact_groups=None if action_group is None else [action_group],
    )


def budget_mark(args: BudgetArgs) -> str:
    """Of all that the budget says."""
    words = (str(args.amount), str(args.start), args.email, str(args.action_group is not None), str(_SHARES))
    return hashlib.sha256("/".join(words).encode()).hexdigest()[:_MARK]
