"""A record that is otherwise in one place."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mrikit.estate.declared import Declared, Record


def altered(record: Record, kind: str, path: str, value: Any, name: str | None = None) -> Record:
    """The record with one input of one resource changed; None takes the input away.

    Args:
        record: As the program declares it.
        kind: Type of the resource.
        path: Keys and indices with dots between them.
        value: What stands there instead.
        name: Of the resource; None where there is one of its type.
    """

    def change(one: Declared) -> Declared:
        inputs = copy.deepcopy(dict(one.inputs))
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        place: Any = inputs
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
        return replace(one, inputs=inputs)

    return _with(record, kind, name, change)


def loosened(record: Record, kind: str, **changes: Any) -> Record:
    """The record with other options of all resources of a type, such as what they wait for."""
    return replace(
        record, resources=tuple(replace(one, **changes) if one.type == kind else one for one in record.resources)
    )


def _with(record: Record, kind: str, name: str | None, change: Callable[[Declared], Declared]) -> Record:
    meant = [one for one in record.of(kind) if name in (None, one.name)]
    assert len(meant) == 1, f"{kind} {name}: {len(meant)} of them"
    return replace(record, resources=tuple(change(one) if one is meant[0] else one for one in record.resources))
