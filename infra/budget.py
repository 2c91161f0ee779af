"""The budget: mails before it is spent, and when it is forecast to be."""

import datetime as dt
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import consumption

_SHARES = (50, 80, 100)


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


class Budget(pulumi.ComponentResource):
    """A monthly budget of the resource group. It warns; nothing is switched off."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Budget", name, None, opts)
        start = args.start or dt.datetime.now(dt.UTC).date().replace(day=1)
        alerts = {f"spent-{share}": _alert(args.email, share, consumption.ThresholdType.ACTUAL) for share in _SHARES}
        alerts["forecast-100"] = _alert(args.email, 100, consumption.ThresholdType.FORECASTED)
        consumption.Budget(
            "budget",
            budget_name=args.name,
            scope=args.scope,
            amount=args.amount,
            category=consumption.CategoryType.COST,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(start_date=f"{start.isoformat()}T00:00:00Z"),
            notifications=alerts,
            # Azure takes the current month only when a budget is made, and its start never changes afterwards.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["timePeriod"]),
        )
        self.register_outputs({})


def _alert(email: str, share: int, kind: consumption.ThresholdType) -> consumption.NotificationArgs:
    return consumption.NotificationArgs(
        enabled=True,
        operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
        threshold=share,
        threshold_type=kind,
        contact_emails=[email],
    )
