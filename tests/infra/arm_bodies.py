"""What the provider would send to Azure for a recorded resource, guided by Microsoft's schema of its type.

Programs give a resource's inputs flattened and by Pulumi's names; Azure takes them below `properties`, and in Data
Factory below `typeProperties`, by the names of its API.
"""

from collections.abc import Mapping
from typing import Any

from mrikit.estate.azure_types import AZURE_TYPES, path_names
from mrikit.estate.declared import Declared

from .arm_schemas import ArmSchemas, Node

IN_THE_PATH = {
    "resourceGroupName": "part of the URL",
    "scope": "of a role assignment or a budget: the URL begins with it",
    "skipValidation": "of a datastore: a parameter of the request",
}
"""Inputs that are not in a body, beside the names of azure_types; why."""

_CAMEL_CASE = "Azure's own name is not in camelCase, and Pulumi's are throughout"
_CLIENT_NAME = "Azure's description of its API asks clients for another name (x-ms-client-name)"
RENAMED = {
    ("applicationinsights:Component", "applicationType"): ("Application_Type", _CAMEL_CASE),
    ("applicationinsights:Component", "flowType"): ("Flow_Type", _CAMEL_CASE),
    ("applicationinsights:Component", "requestSource"): ("Request_Source", _CAMEL_CASE),
    ("applicationinsights:Component", "workspaceResourceId"): ("WorkspaceResourceId", _CAMEL_CASE),
    ("applicationinsights:Component", "ingestionMode"): ("IngestionMode", _CAMEL_CASE),
    ("applicationinsights:Component", "disableLocalAuth"): ("DisableLocalAuth", _CAMEL_CASE),
    ("storage:StorageAccount", "enableHttpsTrafficOnly"): ("supportsHttpsTrafficOnly", _CLIENT_NAME),
    ("storage:StorageAccount", "networkRuleSet"): ("networkAcls", _CLIENT_NAME),
    ("storage:StorageAccount", "iPAddressOrRange"): ("value", _CLIENT_NAME),
    ("storage:StorageAccount", "virtualNetworkResourceId"): ("id", _CLIENT_NAME),
}
"""Type and input: its name in Azure's API, and why Pulumi has another."""


def wire_body(declared: Declared, schemas: ArmSchemas) -> dict[str, Any]:
    """The body of a resource with its name, type and API version, as a template would have it."""
    schema = schemas.resources[declared.arm_type]
    dropped = {*IN_THE_PATH, *AZURE_TYPES[declared.type][1]}
    inputs = {key: value for key, value in declared.inputs.items() if key not in dropped}
    body = {
        "name": "/".join(path_names(declared.type, declared.inputs)),
        "type": declared.arm_type,
        "apiVersion": schema.api_version,
        **_Translation(declared.type, schemas).table(inputs, schema.node, below="properties"),
    }
    if "properties" in schema.node.schema["required"]:
        # Templates need it where Azure computes all of it, too.
        body.setdefault("properties", {})
    return body


class _Translation:
    """Of the inputs of one type of resource."""

    def __init__(self, pulumi_type: str, schemas: ArmSchemas) -> None:
        self._names = {key: name for (kind, key), (name, _) in RENAMED.items() if kind == pulumi_type}
        self._schemas = schemas

    def table(self, given: Mapping[str, Any], node: Node, below: str = "typeProperties") -> dict[str, Any]:
        """A table; what is not its own goes `below`, where the schema has that."""
        shape = self._schemas.shape(node, given)
        if shape.values:
            return {key: self._value(value, shape.values) for key, value in given.items()}
        lower = shape.properties.get(below) if below not in given else None
        own, rest = {}, {}
        for key, value in given.items():
            name = self._names.get(key, key)
            if lower is None or name in shape.properties:
                own[name] = self._value(value, shape.properties.get(name))
            else:
                rest[key] = value
        return {**own, below: self.table(rest, lower)} if rest else own

    def _value(self, value: Any, node: Node | None) -> Any:
        if node is None:
            return value
        if isinstance(value, Mapping):
            return self.table(value, node)
        if isinstance(value, list):
            shape = self._schemas.shape(node, value)
            if shape.values:
                # Ids of identities: Azure takes a table of empty values, Pulumi a list of its keys.
                return {one: {} for one in value}
            return [self._value(one, shape.items) for one in value]
        return value
