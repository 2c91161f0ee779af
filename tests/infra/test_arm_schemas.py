"""What the program would send to Azure is what Microsoft's schemas describe, property by property."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from mrikit.estate.declared import Declared, Record

from .arm_bodies import RENAMED, wire_body
from .arm_schemas import ArmSchemas
from .sdk_arguments import api_version, argument_faults

WITHOUT_SCHEMA = {
    "authorization:ManagementLockByScope",
    "logic:Workflow",
    "monitor:ActionGroup",
    "monitor:DiagnosticSetting",
    "network:PrivateDnsZoneGroup",
    "network:PrivateEndpoint",
    "network:Subnet",
    "network:VirtualNetwork",
    "privatedns:PrivateZone",
    "privatedns:VirtualNetworkLink",
}
"""Checked against the SDK's classes instead."""

_ACCOUNT = "storage:StorageAccount data"
_VAULT = "keyvault:Vault vault"
_CLUSTER = "machinelearningservices:Compute cluster-gpu"
_DATASTORE = "machinelearningservices:Datastore raw-store"
_COPY = "datafactory:Pipeline copy-archive"
_UNPACK = "datafactory:Pipeline copy-and-unpack-archive"
_TAR_GZ = "activities.0.cases.1.activities.0"
_TAR_GZ_SENT = "properties.activities[0].typeProperties.cases[1].activities[0]"
_FREE = {"tags", "parameters", "notifications", "userAssignedIdentities"}
"""Tables whose keys are the user's."""
_NO_SUCH = "the schema knows no such property"


def test_every_body_is_what_the_schema_of_its_type_describes(record: Record, arm_schemas: ArmSchemas):
    described = [one for one in record.resources if one.type not in WITHOUT_SCHEMA]

    assert [f"{one.type} {one.name}: {fault}" for one in described for fault in _faults(one, arm_schemas)] == []


def test_every_input_without_a_schema_is_one_that_the_sdk_knows(record: Record):
    others = [one for one in record.resources if one.type in WITHOUT_SCHEMA]

    assert [f"{one.type} {one.name}: {fault}" for one in others for fault in argument_faults(one)] == []


def test_only_the_named_types_have_no_schema(records: dict[str, Record], arm_schemas: ArmSchemas):
    resources = [one for stack in ("dev", "prod", "private", "managed") for one in records[stack].resources]

    assert {one.type for one in resources if one.arm_type not in arm_schemas.resources} == WITHOUT_SCHEMA


def test_schemas_are_of_the_api_versions_that_the_sdk_speaks(dev_record: Record, arm_schemas: ArmSchemas):
    types = {one.type: one.arm_type for one in dev_record.resources if one.type not in WITHOUT_SCHEMA}

    assert {kind: arm_schemas.resources[arm].api_version for kind, arm in types.items()} == {
        kind: api_version(kind) for kind in types
    }


def test_every_renamed_property_is_in_use(dev_record: Record):
    used = {(one.type, key) for one in dev_record.resources for key in _keys(one.inputs)}

    assert set(RENAMED) <= used


def test_no_property_can_be_misspelt_unnoticed(dev_record: Record, arm_schemas: ArmSchemas):
    described = [one for one in dev_record.resources if one.type not in WITHOUT_SCHEMA]
    bodies = {f"{one.type} {one.name}": wire_body(one, arm_schemas) for one in described}

    assert [
        (resource, path)
        for resource, body in bodies.items()
        for path in _own_properties(body)
        if path not in ("name", "type") and not arm_schemas.strangers(_altered(body, path, _misspell))
    ] == []


@pytest.mark.parametrize(
    ("resource", "path", "misspelt", "fault"),
    [
        (_VAULT, "location", "locaton", "locaton: "),
        (_ACCOUNT, "location", "locaton", "properties.locaton: "),
        (_ACCOUNT, "networkRuleSet.bypass", "bypas", "properties.networkAcls.bypas: "),
        (_CLUSTER, "properties.properties.vmPriority", "priority", "properties.properties.priority: "),
        (_DATASTORE, "properties.containerName", "container", "properties.container: "),
        (
            "consumption:Budget budget-",
            "notifications.spent-80.operator",
            "is",
            "properties.notifications.spent-80.is: ",
        ),
        (_COPY, "activities.0.source", "sourec", "properties.activities[0].typeProperties.sourec: "),
        (
            _UNPACK,
            f"{_TAR_GZ}.source.storeSettings.requestTimeout",
            "httpRequestTimeout",
            f"{_TAR_GZ_SENT}.typeProperties.source.storeSettings.httpRequestTimeout: ",
        ),
        (
            "datafactory:Dataset store_blob",
            "properties.location.folderPath",
            "folder",
            "properties.typeProperties.location.folder: ",
        ),
        (
            "datafactory:Dataset link_archive",
            "properties.location.relativeUrl.value",
            "text",
            "properties.typeProperties.location.relativeUrl: no expression (text: ",
        ),
    ],
)
def test_a_misspelt_property_is_named_by_its_path(
    dev_record: Record, arm_schemas: ArmSchemas, resource, path, misspelt, fault
):
    faults = _faults(
        _changed(dev_record, resource, path, lambda holder, key: _rename(holder, key, misspelt)), arm_schemas
    )

    assert _begin(faults, f"{fault}{_NO_SUCH}"), faults


@pytest.mark.parametrize(
    ("resource", "path", "value", "fault"),
    [
        (_ACCOUNT, "kind", "StorageV3", "kind: 'StorageV3' is not one of"),
        (_ACCOUNT, "accountName", "NOT_VALID", "name: 'NOT_VALID' does not match"),
        (_ACCOUNT, "isHnsEnabled", "yes", "properties.isHnsEnabled: 'yes' is not of type 'boolean'"),
        (_VAULT, "tags.owner", 7, "tags.owner: 7 is not of type 'string'"),
        (
            "authorization:RoleAssignment compute-acrpull-registry",
            "principalType",
            "Robot",
            "properties.principalType: 'Robot' is not one of",
        ),
        (_CLUSTER, "properties.computeType", "Cluster", "properties.computeType: 'Cluster' is none of the 10 variants"),
        (
            _CLUSTER,
            "properties.properties.vmPriority",
            "Spot",
            "properties.properties.vmPriority: 'Spot' is not one of",
        ),
        (
            _CLUSTER,
            "properties.properties.scaleSettings.maxNodeCount",
            "4",
            "properties.properties.scaleSettings.maxNodeCount: '4' is not of type 'integer'",
        ),
        (
            _DATASTORE,
            "properties.credentials.credentialsType",
            "Nobody",
            "properties.credentials.credentialsType: 'Nobody' is none of the 5 variants",
        ),
        (_COPY, "activities.0.type", "Cpoy", "properties.activities[0].type: 'Cpoy' is none of the 40 variants"),
        (_COPY, "activities.0.outputs.0.type", "Dataset", "properties.activities[0].outputs[0].type: 'Dataset' is not"),
        (
            _COPY,
            "activities.0.dataIntegrationUnits",
            "4",
            "properties.activities[0].typeProperties.dataIntegrationUnits: '4' is neither of type 'integer' nor",
        ),
        (_COPY, "activities.0.policy.timeout", "12h", "properties.activities[0].policy.timeout: '12h' does not match"),
        (_COPY, "concurrency", 0, "properties.concurrency: 0 is less than the minimum of 1"),
    ],
)
def test_a_value_that_azure_refuses_is_named_by_its_path(
    dev_record: Record, arm_schemas: ArmSchemas, resource, path, value, fault
):
    faults = _faults(_changed(dev_record, resource, path, lambda holder, key: _put(holder, key, value)), arm_schemas)

    assert _begin(faults, fault), faults


@pytest.mark.parametrize(
    ("resource", "path", "where", "missing"),
    [
        ("resources:ResourceGroup group", "location", "the body", "location"),
        (_VAULT, "properties.tenantId", "properties", "tenantId"),
        (
            _CLUSTER,
            "properties.properties.scaleSettings.maxNodeCount",
            "properties.properties.scaleSettings",
            "maxNodeCount",
        ),
        (_COPY, "activities.0.sink", "properties.activities[0].typeProperties", "sink"),
        (_UNPACK, f"{_TAR_GZ}.inputs.0.referenceName", f"{_TAR_GZ_SENT}.inputs[0]", "referenceName"),
    ],
)
def test_a_missing_property_is_named_with_where_it_is_missed(
    dev_record: Record, arm_schemas: ArmSchemas, resource, path, where, missing
):
    faults = _faults(_changed(dev_record, resource, path, _remove), arm_schemas)

    assert _begin(faults, f"{where}: '{missing}' is a required property"), faults


@pytest.mark.parametrize(
    ("resource", "path", "value", "fault"),
    [
        ("network:Subnet nodes", "adressPrefix", "10.0.0.0/8", "adressPrefix: SubnetInitArgs knows no such"),
        (
            "network:VirtualNetwork network",
            "addressSpace.prefixes",
            [],
            "addressSpace.prefixes: AddressSpaceArgs knows",
        ),
        (
            "authorization:ManagementLockByScope keep-data",
            "level",
            "Maybe",
            "level: 'Maybe' is not one of",
        ),
        ("monitor:DiagnosticSetting data-logs", "logs.0.enabled", "on", "logs[0].enabled: 'on' is no bool"),
    ],
)
def test_what_the_sdk_does_not_know_is_named_by_its_path(dev_record: Record, resource, path, value, fault):
    faults = argument_faults(_changed(dev_record, resource, path, lambda holder, key: _put(holder, key, value)))

    assert _begin(faults, fault), faults


def test_the_sdk_names_what_is_missing_with_where_it_is_missed(dev_record: Record):
    faults = argument_faults(_changed(dev_record, "monitor:DiagnosticSetting data-logs", "logs.0.enabled", _remove))

    assert faults == ["logs[0]: enabled is required"]


def _faults(declared: Declared, schemas: ArmSchemas) -> list[str]:
    return schemas.faults(wire_body(declared, schemas))


def _begin(faults: list[str], words: str) -> bool:
    return any(one.startswith(words) for one in faults)


def _changed(record: Record, resource: str, path: str, change: Callable[[Any, Any], None]) -> Declared:
    """A resource of a record, otherwise at one place of its inputs."""
    (declared,) = [one for one in record.resources if f"{one.type} {one.name}".startswith(resource)]
    return replace(declared, inputs=_altered(declared.inputs, path, change))


def _altered(table: Mapping[str, Any], path: str, change: Callable[[Any, Any], None]) -> dict[str, Any]:
    """A copy that is otherwise at one place; `change` gets what holds it, and the key."""
    copied: Any = copy.deepcopy(dict(table))
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    holder = copied
    for part in way:
        holder = holder[part]
    change(holder, last)
    return copied


def _own_properties(value: Any, path: str = "", *, is_free: bool = False) -> Iterator[str]:
    """Paths of all properties that are not names of the user's choice."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, one in pairs:
        below = f"{path}.{key}".lstrip(".")
        if isinstance(value, Mapping) and not is_free:
            yield below
        yield from _own_properties(one, below, is_free=key in _FREE)


def _put(holder: Any, key: Any, value: Any) -> None:
    holder[key] = value


def _rename(holder: Any, key: Any, name: str) -> None:
    holder[name] = holder.pop(key)


def _misspell(holder: Any, key: Any) -> None:
    _rename(holder, key, f"{key}s")


def _remove(holder: Any, key: Any) -> None:
    del holder[key]


def _keys(value: Any) -> set[str]:
    """Of all tables, in every depth."""
    below = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {*(value if isinstance(value, Mapping) else ()), *(key for one in below for key in _keys(one))}
