"""List prices from a stand-in for Azure's public price interface."""

import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from azurite import make_certificate
from https_server import HttpsServer

from mrikit.estate.listed import ENDPOINT, with_listed, with_listed_services
from mrikit.estate.prices import PRICES_FILE, load_prices

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

A100, T4 = "Standard_NC24ads_A100_v4", "Standard_NC4as_T4_v3"


def item(hour, name="", product="Virtual Machines NCadsA100v4 Series", sku=A100, **others):
    return {
        "armSkuName": sku, "skuName": f"NC24ads A100 v4{name}", "productName": product, "retailPrice": hour,
        "unitOfMeasure": "1 Hour", "type": "Consumption", **others,
    }  # fmt: skip


OFFERS = [
    item(4.5), item(0.9, " Low Priority"), item(1.1, " Spot"), item(7.0, product="Virtual Machines Windows"),
    item(9.0, product="NCads Series Cloud Services"), item(500.0, unitOfMeasure="1 Month"), item(0.0),
]  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("prices"))


@pytest.fixture
def interface(certificate, monkeypatch, tmp_path):
    """The stand-in; `requests` holds the filters that it was asked for, `offers` is what it answers."""
    server = HttpsServer(None, *certificate)
    server.requests, server.offers, server.status = [], OFFERS, 200

    def answer(_method, path, _headers, _body):
        server.requests.append(parse_qs(urlsplit(path).query)["$filter"][0])
        return server.status, {}, {"Items": server.offers}

    server.answer = answer
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(ENDPOINT, f"{server.endpoint}/api/retail/prices")
    yield server
    server.close()


def price(priority="Dedicated", sku=A100, region="westeurope"):
    return with_listed(load_prices(), region, [sku]).node_price(sku, priority)


def test_a_dedicated_and_a_spot_price_are_those_of_linux(interface):
    assert (price().hour, price("LowPriority").hour) == (4.5, 0.9)
    assert price().source.startswith("listed 20")
    assert price().is_sure


def test_the_price_of_spot_stands_in_where_none_of_low_priority_is_listed(interface):
    interface.offers = [item(4.5), item(1.1, " Spot")]
    assert price("LowPriority").hour == 1.1


def test_a_kind_that_is_not_listed_comes_from_the_table(interface):
    interface.offers = [item(4.5)]
    assert price("LowPriority").source == "table of 2025-10-01"


def test_all_sizes_of_a_region_are_one_request_a_day(interface):
    interface.offers = [*OFFERS, item(0.6, sku=T4.upper())]
    for _ in range(2):
        prices = with_listed(load_prices(), "West Europe", [A100, T4])
        assert prices.node_price(T4, "Dedicated").hour == 0.6
    (asked,) = interface.requests
    assert f"armRegionName eq 'westeurope' and (armSkuName eq '{A100}' or armSkuName eq '{T4}')" in asked
    price(region="eastus")
    assert len(interface.requests) == 2


def test_yesterdays_answer_is_asked_for_anew(interface, tmp_path):
    price()
    (kept,) = (tmp_path / "cache/prices").iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"date": "2026-01-01"}))
    price()
    assert len(interface.requests) == 2


def test_a_damaged_note_is_asked_for_anew(interface, tmp_path):
    (tmp_path / "cache/prices").mkdir(parents=True)
    (tmp_path / "cache/prices/westeurope.json").write_text("[1")
    assert price().hour == 4.5


@pytest.mark.parametrize("answer", [(503, OFFERS), (200, "none"), (200, [])])
def test_a_failure_is_asked_for_once_a_day_and_the_table_stands_in(interface, answer):
    interface.status, interface.offers = answer
    for _ in range(2):
        assert (price().source, price().is_sure) == ("table of 2025-10-01", False)
    assert len(interface.requests) == 1


def test_a_silent_service_costs_no_more_than_two_seconds(interface, monkeypatch):
    monkeypatch.setattr(interface, "answer", lambda *_request: time.sleep(4) or (None, {}, {}))
    start = time.monotonic()
    assert price().source == "table of 2025-10-01"
    assert time.monotonic() - start < 3


def test_an_unreachable_service_is_no_error(interface, monkeypatch):
    monkeypatch.setenv(ENDPOINT, "https://localhost:9/api/retail/prices")
    assert price().source == "table of 2025-10-01"


def test_a_cache_that_cannot_be_written_is_no_error(interface, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MRIKIT_CACHE", str(tmp_path / "file"))
    assert price().hour == 4.5


def test_a_table_of_ones_own_goes_before_the_list(interface, tmp_path):
    table = tmp_path / "ours.toml"
    table.write_text(Path(PRICES_FILE).read_text())
    prices = with_listed(load_prices(table), "westeurope", [A100])
    assert prices.node_price(A100, "Dedicated").source == "own table of 2025-10-01"
    assert interface.requests == []


def test_off_asks_nobody(interface, monkeypatch):
    monkeypatch.setenv(ENDPOINT, "off")
    assert price().source == "table of 2025-10-01"
    assert interface.requests == []


SERVICES = [
    {"productName": product, "meterName": meter, "unitOfMeasure": unit, "retailPrice": price, "tierMinimumUnits": least}
    for product, meter, unit, price, least in (
        ("Blob Storage", "Hot LRS Data Stored", "1 GB/Month", 0.0196, 0.0),
        ("Blob Storage", "Hot LRS Data Stored", "1 GB/Month", 0.0188, 51200.0),
        ("Files v2", "Hot LRS Data Stored", "1 GB/Month", 0.0287, 0.0),
        ("General Block Blob v2", "Hot ZRS Data Stored", "1 GB/Month", 0.0245, 0.0),
        ("Premium Block Blob", "Premium LRS Data Stored", "1 GB/Month", 0.18, 0.0),
        ("Container Registry", "Standard Registry Unit", "1/Day", 0.6666, 0.0),
        ("Azure Firewall", "Basic Deployment", "1 Hour", 0.4, 0.0),
        ("Azure Firewall", "Basic Deployment", "1 Hour", "free", 0.0),
    )
]


def service(name, kind=""):
    return with_listed_services(load_prices(), "westeurope").service_price(name, kind)


@pytest.mark.parametrize(
    ("name", "kind", "amount"),
    [
        ("storage_gb_month", "Standard_LRS", 0.0196),
        ("storage_gb_month", "Standard_ZRS", 0.0245),
        ("storage_gb_month", "Premium_LRS", 0.18),
        ("registry_month", "Standard", 0.6666 * 730 / 24),
        ("firewall_hour", "", 0.4),
    ],
)
def test_services_of_a_region_have_its_list_prices(interface, name, kind, amount):
    interface.offers = SERVICES
    assert service(name, kind).amount == pytest.approx(amount)
    assert service(name, kind).source.startswith("listed 20")


def test_a_service_that_is_not_listed_comes_from_the_table(interface):
    interface.offers = SERVICES
    assert service("registry_month", "Basic").source == "table of 2025-10-01"
    assert service("private_endpoint_month").amount == 7.3


def test_services_are_asked_for_once_a_day_beside_machines(interface):
    for _ in range(2):
        price()
        interface.offers = []
        assert service("registry_month", "Basic").amount == 5.1
        interface.offers = OFFERS
    assert len(interface.requests) == 2
    assert "armRegionName eq 'westeurope' and (meterName eq '" in interface.requests[1]


def test_a_table_of_ones_own_goes_before_listed_services(interface, tmp_path):
    table = tmp_path / "ours.toml"
    table.write_text(Path(PRICES_FILE).read_text())
    assert with_listed_services(load_prices(table), "westeurope").listed_services == {}
    assert interface.requests == []
