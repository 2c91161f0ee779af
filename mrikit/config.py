"""Frozen dataclasses from the words of a user: unknown keys and wrong types are errors that name the nearest key."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from mrikit.errors import ConfigError

T = TypeVar("T")


def build_config(config: type[T], settings: Mapping[str, Any], owner: str) -> T:
    """A configuration with some fields set.

    Args:
        config: A dataclass whose fields are int, float, bool, str, tuples of one of these, dataclasses or mappings.
        settings: Field name to value; a text is read as the field's type, a tuple's with commas in between, and a
            mapping as the field's dataclass.
        owner: Whose settings these are, for messages.

    Raises:
        ConfigError: An unknown field, a value of another type, or one that the dataclass refuses.
    """
    kinds = _kinds(config)
    for key in settings:
        _require_known(key, kinds, owner)
    return config(**{key: _read(value, kinds[key], f"{owner}.{key}") for key, value in settings.items()})


def change_config(config: T, assignments: Mapping[str, Any], owner: str) -> T:
    """The same configuration with other values in some fields.

    Args:
        config: A dataclass as `build_config` makes them.
        assignments: Field to value; `part.field` is a field of the part `part`, a dataclass or a mapping.
        owner: Whose settings these are, for messages.

    Raises:
        ConfigError: An unknown field, a value of another type, or one that the dataclass refuses.
    """
    kinds = _kinds(type(config))
    changed: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in assignments.items():
        field, dot, rest = key.partition(".")
        _require_known(field, kinds, owner)
        if dot:
            inner.setdefault(field, {})[rest] = value
        else:
            changed[field] = _read(value, kinds[field], f"{owner}.{field}")
    for field, settings in inner.items():
        part = getattr(config, field)
        if dataclasses.is_dataclass(part):
            changed[field] = change_config(part, settings, f"{owner}.{field}")
        elif isinstance(part, Mapping):
            changed[field] = {**part, **settings}
        else:
            raise ConfigError(f"{owner}.{field} is one value and has no settings {', '.join(settings)}")
    return dataclasses.replace(config, **changed)  # type: ignore[type-var]


def parse_assignments(assignments: list[str]) -> dict[str, str]:
    """`["num_iterations=30"]` as a dict.

    Raises:
        ConfigError: No equals sign, or a key set twice.
    """
    settings: dict[str, str] = {}
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not separator or not key:
            raise ConfigError(f"a setting is written key=value, found {assignment!r}")
        if key in settings:
            raise ConfigError(f"{key} is set twice: {settings[key]!r} and {value!r}; keep one")
        settings[key] = value
    return settings


def _kinds(config: type) -> dict[str, Any]:
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def _require_known(key: str, kinds: Mapping[str, Any], owner: str) -> None:
    if key not in kinds:
        raise ConfigError(f"{owner} has no setting {key!r}; {_suggest(key, list(kinds))}")


def _suggest(key: str, known: list[str]) -> str:
    if not known:
        return "it has none"
    nearest = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(known)}"


def _read(value: Any, kind: Any, name: str) -> Any:  # noqa: ANN401 - a value of the field's type
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, Mapping):
            return build_config(kind, value, name)
        raise ConfigError(f"{name} is a group of settings; set one of them, as in {name}.{_first_field(kind)}=...")
    origin = typing.get_origin(kind)
    if origin is tuple:
        if isinstance(value, str):
            value = value.split(",") if value else []
        parts = value if isinstance(value, list | tuple) else [value]
        return tuple(_read(part, typing.get_args(kind)[0], name) for part in parts)
    if origin is not None and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return dict(value)
        raise ConfigError(f"{name} is a group of settings; set one of them, as in {name}.key=value")
    return _read_scalar(value, kind, name)


def _read_scalar(value: Any, kind: Any, name: str) -> Any:  # noqa: ANN401 - a value of the field's type
    if isinstance(value, str) and kind is bool:
        words = {"true": True, "false": False}
        if value.lower() in words:
            return words[value.lower()]
    elif isinstance(value, str) and kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            pass
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    elif kind is float and isinstance(value, int):
        return float(value)
    raise ConfigError(f"{name} is of type {kind.__name__}, found {value!r}")


def _first_field(kind: type) -> str:
    return next(iter(_kinds(kind)))
