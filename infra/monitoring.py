"""Logs of the estate, and who sends them; bounded, because logs cost by the gigabyte."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights, monitor, operationalinsights

from infra.place import Site

_DAYS_KEPT = 30
_GB_A_DAY = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoringArgs:
    """What logs need."""

    site: Site


class Monitoring(pulumi.ComponentResource):
    """`logs`, kept for 30 days and at most 1 GB a day, and `insights`, which Azure ML asks for."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mrikit:infra:Monitoring", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.logs = operationalinsights.Workspace(
            "logs",
            # A deleted one holds its name for 14 days, so the name has the suffix in it (pulumi-azure-native#1319).
            workspace_name=f"{args.site.global_name()}-logs",
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            sku=operationalinsights.WorkspaceSkuArgs(name=operationalinsights.WorkspaceSkuNameEnum.PER_GB2018),
            retention_in_days=_DAYS_KEPT,
            workspace_capping=operationalinsights.WorkspaceCappingArgs(daily_quota_gb=_GB_A_DAY),
            features=operationalinsights.WorkspaceFeaturesArgs(disable_local_auth=True),
            tags=args.site.tagged("monitoring"),
            opts=child,
        )
        self.insights = applicationinsights.Component(
            "insights",
            resource_name_=args.site.name("insights"),
            resource_group_name=args.site.resource_group_name,
            location=args.site.location,
            kind="web",
            application_type=applicationinsights.ApplicationType.WEB,
            ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
            workspace_resource_id=self.logs.id,
            disable_local_auth=True,
            tags=args.site.tagged("monitoring"),
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["instrumentationKey", "connectionString"]
            ),
        )
        self.register_outputs({"logs_id": self.logs.id})

    def collect(
        self, name: str, *, of: pulumi.Input[str], categories: Sequence[str], metrics: Sequence[str] = ()
    ) -> None:
        """Send some logs of a resource here.

        Args:
            name: What the setting is called.
            of: Id of the resource.
            categories: Which logs; never reads of blobs, of which training makes millions.
            metrics: Which counters.
        """
        monitor.DiagnosticSetting(
            name,
            name="to-logs",
            resource_uri=of,
            workspace_id=self.logs.id,
            logs=[monitor.DiagnosticsLogSettingsArgs(category=one, enabled=True) for one in categories],
            metrics=[monitor.DiagnosticsMetricSettingsArgs(category=one, enabled=True) for one in metrics],
            opts=pulumi.ResourceOptions(parent=self),
        )
