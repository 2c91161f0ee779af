"""List prices of machines, from Azure's public price interface."""

import contextlib
import datetime as dt
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
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
    endpoint = os.environ.get(ENDPOINT) or _PUBLIC
    if prices.is_own or endpoint == _OFF:
        return prices
    today, region = dt.datetime.now(dt.UTC).date().isoformat(), "".join(region.lower().split())
    known = _kept(endpoint, today, region)
    missing = sorted(set(skus) - known.keys())
    if missing:
        known |= dict.fromkeys(missing) | _ask(endpoint, region, missing)
        _keep(endpoint, today, region, known)
    listed = {sku: Listed(date=today, **found) for sku in skus if (found := known[sku]) is not None}
    return replace(prices, listed={**prices.listed, **listed})


_Hours = dict[str, dict[str, float | None] | None]
"""Dedicated and low-priority price of an hour by size; None where nothing is known."""


def _ask(endpoint: str, region: str, skus: Collection[str]) -> _Hours:
    """One request for all sizes; nothing where it fails."""
    from urllib3.exceptions import HTTPError

    sizes = " or ".join(f"armSkuName eq '{sku}'" for sku in skus)
    chosen = f"serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '{region}'"
    link = Link(f"{endpoint}?{urlencode({'$filter': f'{chosen} and ({sizes})'})}")
    connections = Connections(1, _PATIENCE)
    # A price list that cannot be read is no reason to stop: the table is there.
    with contextlib.suppress(HTTPError, OSError, ValueError, MrikitError), contextlib.closing(connections):
        with connections.get(link, {}) as response:
            answer = json.loads(response.read()) if response.status == 200 else None
        items = answer.get("Items") if isinstance(answer, Mapping) else None
        return {sku: _hours(sku, items) for sku in skus} if isinstance(items, list) else {}
    return {}


def _hours(sku: str, items: Iterable[Any]) -> dict[str, float | None] | None:
    """The highest price of each kind, Linux, of an hour; offers for Windows and cloud services are other products."""
    found: dict[str, list[float]] = {"dedicated": [], "low_priority": [], "spot": []}
    for item in items:
        if not isinstance(item, Mapping) or str(item.get("armSkuName")).lower() != sku.lower():
            continue
        product, name, hour = str(item.get("productName")), str(item.get("skuName")), item.get("retailPrice")
        is_other = "Windows" in product or "Cloud Services" in product or item.get("unitOfMeasure") != "1 Hour"
        if is_other or not isinstance(hour, int | float) or not (math.isfinite(hour) and hour > 0):
            continue
        kind = "low_priority" if name.endswith("Low Priority") else "spot" if name.endswith("Spot") else "dedicated"
        found[kind].append(float(hour))
    dedicated, low = found["dedicated"], found["low_priority"] or found["spot"]
    if not dedicated and not low:
        return None
    return {"dedicated": max(dedicated, default=None), "low_priority": max(low, default=None)}


def _kept(endpoint: str, today: str, region: str) -> _Hours:
    """What was asked today already; nothing where the note is missing or damaged."""
    with contextlib.suppress(StorageError, TypeError, KeyError):
        found = read_json(cache_folder() / "prices" / f"{region}.json")
        if (found["date"], found["endpoint"]) == (today, endpoint):
            return dict(found["machines"])
    return {}


def _keep(endpoint: str, today: str, region: str, known: _Hours) -> None:
    with contextlib.suppress(StorageError):  # a cache that cannot be written costs a request, no more
        kept = {"date": today, "endpoint": endpoint, "machines": known}
        write_json(cache_folder() / "prices" / f"{region}.json", kept)
