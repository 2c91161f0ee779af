"""Monthly costs of an estate, idle and busy."""

from dataclasses import dataclass

from mrikit.estate.declared import Declared, Record
from mrikit.estate.prices import Prices

_HOURS_A_MONTH = 730
_DAYS_A_MONTH = 30
_FREE_LOGS_GB = 5
"""A month, of each subscription."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One line of the bill."""

    what: str
    """In words."""
    idle: float
    """A month while nobody works."""
    full: float
    """A month with every node running all the time."""
    source: str
    """Of its prices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """An estimate."""

    lines: tuple[Cost, ...]
    unknown: tuple[str, ...]
    """Sizes of machines without a known price; they are not in the sums."""

    @property
    def idle(self) -> float:
        """A month while nobody works."""
        return sum(line.idle for line in self.lines)

    @property
    def full(self) -> float:
        """A month with every node running all the time."""
        return sum(line.full for line in self.lines)


def estimate(record: Record, prices: Prices, data_tb: float) -> Bill:
    """The bill of a stack.

    Args:
        record: What the stack declares.
        prices: The price table.
        data_tb: Terabytes in the data account, all in the hot tier.
    """
    lines = [_storage(record, prices, data_tb), _registry(record, prices), _logs(record, prices)]
    endpoints, zones = len(record.of("network:PrivateEndpoint")), len(record.of("privatedns:PrivateZone"))
    if endpoints:
        month = endpoints * prices.services.private_endpoint_month + zones * prices.services.dns_zone_month
        lines.append(
            Cost(what=f"{endpoints} private endpoints, {zones} DNS zones", idle=month, full=month, source=prices.source)
        )
    unknown = []
    for one in record.of("machinelearningservices:Compute"):
        line = _cluster(one, prices)
        if line is None:
            unknown.append(cluster_facts(one)[0])
        else:
            lines.append(line)
    return Bill(lines=tuple(lines), unknown=tuple(dict.fromkeys(unknown)))


def cluster_facts(cluster: Declared) -> tuple[str, str, int, int]:
    """Size, priority, least and most nodes of a cluster."""
    properties = cluster.inputs["properties"]["properties"]
    scale = properties["scaleSettings"]
    return properties["vmSize"], properties["vmPriority"], scale["minNodeCount"], scale["maxNodeCount"]


def _storage(record: Record, prices: Prices, data_tb: float) -> Cost:
    (account,) = (one for one in record.of("storage:StorageAccount") if one.name == "data")
    sku = account.inputs["sku"]["name"]
    month = data_tb * 1000 * prices.services.storage_gb_month[sku]
    return Cost(what=f"{data_tb:g} TB of data, {sku}, hot", idle=month, full=month, source=prices.source)


def _registry(record: Record, prices: Prices) -> Cost:
    (registry,) = record.of("containerregistry:Registry")
    tier = registry.inputs["sku"]["name"]
    month = prices.services.registry_month[tier]
    return Cost(what=f"container registry, {tier}", idle=month, full=month, source=prices.source)


def _logs(record: Record, prices: Prices) -> Cost:
    (logs,) = record.of("operationalinsights:Workspace")
    most_gb = logs.inputs["workspaceCapping"]["dailyQuotaGb"] * _DAYS_A_MONTH
    most = max(most_gb - _FREE_LOGS_GB, 0) * prices.services.logs_gb
    what = f"logs, at most {most_gb:g} GB, {_FREE_LOGS_GB} GB of it free"
    return Cost(what=what, idle=0.0, full=most, source=prices.source)


def _cluster(cluster: Declared, prices: Prices) -> Cost | None:
    sku, priority, least, most = cluster_facts(cluster)
    price = prices.node_price(sku, priority)
    if price is None:
        return None
    month = price.hour * _HOURS_A_MONTH
    what = f"cluster {cluster.azure_name}, {most} x {sku} at {price.hour:.2f} an hour"
    return Cost(what=what, idle=least * month, full=most * month, source=price.source)
