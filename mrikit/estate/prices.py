"""Price table of machines and services."""

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mrikit.config import build_config
from mrikit.errors import ConfigError

PRICES_FILE = Path(__file__).with_name("prices.toml")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """A price table."""

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

    def node_hour(self, sku: str, priority: str) -> float | None:
        """An hour of one node; None for a size that the table lacks."""
        machine = self.machines.get(sku)
        if machine is None:
            return None
        return machine.hour * (self.low_priority_share if priority == "LowPriority" else 1.0)


def load_prices(file: Path | None = None) -> Prices:
    """The table of a file; None for ours.

    Raises:
        ConfigError: It is not there, or not of this form.
    """
    path = file or PRICES_FILE
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
        return build_config(Prices, settings, "prices")
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _table(path: Path, name: str, value: object) -> Mapping[str, object]:
    lacking = {"hour", "gpus", "vcpus", "memory_gb"} - set(value if isinstance(value, Mapping) else ())
    if lacking or not isinstance(value, Mapping):
        raise ConfigError(f"{path}: machines.{name} lacks {', '.join(sorted(lacking))}")
    return value
