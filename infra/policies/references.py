"""Check that a Data Factory's references resolve."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .azure_types import azure_name
from .resources import Estate

_PARAMETER = re.compile(r"@?\{?(pipeline\(\)\.parameters|dataset\(\)|linkedService\(\))\.(\w+)")


def broken_references(estate: Estate) -> Iterator[str]:
    """One line for each name that leads nowhere, and each parameter that is missing or unknown."""
    services = {azure_name(one): one.inputs["properties"] for one in estate.of("datafactory:LinkedService")}
    datasets = {azure_name(one): one.inputs["properties"] for one in estate.of("datafactory:Dataset")}
    for name, service in services.items():
        yield from _own_parameters(name, service, service.get("parameters") or {}, "linkedService()")
    for name, dataset in datasets.items():
        yield from _reference(name, dataset["linkedServiceName"], services, "linked service")
        yield from _own_parameters(name, dataset, dataset.get("parameters") or {}, "dataset()")
    for one in estate.of("datafactory:Pipeline"):
        yield from _pipeline(azure_name(one), one.inputs, datasets)


def _pipeline(name: str, inputs: Mapping[str, Any], datasets: Mapping[str, Any]) -> Iterator[str]:
    yield from _own_parameters(name, inputs, inputs.get("parameters") or {}, "pipeline().parameters")
    for siblings in _levels(inputs["activities"]):
        names = [activity["name"] for activity in siblings]
        for activity in siblings:
            where = f"{name}: {activity['name']}"
            for before in activity.get("dependsOn") or []:
                if before["activity"] not in names:
                    yield f"{where}: no activity {before['activity']} beside it"
            for reference in [*(activity.get("inputs") or []), *(activity.get("outputs") or [])]:
                yield from _reference(where, reference, datasets, "dataset")
    everywhere = [activity["name"] for siblings in _levels(inputs["activities"]) for activity in siblings]
    for twice in sorted({one for one in everywhere if everywhere.count(one) > 1}):
        yield f"{name}: two activities are called {twice}"


def _levels(activities: list[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Activities that stand beside each other, then those inside of them."""
    yield activities
    for activity in activities:
        inner = [case.get("activities") or [] for case in activity.get("cases") or []]
        inner += [activity.get(key) or [] for key in ("activities", "defaultActivities", "ifTrueActivities")]
        inner.append(activity.get("ifFalseActivities") or [])
        for level in inner:
            if level:
                yield from _levels(level)


def _reference(where: str, reference: Mapping[str, Any], there: Mapping[str, Any], kind: str) -> Iterator[str]:
    wanted = reference["referenceName"]
    if wanted not in there:
        yield f"{where}: no {kind} {wanted}"
        return
    takes, given = there[wanted].get("parameters") or {}, reference.get("parameters") or {}
    needed = {name for name, kind in takes.items() if "defaultValue" not in kind}
    for name in sorted(needed - set(given)):
        yield f"{where}: {kind} {wanted} needs {name}"
    for name in sorted(set(given) - set(takes)):
        yield f"{where}: {kind} {wanted} takes no {name}"


def _own_parameters(where: str, value: Any, takes: Mapping[str, Any], owner: str) -> Iterator[str]:  # noqa: ANN401
    """Expressions that name a parameter of their owner that it does not have."""
    for text in _strings(value):
        for found, name in _PARAMETER.findall(text):
            if found == owner and name not in takes:
                yield f"{where}: {found}.{name} is no parameter of it"


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - what JSON holds
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str):
        yield value
