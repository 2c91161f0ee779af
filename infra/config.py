"""The stack's configuration: read once, checked before anything is declared, one line for each mistake."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.values import (
    Reader,
    SettingsError,
    address,
    choice,
    email,
    group,
    image_tag,
    month,
    nearest,
    number,
    region,
    require,
    shown,
    subnet,
)

PROJECT = "mrikit"
PASSED_ON = ("azure-native", "pulumi")
"""Namespaces of keys that are not this program's and may stand in the same file."""
STORAGE_SKUS = ("Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS")
PRIORITIES = {"dedicated": "Dedicated", "lowPriority": "LowPriority"}
"""The word in the configuration: Azure's word."""
_SKU = re.compile(r"Standard_[A-Z]{1,3}\d{1,3}[a-z]*(-\d+[a-z]*)?(_[A-Z][A-Za-z0-9]*)?(_v\d+)?")
_CLUSTER_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{2,23}")
_STACK = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,39}")
_TAG_NAME = re.compile(r"[^<>%&\\?/]{1,128}")


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
    require(
        _STACK.fullmatch(stack),
        f"stack: 1 to 40 letters, digits, - or _, a letter first, because names are made of it; found '{stack}'",
    )
    values = _own_values(config)
    reader = Reader(values)
    settings = Settings(
        stack=stack,
        location=region(reader.text("location", "westeurope")),
        admin_email=email(reader.text("adminEmail", "")),
        monthly_budget=reader.number("monthlyBudget", 500, 1, 10_000_000, "an amount above 0 for alerts"),
        budget_start=month(reader.text("budgetStart", "")),
        allowed_ips=tuple(address(text) for text in reader.texts("allowedIps")),
        subnet_id=subnet(reader.text("subnetId", "")),
        team_group_id=group(reader.text("teamGroupId", "")),
        storage_sku=choice("storageSku", reader.text("storageSku", STORAGE_SKUS[0]), STORAGE_SKUS),
        raw_cool_days=reader.number("rawCoolDays", 7, 0, 3650, "days"),
        raw_delete_days=reader.number("rawDeleteDays", 90, 1, 3650, "days"),
        soft_delete_days=reader.number("softDeleteDays", 7, 1, 365, "days"),
        copies_at_once=reader.number("copiesAtOnce", 4, 1, 50, "archives"),
        image_tag=image_tag(reader.text("imageTag", "0.1.0")),
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
        require(
            other is cluster.sku,
            f"clusters: two are called '{cluster.name}', and letters' case does not count; rename one",
        )


def _clusters(found: object) -> tuple[Cluster, ...]:
    if found is None:
        return DEFAULT_CLUSTERS
    example = "{name: gpu, sku: Standard_NC24ads_A100_v4, priority: lowPriority, maxNodes: 4, idleMinutes: 15}"
    right = isinstance(found, list) and found and all(isinstance(one, dict) for one in found)
    require(right, f"clusters: a list of tables such as {example}; found {shown(found)}")
    assert isinstance(found, list)
    return tuple(_cluster(index, one) for index, one in enumerate(found))


def _cluster(index: int, table: Mapping[str, Any]) -> Cluster:
    where = f"clusters[{index}]"
    known = ("name", "sku", "priority", "maxNodes", "idleMinutes")
    for key in table:
        why = "; every cluster goes back to 0 nodes by itself" if key == "minNodes" else ""
        require(key in known, f"{where}.{key}: no such key; {nearest(key, known)}{why}")
    for key in ("name", "sku", "maxNodes"):
        require(table.get(key) is not None, f"{where}.{key}: missing; every cluster has one")
    name, sku, priority = str(table["name"]), str(table["sku"]), str(table.get("priority", "dedicated"))
    require(
        _CLUSTER_NAME.fullmatch(name),
        f"{where}.name: 3 to 24 letters, digits and hyphens, a letter first, no hyphen and number last; found '{name}'",
    )
    require(_SKU.fullmatch(sku), f"{where}.sku: a size such as Standard_NC24ads_A100_v4; found '{sku}'")
    return Cluster(
        name=name,
        sku=sku,
        priority=PRIORITIES[choice(f"{where}.priority", priority, tuple(PRIORITIES))],
        max_nodes=number(f"{where}.maxNodes", table["maxNodes"], 1, 1000, "nodes"),
        idle_minutes=number(f"{where}.idleMinutes", table.get("idleMinutes", 15), 2, 120, "minutes"),
    )


def _tags(found: object) -> dict[str, str]:
    if found is None:
        return {}
    require(isinstance(found, dict), f"tags: a table of names and texts; found {shown(found)}")
    assert isinstance(found, dict)
    require(len(found) <= 40, f"tags: at most 40, because Azure takes 50 and some are ours; found {len(found)}")
    for name, value in found.items():
        require(_TAG_NAME.fullmatch(name), f"tags: a name has up to 128 characters, none of <>%&\\?/; found '{name}'")
        require(isinstance(value, str) and len(value) <= 256, f"tags.{name}: a text of at most 256 characters")
    return dict(found)
