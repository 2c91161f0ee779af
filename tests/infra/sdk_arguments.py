"""What Pulumi's Python classes know of a resource's inputs: their names, what is required, and what texts may be."""

import enum
import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from pulumi import _types as pulumi_types

from mrikit.estate.declared import Declared

_API_VERSION = re.compile(r"Uses Azure REST API version (\S+)\.\s")


def api_version(pulumi_type: str) -> str:
    """The version of Azure's API that a resource's class speaks, from its description."""
    texts = [one.__doc__ or "" for one in typing.get_overloads(_resource_class(pulumi_type).__init__)]
    (version,) = {found for text in texts for found in _API_VERSION.findall(text)}
    return version


def argument_faults(declared: Declared) -> list[str]:
    """What the classes do not know, or miss; each begins with the path of what is meant."""
    resource = _resource_class(declared.type)
    module, kind = importlib.import_module(resource.__module__), resource.__name__
    # `SubnetArgs` is a subnet within other resources; the arguments of the resource itself have another name then.
    arguments = getattr(module, f"{kind}InitArgs", None) or getattr(module, f"{kind}Args")
    return list(_table_faults(arguments, declared.inputs, ""))


def _resource_class(pulumi_type: str) -> type[pulumi.CustomResource]:
    module, kind = pulumi_type.split(":")
    return getattr(importlib.import_module(f"pulumi_azure_native.{module}"), kind)


def _table_faults(arguments: type, given: Mapping[str, Any], path: str) -> Iterator[str]:
    known = pulumi_types.input_type_types(arguments)
    names = pulumi_types.input_type_py_to_pulumi_names(arguments)
    for argument in inspect.signature(arguments.__init__).parameters.values():
        if argument.kind is argument.KEYWORD_ONLY and argument.default is argument.empty:
            name = names[argument.name]
            if name not in given:
                yield f"{path or 'the inputs'}: {name} is required"
    for key, value in given.items():
        below = f"{path}.{key}".lstrip(".")
        if key in known:
            yield from _value_faults(known[key], value, below)
        else:
            yield f"{below}: {arguments.__name__} knows no such property, only {', '.join(sorted(known))}"


def _value_faults(annotation: Any, value: Any, path: str) -> Iterator[str]:
    kinds = list(_kinds(annotation))
    if Any in kinds:
        # Such as the definition of a workflow, which is a language of its own.
        return
    (kind, *others) = kinds
    within = typing.get_args(kind)
    if isinstance(value, Mapping) and pulumi_types.is_input_type(kind):
        assert not others, f"{path}: one of several classes, which only a schema can tell apart"
        yield from _table_faults(kind, value, path)
    elif isinstance(value, Mapping) and _is_a(kind, Mapping):
        for key, one in value.items():
            yield from _value_faults(within[1], one, f"{path}.{key}")
    elif isinstance(value, list) and within and not _is_a(kind, Mapping):
        for index, one in enumerate(value):
            yield from _value_faults(within[0], one, f"{path}[{index}]")
    else:
        yield from _scalar_faults(kinds, value, path)


def _scalar_faults(kinds: list[Any], value: Any, path: str) -> Iterator[str]:
    allowed = [member.value for one in kinds if _is_a(one, enum.Enum) for member in one]
    if allowed and value not in allowed:
        yield f"{path}: {value!r} is not one of {allowed}"
    if not allowed and type(value) not in kinds and not (type(value) is int and float in kinds):
        yield f"{path}: {value!r} is no {' or '.join(one.__name__ for one in kinds)}"


def _kinds(annotation: Any) -> Iterator[Any]:
    """What a value may be, without the ways in which Pulumi lets it come later."""
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        for one in typing.get_args(annotation):
            yield from _kinds(one)
    elif not (origin is pulumi.Output or _is_a(annotation, typing.Awaitable) or annotation is types.NoneType):
        yield annotation


def _is_a(annotation: Any, kind: type) -> bool:
    of = typing.get_origin(annotation) or annotation
    return isinstance(of, type) and issubclass(of, kind)
