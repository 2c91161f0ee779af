"""Price table of machines and services."""

import datetime as dt
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrikit.config import build_config
from mrikit.errors import ConfigError

PRICES_FILE = Path(__file__).with_name("prices.toml")
OWN_PRICES = "MRIKIT_PRICES"
"""Environment variable with the path of a user's own price table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """One node of a size."""

    hour: float
    """Price of an hour, dedicated."""
    gpus: int
    """How many it has."""
    vcpus: int
    """Virtual processors, which quotas count."""
    memory_gb: float
    """Main memory."""
    gpu: str = ""
    """What its GPUs are called in `mrikit.training.GPUS`; empty for none, or others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What is paid for beside nodes."""

    storage_gb_month: Mapping[str, float]
    """A gigabyte in the hot tier for a month, by redundancy."""
    registry_month: Mapping[str, float]
    """A registry for a month, by tier."""
    logs_gb: float
    """A gigabyte of logs."""
    private_endpoint_month: float
    """One endpoint for a month."""
    dns_zone_month: float
    """One private DNS zone for a month."""
    load_balancer_day: float
    """One load balancer of a cluster for a day."""
    firewall_hour: float
    """The smallest firewall for an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """List prices of an hour of one node, in USD; None where the list has none."""

    date: str
    """When they were asked for."""
    dedicated: float | None
    low_priority: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePrice:
    """What a unit of a service costs, and who says so."""

    amount: float
    source: str
    """As that of a node's price."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePrice:
    """What an hour of one node costs, and who says so."""

    hour: float
    source: str
    """`listed 2026-11-30`, `table of 2025-10-01` or `own table of 2026-01-01`."""
    is_sure: bool
    """Whether a job may be refused for it: a price of our own table may be out of date."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """A price table, with list prices where they are known."""

    date: str
    """When the prices were so."""
    currency: str
    """Of all of them, such as USD."""
    region: str
    """Where they are so."""
    low_priority_share: float
    """Of the dedicated price, for nodes that may be taken away."""
    services: Services
    machines: Mapping[str, Machine]
    """By size."""
    listed: Mapping[str, Listed] = field(default_factory=dict)
    """By size; these go before those of the table."""
    listed_services: Mapping[str, float] = field(default_factory=dict)
    """List prices of services by their names here, such as `registry_month Basic`; these go before the table's, too."""
    listed_services_date: str = ""
    """When they were asked for."""
    is_own: bool = False
    """Whether the table is the user's own."""

    @property
    def source(self) -> str:
        """What the table is called where one of its prices is shown."""
        return f"{'own table' if self.is_own else 'table'} of {self.date}"

    def service_price(self, name: str, kind: str = "") -> ServicePrice:
        """What one unit costs.

        Args:
            name: A field of `Services`.
            kind: A key of it, where it is a table.
        """
        listed = self.listed_services.get(f"{name} {kind}".rstrip())
        if listed is not None:
            return ServicePrice(amount=listed, source=f"listed {self.listed_services_date}")
        found = getattr(self.services, name)
        return ServicePrice(amount=found[kind] if kind else found, source=self.source)

    def node_price(self, sku: str, priority: str) -> NodePrice | None:
        """An hour of one node; None for a size that nobody has a price of."""
        is_low, listed, machine = priority == "LowPriority", self.listed.get(sku), self.machines.get(sku)
        hour = (listed.low_priority if is_low else listed.dedicated) if listed else None
        if listed and hour is not None:
            return NodePrice(hour=hour, source=f"listed {listed.date}", is_sure=True)
        if machine is None:
            return None
        hour = machine.hour * (self.low_priority_share if is_low else 1.0)
        return NodePrice(hour=hour, source=self.source, is_sure=self.is_own)


def load_prices(file: Path | None = None) -> Prices:
    """The table of a file; if None, the one that `MRIKIT_PRICES` names, or ours.

    Raises:
        ConfigError: It is not there, or not of this form.
    """
    own = file or (Path(os.environ[OWN_PRICES]) if os.environ.get(OWN_PRICES) else None)
    path = own or PRICES_FILE
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; {PRICES_FILE} is an example") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error})") from error
    known = {"date", "currency", "region", "low_priority_share", "services", "machines"}
    if set(table) != known or not isinstance(table["machines"], Mapping):
        raise ConfigError(f"{path}: {', '.join(sorted(known))} are needed and nothing else; found {', '.join(table)}")
    machines = {
        sku: build_config(Machine, _table(path, sku, machine), f"machines.{sku}")
        for sku, machine in table["machines"].items()
    }
    date = table["date"]
    settings = {**table, "date": date.isoformat() if isinstance(date, dt.date) else date, "machines": machines}
    try:
        return replace(build_config(Prices, settings, "prices"), is_own=own is not None)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _table(path: Path, name: str, value: object) -> Mapping[str, object]:
    lacking = {"hour", "gpus", "vcpus", "memory_gb"} - set(value if isinstance(value, Mapping) else ())
    if lacking or not isinstance(value, Mapping):
        raise ConfigError(f"{path}: machines.{name} lacks {', '.join(sorted(lacking))}")
    return value
