"""Monthly costs of an estate, idle and busy."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mrikit.estate.declared import Declared, Record
from mrikit.estate.prices import Prices
from mrikit.words import counted

_HOURS_A_MONTH = 730
_DAYS_A_MONTH = 30
_FREE_LOGS_GB = 5
"""A month, of each subscription."""
_RUNS_TB = 0.1
"""What runs leave, where nobody says how much: some hundred checkpoints."""
_NODES_BALANCED = 50
_MADE_BY_AZURE_ML = 5
"""Endpoints of a managed network to the workspace, its account's blobs and files, vault and registry."""


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
        data_tb: Terabytes in the data account, all in the hot tier where it has tiers.
    """
    lines = [
        *_storage(record, prices, data_tb),
        _registry(record, prices),
        _logs(record, prices),
        *_endpoints(record, prices),
        *_firewall(record, prices),
        *_load_balancers(record, prices),
    ]
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


def _storage(record: Record, prices: Prices, data_tb: float) -> Iterator[Cost]:
    """The data, and a guess at what runs leave; Azure ML's own account holds logs only."""
    amounts = {"data": data_tb, "runs": _RUNS_TB}
    for account in record.of("storage:StorageAccount"):
        if (amount_tb := amounts.get(account.name)) is None:
            continue
        sku = account.inputs["sku"]["name"]
        price = prices.service_price("storage_gb_month", sku)
        tier = "" if sku.startswith("Premium") else ", hot"
        yield _steady(f"{amount_tb:g} TB of {account.name}, {sku}{tier}", amount_tb * 1000 * price.amount, price.source)


def _registry(record: Record, prices: Prices) -> Cost:
    (registry,) = record.of("containerregistry:Registry")
    tier = registry.inputs["sku"]["name"]
    price = prices.service_price("registry_month", tier)
    return _steady(f"container registry, {tier}", price.amount, price.source)


def _endpoints(record: Record, prices: Prices) -> Iterator[Cost]:
    """Our private endpoints, or those of the managed network: the rules' and the ones that Azure ML makes itself."""
    own, zones = len(record.of("network:PrivateEndpoint")), len(record.of("privatedns:PrivateZone"))
    ruled = [one for one in _outbound(record) if one["type"] == "PrivateEndpoint"]
    price = prices.service_price("private_endpoint_month")
    if own:
        month = own * price.amount + zones * prices.service_price("dns_zone_month").amount
        yield _steady(f"{own} private endpoints, {zones} DNS zones", month, price.source)
    if ruled:
        num_endpoints = len(ruled) + _MADE_BY_AZURE_ML
        yield _steady(
            f"{num_endpoints} private endpoints of the managed network", num_endpoints * price.amount, price.source
        )


def _firewall(record: Record, prices: Prices) -> Iterator[Cost]:
    """The managed network's, which the first host name brings."""
    hosts = [one for one in _outbound(record) if one["type"] == "FQDN"]
    if hosts:
        price = prices.service_price("firewall_hour")
        what = f"firewall of the managed network, Basic, for {counted(len(hosts), 'host name')}"
        yield _steady(what, price.amount * _HOURS_A_MONTH, price.source)


def _load_balancers(record: Record, prices: Prices) -> Iterator[Cost]:
    """One for 50 nodes of each cluster whose nodes have public addresses.

    Source:
        https://learn.microsoft.com/azure/machine-learning/concept-plan-manage-cost counts them for idle clusters, too;
        how-to-secure-training-vnet says that they go with the last node. The dearer reading is taken.
    """
    clusters = [
        one
        for one in record.of("machinelearningservices:Compute")
        if one.inputs["properties"]["properties"]["enableNodePublicIp"]
    ]
    number = sum(math.ceil(cluster_facts(one)[3] / _NODES_BALANCED) for one in clusters)
    if number:
        price = prices.service_price("load_balancer_day")
        month = number * price.amount * _DAYS_A_MONTH
        yield _steady(
            f"{counted(number, 'load balancer')}, one for {_NODES_BALANCED} nodes of a cluster", month, price.source
        )


def _outbound(record: Record) -> list[Mapping[str, Any]]:
    return [one.inputs["properties"] for one in record.of("machinelearningservices:ManagedNetworkSettingsRule")]


def _steady(what: str, month: float, source: str) -> Cost:
    """What costs the same whether somebody works or not."""
    return Cost(what=what, idle=month, full=month, source=source)


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
    what = f"{cluster.name.replace('-', ' ', 1)}, {most} x {sku} at {price.hour:.2f} an hour"
    return Cost(what=what, idle=least * month, full=most * month, source=price.source)
