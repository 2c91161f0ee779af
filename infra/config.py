"""The stack's settings: read once, checked before anything is declared, one line for the first mistake."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from infra import values
from infra.refusals import refusal
from infra.values import SettingsError, require

PROJECT = "mrikit"
PASSED_ON = ("azure-native", "pulumi")
"""Namespaces of keys that are not this program's and may stand in the same file."""
_GONE = {
    "imageTag": "no setting any more, because `mrikit image push` registers images; `pulumi config rm imageTag`",
    "stack": "no setting; `pulumi stack select` names the stack",
}

Whole = Annotated[int, BeforeValidator(values.no_flag)]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, str_strip_whitespace=True
    )


class Cluster(_Model):
    """One Azure ML cluster, which has no nodes while nobody uses it."""

    name: Annotated[str, AfterValidator(values.cluster_name)]
    """3 to 18 letters, digits and hyphens; jobs name it."""
    sku: Annotated[str, AfterValidator(values.machine)]
    """Size of its machines, such as Standard_NC24ads_A100_v4."""
    priority: Annotated[str, BeforeValidator(values.priority)] = "Dedicated"
    """`Dedicated`, or `LowPriority`: cheaper, and taken away without notice."""
    max_nodes: Whole = Field(ge=1, le=1000, description="nodes")
    idle_minutes: Whole = Field(15, ge=2, le=120, description="minutes")
    """After which an idle node is given back."""


DEFAULT_CLUSTERS = (
    Cluster(name="gpu", sku="Standard_NC24ads_A100_v4", priority="lowPriority", max_nodes=4, idle_minutes=15),
    Cluster(name="cpu", sku="Standard_D16s_v3", priority="dedicated", max_nodes=2, idle_minutes=10),
)


class Settings(_Model):
    """What a stack asks for; Pulumi.yaml describes each key."""

    stack: Annotated[str, AfterValidator(values.stack)]
    location: Annotated[str, AfterValidator(values.region)] = "westeurope"
    admin_email: Annotated[str, AfterValidator(values.email)]
    monthly_budget: Whole = Field(500, ge=1, le=10_000_000, description="an amount above 0 for alerts")
    budget_start: Annotated[dt.date | None, BeforeValidator(values.month)] = None
    stop_at_budget: bool = False
    network: Literal["public", "private", "managed"] = "public"
    subnet_id: Annotated[str, AfterValidator(values.subnet)] = ""
    allowed_ips: tuple[Annotated[str, AfterValidator(values.address)], ...] = ()
    download_hosts: tuple[Annotated[str, AfterValidator(values.host)], ...] = ("fastmri-dataset.s3.amazonaws.com",)
    team_group_id: Annotated[str, AfterValidator(values.group)] = ""
    storage_sku: Literal[
        "Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS", "Premium_LRS", "Premium_ZRS"
    ] = "Standard_LRS"
    registry_tier: Literal["", "Basic", "Standard", "Premium"] = ""
    raw_cool_days: Whole = Field(7, ge=0, le=3650, description="days")
    raw_delete_days: Whole = Field(90, ge=1, le=3650, description="days")
    soft_delete_days: Whole = Field(7, ge=1, le=365, description="days")
    copies_at_once: Whole = Field(4, ge=1, le=50, description="archives")
    protect_data: bool = True
    lock_data: bool = True
    generation: Whole = Field(1, ge=1, le=1_000_000, description="a number that you raise")
    clusters: tuple[Cluster, ...] = Field(DEFAULT_CLUSTERS, min_length=1)
    tags: Annotated[dict[str, Any], AfterValidator(values.tags)] = {}

    @property
    def is_private(self) -> bool:
        """Whether everything is reached through a network of the user's own only."""
        return self.network == "private"

    @model_validator(mode="before")
    @classmethod
    def _mode(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A subnet alone asks for `private`, as it did before there was the setting."""
        return {**given, "network": given.get("network") or ("private" if given.get("subnetId") else "public")}

    @model_validator(mode="after")
    def _sense(self) -> "Settings":
        """What several keys say together."""
        require(
            self.subnet_id or not self.is_private,
            "subnetId: missing; network private takes a subnet of yours, as `az network vnet subnet show --query id` "
            "prints it",
        )
        require(
            self.is_private or not self.subnet_id,
            f"subnetId: a subnet of yours goes with network private alone; found network {self.network}",
        )
        require(not (self.is_private and self.allowed_ips), "allowedIps: nothing is public with subnetId; keep one")
        # Rules of an account have to be unique (https://github.com/Azure/azure-cli/issues/11729).
        twice = next((one for one in self.allowed_ips if self.allowed_ips.count(one) > 1), "")
        require(not twice, f"allowedIps: '{twice}' stands there twice, which Azure Storage refuses; keep one")
        require(
            self.network == "public" or self.registry_tier in ("", "Premium"),
            f"registryTier: only Premium has private endpoints, which network {self.network} needs; "
            f"found '{self.registry_tier}'",
        )
        require(
            self.raw_delete_days > self.raw_cool_days,
            f"rawDeleteDays: more than rawCoolDays, which is {self.raw_cool_days}; found {self.raw_delete_days}",
        )
        seen: set[str] = set()
        for cluster in self.clusters:
            name = cluster.name.lower()
            require(
                name not in seen,
                f"clusters: two are called '{cluster.name}', and letters' case does not count; rename one",
            )
            seen.add(name)
        return self


def read_settings(config: Mapping[str, Any], stack: str) -> Settings:
    """Settings from the engine's configuration.

    Args:
        config: Namespaced key to value; a value that is no text stands as JSON, as the engine hands it over.
        stack: Name of the stack.

    Raises:
        SettingsError: A key is unknown, missing or of another form.
    """
    given: dict[str, Any] = {}
    for key, value in config.items():
        namespace, colon, name = key.partition(":")
        if colon and namespace == PROJECT:
            require(name not in _GONE, f"{name}: {_GONE.get(name)}")
            given[name] = values.decoded(name, value)
        elif namespace not in PASSED_ON:
            raise SettingsError(
                f"{key}: belongs to another project; this one is '{PROJECT}' and its keys are written {PROJECT}:..."
            )
    try:
        return Settings.model_validate({"stack": stack, **given})
    except ValidationError as error:
        raise SettingsError(refusal(Settings, error)) from None


def setting_names() -> tuple[str, ...]:
    """Every key that a stack's file may have."""
    return tuple(field.alias or name for name, field in Settings.model_fields.items() if name != "stack")
