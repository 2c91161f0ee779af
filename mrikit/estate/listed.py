"""List prices of machines and services, from Azure's public price interface."""

import contextlib
import datetime as dt
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mrikit.errors import MrikitError, StorageError
from mrikit.estate.prices import Listed, Prices
from mrikit.storage import cache_folder, read_json, write_json
from mrikit.transfer.http import Connections
from mrikit.transfer.link import Link
from mrikit.transfer.retry import Patience

ENDPOINT = "MRIKIT_PRICES_ENDPOINT"
"""Environment variable with another address of the interface; `off` asks nobody."""
_PUBLIC = "https://prices.azure.com/api/retail/prices"
_OFF = "off"
_PATIENCE = Patience(connect_timeout_s=1.0, read_timeout_s=1.0)  # a command waits for this


def with_listed(prices: Prices, region: str, skus: Collection[str]) -> Prices:
    """A table with today's list prices of some sizes; the same table where there are none, or it is the user's own.

    Answers are kept in the cache folder until the day ends (UTC). A failure is kept, too: without a network only the
    first command of a day waits.
    """
    note = _note(prices, region)
    if note is None:
        return prices
    known: _Hours = note.read("machines")
    missing = sorted(set(skus) - known.keys())
    if missing:
        sizes = " or ".join(f"armSkuName eq '{sku}'" for sku in missing)
        items = note.ask(f"serviceName eq 'Virtual Machines' and {note.chosen} and ({sizes})")
        known |= {sku: _hours(sku, items) for sku in missing}
        note.write("machines", known)
    listed = {sku: Listed(date=note.today, **found) for sku in skus if (found := known[sku]) is not None}
    return replace(prices, listed={**prices.listed, **listed})


def with_listed_services(prices: Prices, region: str) -> Prices:
    """A table with today's list prices of what a region has its own of: storage, registries and firewalls.

    Load balancers, endpoints and DNS zones cost the same everywhere. Kept as those of machines are.
    """
    note = _note(prices, region)
    if note is None:
        return prices
    known: dict[str, float] | None = note.read("services") or None
    if known is None:
        meters = " or ".join(sorted({f"meterName eq '{meter}'" for _, meter, _, _ in _METERS.values()}))
        items = note.ask(f"{note.chosen} and ({meters})")
        found = {name: _dearest(items, *meter) for name, meter in _METERS.items()}
        # A note that holds nothing would be asked for again.
        known = {"asked": 0.0} | {name: amount for name, amount in found.items() if amount is not None}
        note.write("services", known)
    services = {name: amount for name, amount in known.items() if name in _METERS}
    return replace(prices, listed_services=services, listed_services_date=note.today)


_DAYS_A_MONTH = 730 / 24
_METERS = {
    **{
        f"storage_gb_month {sku}": (products, f"{tier} Data Stored", "1 GB/Month", 1.0)
        for sku, tier, products in (
            ("Standard_LRS", "Hot LRS", ("Blob Storage", "General Block Blob v2")),
            ("Standard_ZRS", "Hot ZRS", ("Blob Storage", "General Block Blob v2")),
            ("Standard_GRS", "Hot GRS", ("Blob Storage", "General Block Blob v2")),
            ("Standard_GZRS", "Hot GZRS", ("Blob Storage", "General Block Blob v2")),
            ("Premium_LRS", "Premium LRS", ("Premium Block Blob",)),
            ("Premium_ZRS", "Premium ZRS", ("Premium Block Blob",)),
        )
    },
    **{
        f"registry_month {tier}": (("Container Registry",), f"{tier} Registry Unit", "1/Day", _DAYS_A_MONTH)
        for tier in ("Basic", "Standard", "Premium")
    },
    "firewall_hour": (("Azure Firewall",), "Basic Deployment", "1 Hour", 1.0),
}
"""Price in the table: products, meter and unit in the list, and how many units make one of the table's."""

_Hours = dict[str, dict[str, float | None] | None]
"""Dedicated and low-priority price of an hour by size; None where nothing is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Note:
    """What was asked of the list today, for one region."""

    endpoint: str
    today: str
    region: str

    @property
    def chosen(self) -> str:
        """The part of each question that says where and how it is paid for."""
        return f"priceType eq 'Consumption' and armRegionName eq '{self.region}'"

    def ask(self, question: str) -> list[Mapping[str, Any]]:
        """The items that fit; none where the list cannot be read."""
        from urllib3.exceptions import HTTPError

        link = Link(f"{self.endpoint}?{urlencode({'$filter': question})}")
        connections = Connections(1, _PATIENCE)
        # A price list that cannot be read is no reason to stop: the table is there.
        with contextlib.suppress(HTTPError, OSError, ValueError, MrikitError), contextlib.closing(connections):
            with connections.get(link, {}) as response:
                answer = json.loads(response.read()) if response.status == 200 else None
            items = answer.get("Items") if isinstance(answer, Mapping) else None
            return [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []
        return []

    def read(self, kind: str) -> dict[str, Any]:
        """What was asked today already; nothing where the note is missing or damaged."""
        with contextlib.suppress(StorageError, TypeError, KeyError):
            found = read_json(self._path)
            if (found["date"], found["endpoint"]) == (self.today, self.endpoint):
                return dict(found.get(kind) or {})
        return {}

    def write(self, kind: str, known: Mapping[str, Any]) -> None:
        """Keep it beside what else was asked today."""
        other = {one: self.read(one) for one in ("machines", "services")}
        with contextlib.suppress(StorageError):  # a cache that cannot be written costs a request, no more
            write_json(self._path, {"date": self.today, "endpoint": self.endpoint, **other, kind: known})

    @property
    def _path(self) -> Path:
        return cache_folder() / "prices" / f"{self.region}.json"


def _note(prices: Prices, region: str) -> _Note | None:
    """None where nobody is to be asked."""
    endpoint = os.environ.get(ENDPOINT) or _PUBLIC
    if prices.is_own or endpoint == _OFF:
        return None
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return _Note(endpoint=endpoint, today=today, region="".join(region.lower().split()))


def _hours(sku: str, items: Iterable[Mapping[str, Any]]) -> dict[str, float | None] | None:
    """The highest price of each kind, Linux, of an hour; offers for Windows and cloud services are other products."""
    found: dict[str, list[float]] = {"dedicated": [], "low_priority": [], "spot": []}
    for item in items:
        if str(item.get("armSkuName")).lower() != sku.lower():
            continue
        product, name, hour = str(item.get("productName")), str(item.get("skuName")), item.get("retailPrice")
        is_other = "Windows" in product or "Cloud Services" in product or item.get("unitOfMeasure") != "1 Hour"
        if is_other or not _is_price(hour):
            continue
        kind = "low_priority" if name.endswith("Low Priority") else "spot" if name.endswith("Spot") else "dedicated"
        found[kind].append(float(item["retailPrice"]))
    dedicated, low = found["dedicated"], found["low_priority"] or found["spot"]
    if not dedicated and not low:
        return None
    return {"dedicated": max(dedicated, default=None), "low_priority": max(low, default=None)}


def _dearest(
    items: Iterable[Mapping[str, Any]], products: Collection[str], meter: str, unit: str, units: float
) -> float | None:
    """The highest price of the first gigabyte, day or hour; None where the list has none."""
    found = [
        float(item["retailPrice"]) * units
        for item in items
        if (item.get("productName") in products and item.get("meterName") == meter)
        and (item.get("unitOfMeasure") == unit and not item.get("tierMinimumUnits"))
        and _is_price(item.get("retailPrice"))
    ]
    return max(found, default=None)


def _is_price(amount: object) -> bool:
    return isinstance(amount, int | float) and math.isfinite(amount) and amount > 0
