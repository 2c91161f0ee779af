"""Data Factory's bodies as the models of azure-mgmt-datafactory, which say more of them than the schemas do."""

from collections.abc import Iterator, Mapping
from typing import Any

from azure.mgmt.datafactory import models
from azure.mgmt.datafactory._utils.serialization import Deserializer, Model, Serializer

MODELS = {
    "Microsoft.DataFactory/factories": "Factory",
    "Microsoft.DataFactory/factories/datasets": "DatasetResource",
    "Microsoft.DataFactory/factories/linkedservices": "LinkedServiceResource",
    "Microsoft.DataFactory/factories/pipelines": "PipelineResource",
}
_CLASSES = {name: kind for name, kind in vars(models).items() if isinstance(kind, type)}


def model_of(body: Mapping[str, Any]) -> Model:
    """A body as a model; what no model knows is lost on the way."""
    return Deserializer(_CLASSES)(MODELS[body["type"]], _sent(body))


def lost_on_the_way(body: Mapping[str, Any]) -> list[str]:
    """Paths that are otherwise after a body became a model and a body again."""
    return list(_differences(_sent(body), Serializer(_CLASSES).body(model_of(body), MODELS[body["type"]]), ""))


def model_faults(body: Mapping[str, Any]) -> list[str]:
    """What the models ask for, in every depth, which neither they nor the client check."""
    return list(_faults(model_of(body), MODELS[body["type"]]))


def _sent(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is part of the URL."""
    return {key: value for key, value in body.items() if key not in {"name", "type", "apiVersion"}}


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif before != after or type(before) is not type(after):
        yield f"{path}: {before!r} became {after!r}"


def _faults(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _faults(one, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _faults(one, f"{path}.{key}")
    elif isinstance(value, Model):
        kind = type(value)
        if vars(kind).get("_subtype_map"):
            yield f"{path}: {kind.__name__} is a base, so its type is none of those that there are"
        # Where Azure takes further properties, models keep those that they do not know.
        for key in getattr(value, "additional_properties", None) or ():
            yield f"{path}.{key}: {kind.__name__} knows no such property"
        for name in kind._attribute_map:
            one = getattr(value, name)
            if name != "additional_properties":
                yield from _broken_rules(kind._validation.get(name, {}), one, f"{path}.{name}")
                yield from _faults(one, f"{path}.{name}")


def _broken_rules(rules: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if value is None:
        if rules.get("required"):
            yield f"{path}: required"
        return
    if rules.get("readonly"):
        yield f"{path}: only Azure sets it"
    for rule, bound in rules.items():
        if rule in Serializer.validation and Serializer.validation[rule](value, bound):
            yield f"{path}: {value!r} breaks {rule} {bound!r}"
