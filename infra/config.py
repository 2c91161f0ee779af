"""The stack's configuration: read once, checked before anything is declared, one line for each mistake."""

import datetime as dt
import difflib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.regions import REGIONS

PROJECT = "mrikit"
PASSED_ON = ("azure-native", "pulumi")
"""Namespaces of keys that are not this program's and may stand in the same file."""
STORAGE_SKUS = ("Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS")
PRIORITIES = {"dedicated": "Dedicated", "lowPriority": "LowPriority"}
"""The word in the configuration: Azure's word."""
MAX_SHORT_PREFIX = 16
"""A range of addresses larger than this is taken for a mistake."""

_SKU = re.compile(r"Standard_[A-Z]{1,3}\d{1,3}[a-z]*(-\d+[a-z]*)?(_[A-Z][A-Za-z0-9]*)?(_v\d+)?")
_CLUSTER_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{2,23}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+"
)
_IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_STACK = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,39}")
_TAG_NAME = re.compile(r"[^<>%&\\?/]{1,128}")


class SettingsError(Exception):
    """The configuration cannot be meant as it stands; the message is one line that names the key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """One Azure ML cluster, which has no nodes while nobody uses it."""

    name: str
    """3 to 24 letters, digits and hyphens; jobs name it."""
    sku: str
    """Size of its machines, such as Standard_NC24ads_A100_v4."""
    priority: str
    """`Dedicated`, or `LowPriority`: cheaper, and taken away without notice."""
    max_nodes: int
    """At least 1."""
    idle_minutes: int
    """After which an idle node is given back, 2 to 120."""


DEFAULT_CLUSTERS = (
    Cluster(name="gpu", sku="Standard_NC24ads_A100_v4", priority="LowPriority", max_nodes=4, idle_minutes=15),
    Cluster(name="cpu", sku="Standard_D16s_v3", priority="Dedicated", max_nodes=2, idle_minutes=10),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a stack asks for; Pulumi.yaml describes each key."""

    stack: str
    location: str
    admin_email: str
    monthly_budget: int
    budget_start: dt.date | None
    allowed_ips: tuple[str, ...]
    subnet_id: str
    team_group_id: str
    storage_sku: str
    raw_cool_days: int
    raw_delete_days: int
    soft_delete_days: int
    copies_at_once: int
    image_tag: str
    protect_data: bool
    generation: int
    clusters: tuple[Cluster, ...]
    tags: Mapping[str, str]

    @property
    def is_private(self) -> bool:
        """Whether everything is reached through a network of the user's own only."""
        return bool(self.subnet_id)


def read_settings(config: Mapping[str, Any], stack: str) -> Settings:
    """Settings from the engine's configuration.

    Args:
        config: Namespaced key to value; a value that is no text stands as JSON, as the engine hands it over.
        stack: Name of the stack.

    Raises:
        SettingsError: A key is unknown, missing or of another form.
    """
    _require(
        _STACK.fullmatch(stack),
        f"stack: 1 to 40 letters, digits, - or _, a letter first, because names are made of it; found '{stack}'",
    )
    values = _own_values(config)
    reader = _Reader(values)
    settings = Settings(
        stack=stack,
        location=_region(reader.text("location", "westeurope")),
        admin_email=_email(reader.text("adminEmail", "")),
        monthly_budget=reader.number("monthlyBudget", 500, 1, 10_000_000, "an amount above 0 for alerts"),
        budget_start=_month(reader.text("budgetStart", "")),
        allowed_ips=tuple(_address(text) for text in reader.texts("allowedIps")),
        subnet_id=_subnet(reader.text("subnetId", "")),
        team_group_id=_group(reader.text("teamGroupId", "")),
        storage_sku=_choice("storageSku", reader.text("storageSku", STORAGE_SKUS[0]), STORAGE_SKUS),
        raw_cool_days=reader.number("rawCoolDays", 7, 0, 3650, "days"),
        raw_delete_days=reader.number("rawDeleteDays", 90, 1, 3650, "days"),
        soft_delete_days=reader.number("softDeleteDays", 7, 1, 365, "days"),
        copies_at_once=reader.number("copiesAtOnce", 4, 1, 50, "archives"),
        image_tag=_image_tag(reader.text("imageTag", "0.1.0")),
        protect_data=reader.flag("protectData", default=True),
        generation=reader.number("generation", 1, 1, 1_000_000, "a number that you raise"),
        clusters=_clusters(reader.value("clusters")),
        tags=_tags(reader.value("tags")),
    )
    reader.require_no_other()
    _require_sense(settings)
    return settings


def _own_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """This project's keys without their namespace."""
    own: dict[str, Any] = {}
    for key, value in config.items():
        namespace, colon, name = key.partition(":")
        if colon and namespace == PROJECT:
            own[name] = value
        elif namespace not in PASSED_ON:
            raise SettingsError(
                f"{key}: belongs to another project; this one is '{PROJECT}' and its keys are written {PROJECT}:..."
            )
    return own


def _require_sense(settings: Settings) -> None:
    """What several keys say together."""
    if settings.is_private and settings.allowed_ips:
        raise SettingsError("allowedIps: nothing is public with subnetId; keep one of the two")
    if settings.raw_delete_days <= settings.raw_cool_days:
        raise SettingsError(
            f"rawDeleteDays: more than rawCoolDays, which is {settings.raw_cool_days}; found {settings.raw_delete_days}"
        )
    seen: dict[str, str] = {}
    for cluster in settings.clusters:
        other = seen.setdefault(cluster.name.lower(), cluster.sku)
        _require(
            other is cluster.sku,
            f"clusters: two are called '{cluster.name}', and letters' case does not count; rename one",
        )


class _Reader:
    """Values by key, and which keys have been asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._asked: list[str] = []

    def value(self, key: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The value, decoded where it is JSON of a list or an object; None if there is none."""
        self._asked.append(key)
        found = self._values.get(key)
        if isinstance(found, str) and found.strip()[:1] in ("[", "{"):
            try:
                return json.loads(found)
            except json.JSONDecodeError as error:
                raise SettingsError(f"{key}: not JSON ({error.msg} at {error.pos})") from None
        return found

    def text(self, key: str, default: str) -> str:
        found = self.value(key)
        if found is None:
            return default
        _require(isinstance(found, str), f"{key}: a text; found {_shown(found)}")
        return str(found).strip()

    def texts(self, key: str) -> list[str]:
        found = self.value(key)
        if found is None or found == "":
            return []
        right = isinstance(found, list) and all(isinstance(one, str) for one in found)
        _require(right, f"{key}: a list of texts; found {_shown(found)}")
        return [one.strip() for one in found]

    def number(self, key: str, default: int, least: int, most: int, what: str) -> int:
        found = self.value(key)
        return default if found is None else _number(key, found, least, most, what)

    def flag(self, key: str, *, default: bool) -> bool:
        found = self.value(key)
        if found is None:
            return default
        words = {"true": True, "false": False}
        _require(str(found).lower() in words, f"{key}: true or false; found {_shown(found)}")
        return words[str(found).lower()]

    def require_no_other(self) -> None:
        for key in self._values:
            _require(key in self._asked, f"{key}: no such key; {_nearest(key, self._asked)}")


def _number(key: str, found: object, least: int, most: int, what: str) -> int:
    is_whole = isinstance(found, int | str) and not isinstance(found, bool) and re.fullmatch(r"-?\d+", str(found))
    _require(
        is_whole and least <= int(str(found)) <= most, f"{key}: {what}, {least} to {most:,}; found {_shown(found)}"
    )
    return int(str(found))


def _region(text: str) -> str:
    if text in REGIONS:
        return text
    # "West Europe" is how the portal writes it.
    plain = text.lower().replace(" ", "")
    raise SettingsError(
        f"location: no region of Azure's public cloud is called '{text}'; {_nearest(plain, sorted(REGIONS))}"
    )


def _email(text: str) -> str:
    _require(text, f"adminEmail: missing; `pulumi config set {PROJECT}:adminEmail you@example.org`")
    _require(_EMAIL.fullmatch(text), f"adminEmail: an address such as you@example.org; found '{text}'")
    return text


def _month(text: str) -> dt.date | None:
    if not text:
        return None
    try:
        start = dt.date.fromisoformat(text)
    except ValueError:
        start = dt.date.min.replace(day=2)
    _require(
        start.day == 1 and start >= dt.date(2017, 6, 1),
        f"budgetStart: the first of a month as YYYY-MM-01; found '{text}'",
    )
    return start


def _address(text: str) -> str:
    """An address or a range as storage's firewall takes them: public, and /31 and /32 without their prefix."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise SettingsError(
            f"allowedIps: an IPv4 address or range such as 203.0.113.0/24; found '{text}' ({error})"
        ) from None
    _require(
        network.prefixlen >= MAX_SHORT_PREFIX,
        f"allowedIps: '{text}' opens the data to {network.num_addresses:,} addresses; at most /{MAX_SHORT_PREFIX}",
    )
    # The ranges for documentation are not global, and stand in examples.
    is_private = any(network.subnet_of(ipaddress.IPv4Network(one)) for one in ("10.0.0.0/8", "172.16.0.0/12"))
    _require(
        not (is_private or network.subnet_of(ipaddress.IPv4Network("192.168.0.0/16"))),
        f"allowedIps: '{text}' is an address inside of a network, which Azure never sees; name the public one",
    )
    _require(
        network.prefixlen != 31, f"allowedIps: Azure Storage takes no /31; name both addresses of '{text}' instead"
    )
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def _subnet(text: str) -> str:
    _require(
        not text or _SUBNET.fullmatch(text),
        f"subnetId: /subscriptions/.../virtualNetworks/NAME/subnets/NAME, as `az network vnet subnet show --query id` "
        f"prints it; found '{text}'",
    )
    return text


def _group(text: str) -> str:
    _require(
        not text or _GUID.fullmatch(text),
        f"teamGroupId: a GUID, as `az ad group show --group NAME --query id` prints it; found '{text}'",
    )
    return text


def _image_tag(text: str) -> str:
    _require(_IMAGE_TAG.fullmatch(text), f"imageTag: letters, digits and any of ._-, not empty; found '{text}'")
    _require(text != "latest", "imageTag: 'latest' is another image tomorrow; name a version")
    return text


def _choice(key: str, text: str, choices: tuple[str, ...]) -> str:
    _require(text in choices, f"{key}: one of {', '.join(choices)}; found '{text}'")
    return text


def _clusters(found: object) -> tuple[Cluster, ...]:
    if found is None:
        return DEFAULT_CLUSTERS
    example = "{name: gpu, sku: Standard_NC24ads_A100_v4, priority: lowPriority, maxNodes: 4, idleMinutes: 15}"
    right = isinstance(found, list) and found and all(isinstance(one, dict) for one in found)
    _require(right, f"clusters: a list of tables such as {example}; found {_shown(found)}")
    assert isinstance(found, list)
    return tuple(_cluster(index, one) for index, one in enumerate(found))


def _cluster(index: int, table: Mapping[str, Any]) -> Cluster:
    where = f"clusters[{index}]"
    known = ("name", "sku", "priority", "maxNodes", "idleMinutes")
    for key in table:
        why = "; every cluster goes back to 0 nodes by itself" if key == "minNodes" else ""
        _require(key in known, f"{where}.{key}: no such key; {_nearest(key, known)}{why}")
    for key in ("name", "sku", "maxNodes"):
        _require(table.get(key) is not None, f"{where}.{key}: missing; every cluster has one")
    name, sku, priority = str(table["name"]), str(table["sku"]), str(table.get("priority", "dedicated"))
    _require(
        _CLUSTER_NAME.fullmatch(name),
        f"{where}.name: 3 to 24 letters, digits and hyphens, a letter first, no hyphen and number last; found '{name}'",
    )
    _require(_SKU.fullmatch(sku), f"{where}.sku: a size such as Standard_NC24ads_A100_v4; found '{sku}'")
    return Cluster(
        name=name,
        sku=sku,
        priority=PRIORITIES[_choice(f"{where}.priority", priority, tuple(PRIORITIES))],
        max_nodes=_number(f"{where}.maxNodes", table["maxNodes"], 1, 1000, "nodes"),
        idle_minutes=_number(f"{where}.idleMinutes", table.get("idleMinutes", 15), 2, 120, "minutes"),
    )


def _tags(found: object) -> dict[str, str]:
    if found is None:
        return {}
    _require(isinstance(found, dict), f"tags: a table of names and texts; found {_shown(found)}")
    assert isinstance(found, dict)
    _require(len(found) <= 40, f"tags: at most 40, because Azure takes 50 and some are ours; found {len(found)}")
    for name, value in found.items():
        _require(_TAG_NAME.fullmatch(name), f"tags: a name has up to 128 characters, none of <>%&\\?/; found '{name}'")
        _require(isinstance(value, str) and len(value) <= 256, f"tags.{name}: a text of at most 256 characters")
    return dict(found)


def _nearest(key: str, known: tuple[str, ...] | list[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else f"there are {', '.join(known)}"


def _shown(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _require(condition: object, message: str) -> None:
    if not condition:
        raise SettingsError(message)
