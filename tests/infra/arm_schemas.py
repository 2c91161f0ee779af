"""Microsoft's JSON schemas of Azure's resources, and what they find wrong with a body."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import referencing
from referencing.jsonschema import DRAFT4

_TEMPLATE_EXPRESSION = "/definitions/expression"
"""What stands in a template for any value, such as "[variables('x')]"; bodies have none."""
_WHOLE_NAME = "^.*/"
"""How a name's pattern begins that is for all names of the path, such as `^.*/default$`; others are for the last."""
_COMPUTED_IN_DATA_FACTORY = "#/definitions/Expression"
_STATED_TYPE = re.compile(r"Type: (string|integer|boolean) \(or Expression")
_STATED_PATTERN = re.compile(r"pattern: (\(.*\))\.?$")
"""Where a value may be computed, schemas say in prose alone what it has to be otherwise."""
_TYPES = {"string": str, "integer": int, "boolean": bool}


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A part of a schema."""

    schema: Mapping[str, Any]
    uri: str
    """The document that it stands in, to which its references refer."""


@dataclass(kw_only=True, slots=True)
class Shape:
    """What a schema says of one value, after its references, parts and the variant that the value names."""

    properties: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None
    """Of the values of a table whose keys are the user's."""
    items: Node | None = None
    prose: str | None = None
    """The description, where nothing else is said."""
    wrong_variant: str = ""
    """What is wrong, where a value names a variant that there is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceSchema:
    """The schema of one type of resource."""

    node: Node
    api_version: str


class ArmSchemas:
    """The schemas of a folder.

    Args:
        folder: Files of Azure/azure-resource-manager-schemas.
    """

    def __init__(self, folder: Path) -> None:
        documents = [json.loads(file.read_text(), object_hook=_mend) for file in sorted(folder.glob("*.json"))]
        self._documents = {document["id"].rstrip("#"): document for document in documents}
        self._registry = referencing.Registry().with_resources(
            (uri, referencing.Resource.from_contents(document, default_specification=DRAFT4))
            for uri, document in self._documents.items()
        )
        self.resources = {
            definition["properties"]["type"]["enum"][0]: ResourceSchema(
                node=Node(schema=definition, uri=uri), api_version=definition["properties"]["apiVersion"]["enum"][0]
            )
            for uri, document in self._documents.items()
            for section, definitions in document.items()
            if section.endswith("esourceDefinitions")
            for definition in definitions.values()
        }
        """By type, such as Microsoft.Storage/storageAccounts."""

    def faults(self, body: Mapping[str, Any]) -> list[str]:
        """What is wrong with the body of a resource; each begins with the path of what is meant."""
        node = self.resources[body["type"]].node
        name = _without_expression(node.schema["properties"]["name"])
        if not name.get("pattern", "").startswith(_WHOLE_NAME):
            body = {**body, "name": body["name"].rpartition("/")[2]}
        refused = (fault for error in self._errors(node, body) for fault in self._explain(error, node.uri))
        return sorted({*refused, *self.strangers(body)})

    def strangers(self, body: Mapping[str, Any]) -> list[str]:
        """What the schema does not know of the body of a resource, though it may allow it."""
        return list(self._strangers(self.resources[body["type"]].node, body, ""))

    def shape(self, node: Node, value: Any) -> Shape:
        """What a schema says of a value."""
        node = self._follow(node)
        says_nothing = not set(node.schema) - {"description", "title", "default"}
        shape = Shape(prose=node.schema.get("description", "") if says_nothing else None)
        parts = [Node(schema=part, uri=node.uri) for part in node.schema.get("allOf", ())]
        for branches in (node.schema.get("oneOf"), node.schema.get("anyOf")):
            if branches:
                index, shape.wrong_variant = self._choose(branches, value, node.uri)
                parts += [Node(schema=branches[index], uri=node.uri)] if index is not None else []
        if "items" in node.schema:
            shape.items = Node(schema=node.schema["items"], uri=node.uri)
        for key, schema in node.schema.get("properties", {}).items():
            shape.properties[key] = Node(schema=schema, uri=node.uri)
        for part in parts:
            self._merge(shape, self.shape(part, value))
        # Data Factory allows further properties beside those it knows, too; that is not for us.
        others = node.schema.get("additionalProperties")
        if isinstance(others, Mapping) and not shape.properties:
            shape.values = Node(schema=others, uri=node.uri)
        return shape

    @staticmethod
    def _merge(shape: Shape, part: Shape) -> None:
        shape.properties |= {key: node for key, node in part.properties.items() if key not in shape.properties}
        shape.values, shape.items = shape.values or part.values, shape.items or part.items
        shape.prose = part.prose if shape.prose is None else shape.prose
        shape.wrong_variant = shape.wrong_variant or part.wrong_variant

    def _follow(self, node: Node) -> Node:
        while "$ref" in node.schema:
            found = self._registry.resolver(node.uri).lookup(node.schema["$ref"])
            node = Node(schema=found.contents, uri=found.resolver._base_uri.rstrip("#"))
        return node

    def _choose(self, branches: Sequence[Mapping[str, Any]], value: Any, uri: str) -> tuple[int | None, str]:
        """Which of several variants a value is by the property that tells them apart, or what is wrong with that."""
        real = [index for index, one in enumerate(branches) if not one.get("$ref", "").endswith(_TEMPLATE_EXPRESSION)]
        if len(real) == 1 or not isinstance(value, Mapping):
            return real[0], ""
        fixed = {index: self._fixed(Node(schema=branches[index], uri=uri)) for index in real}
        telling = set.intersection(*(set(one) for one in fixed.values()))
        fitting = [index for index, one in fixed.items() if all(value.get(key) == one[key] for key in telling)]
        if len(fitting) == 1:
            return fitting[0], ""
        key = ", ".join(sorted(telling))
        return None, f".{key}: {value.get(key)!r} is none of the {len(real)} variants that the schema knows"

    def _fixed(self, node: Node) -> dict[str, Any]:
        """Properties that can have one value only."""
        node = self._follow(node)
        fixed: dict[str, Any] = {}
        for part in node.schema.get("allOf", ()):
            fixed |= self._fixed(Node(schema=part, uri=node.uri))
        for key, schema in node.schema.get("properties", {}).items():
            allowed = schema.get("enum") or next((one["enum"] for one in schema.get("oneOf", ()) if "enum" in one), ())
            if len(allowed) == 1:
                fixed[key] = allowed[0]
        return fixed

    def _errors(self, node: Node, value: Any) -> Iterator[jsonschema.ValidationError]:
        # The root is a reference, so that those within are looked up in the right document.
        schema = {"$ref": self._pointer(node)}
        return jsonschema.Draft4Validator(schema, registry=self._registry).iter_errors(value)

    def _pointer(self, node: Node) -> str:
        for section, definitions in self._documents[node.uri].items():
            for name, schema in definitions.items() if isinstance(definitions, Mapping) else ():
                if schema is node.schema:
                    return f"{node.uri}#/{section}/{name}"
        raise AssertionError("only whole definitions are validated")

    def _explain(self, error: jsonschema.ValidationError, uri: str) -> Iterator[str]:
        """The errors of the variant that is meant; jsonschema gives those of all."""
        path = _path(error.absolute_path)
        if error.validator in {"oneOf", "anyOf"} and error.context:
            index, wrong = self._choose(error.validator_value, error.instance, uri)
            if wrong:
                yield f"{path}{wrong}".lstrip(".")
            for deeper in error.context:
                if deeper.schema_path[0] == index:
                    yield from self._explain(deeper, uri)
        else:
            yield f"{path or 'the body'}: {error.message}"

    def _strangers(self, node: Node, value: Any, path: str) -> Iterator[str]:
        shape = self.shape(node, value)
        if shape.prose is not None:
            yield from self._unlike_its_prose(node.uri, shape.prose, value, path)
            return
        if isinstance(value, list):
            for index, one in enumerate(value):
                yield from self._strangers(shape.items or node, one, f"{path}[{index}]")
        if not isinstance(value, Mapping):
            return
        if shape.wrong_variant:
            yield f"{path}{shape.wrong_variant}".lstrip(".")
            return
        for key, one in value.items():
            known = shape.properties.get(key) or shape.values
            below = f"{path}.{key}".lstrip(".")
            if known:
                yield from self._strangers(known, one, below)
            else:
                yield f"{below}: the schema knows no such property, only {', '.join(sorted(shape.properties))}"

    def _unlike_its_prose(self, uri: str, prose: str, value: Any, path: str) -> Iterator[str]:
        """Data Factory takes expressions where a schema says nothing; what else it takes, the description may say."""
        if isinstance(value, Mapping) and value:
            yield from self._no_expression(uri, value, path)
            return
        stated, pattern = _STATED_TYPE.search(prose), _STATED_PATTERN.search(prose)
        if not stated or (isinstance(value, str) and value.startswith("@")):
            return
        if type(value) is not _TYPES[stated[1]]:
            yield f"{path}: {value!r} is neither of type '{stated[1]}' nor an expression"
        elif pattern and not re.fullmatch(pattern[1], value):
            yield f"{path}: {value!r} does not match '{pattern[1]}'"

    def _no_expression(self, uri: str, value: Mapping[str, Any], path: str) -> Iterator[str]:
        if "Expression" not in self._documents[uri]["definitions"]:
            yield f"{path}: the schema says nothing of a table here"
            return
        node = self._follow(Node(schema={"$ref": _COMPUTED_IN_DATA_FACTORY}, uri=uri))
        errors = (fault for error in self._errors(node, value) for fault in self._explain(error, uri))
        yield from (f"{path}: no expression ({fault})" for fault in (*errors, *self._strangers(node, value, "")))


def _without_expression(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A text's own schema, where a template's expression may stand for it, too."""
    return schema["oneOf"][0] if "oneOf" in schema else schema


def _path(parts: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _mend(schema: dict[str, Any]) -> dict[str, Any]:
    """Two slips of the generator of these schemas, in the place where all of them pass."""
    # `const` came with draft 6 of JSON schema; these say that they are draft 4, where it means nothing.
    if isinstance(schema.get("const"), str):
        schema["enum"] = [schema.pop("const")]
    # Compute, DatastoreProperties and the like are a base and a variant, both of which have to fit; the base allows no
    # more than its own properties, so nothing would. What is in neither is found by our own walk.
    if isinstance(schema.get("allOf"), list):
        for part in schema["allOf"]:
            if part.get("additionalProperties") is False:
                del part["additionalProperties"]
    return schema
