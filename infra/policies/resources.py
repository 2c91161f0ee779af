"""What rules look at: the resources that a program declares, by Azure's names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

UNKNOWN = "(known when it is made)"
"""Stands for a text that a preview cannot know, and for every id under the engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One resource."""

    type: str
    """Pulumi's type without `azure-native:`, such as storage:StorageAccount."""
    name: str
    """Its name in the program."""
    urn: str
    """Its name in the state."""
    id: str
    """Its id in Azure."""
    inputs: Mapping[str, Any]
    """What the program says of it, by Azure's names."""
    dependencies: tuple[str, ...]
    """URNs of what has to be there before."""
    protect: bool
    """Whether the engine refuses to delete it."""
    has_secrets: bool
    """Whether the program marks something of it as secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estate:
    """All resources of one stack."""

    resources: tuple[Resource, ...]
    """Without components."""
    outputs: Mapping[str, Any]
    """What the stack exports."""

    def of(self, *types: str) -> list[Resource]:
        """The resources of some types."""
        return [one for one in self.resources if one.type in types]


def expect(one: Resource, path: str, wanted: object) -> Iterator[str]:
    """A line where an input is known and is not as it should be."""
    found = at(one.inputs, path)
    if found not in (wanted, UNKNOWN):
        yield f"{one.name}: {path} is {found}, not {wanted}"


def at(inputs: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - what JSON holds
    """What stands at a path such as `properties.sku.name`; None where nothing does."""
    value: Any = inputs
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - what JSON holds
    """Every text of a value with its path."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from texts(one, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from texts(one, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value
