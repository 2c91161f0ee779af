"""Frozen dataclasses from the words of a user: unknown keys and wrong types are errors that name the nearest key."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from mrikit.errors import ConfigError

T = TypeVar("T")


def build_config(config: type[T], settings: Mapping[str, Any], owner: str) -> T:
    """A configuration with some fields set.

    Args:
        config: A dataclass whose fields are int, float, bool or str.
        settings: Field name to value; a text is read as the field's type.
        owner: Whose settings these are, for messages.

    Raises:
        ConfigError: An unknown field, a value of another type, or one that the dataclass refuses.
    """
    fields = {field.name: field.type for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for key in settings:
        if key not in fields:
            raise ConfigError(f"{owner} has no setting {key!r}; {_suggest(key, list(fields))}")
    return config(**{key: _read(value, fields[key], f"{owner}.{key}") for key, value in settings.items()})


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


def _suggest(key: str, known: list[str]) -> str:
    if not known:
        return "it has none"
    nearest = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(known)}"


def _read(value: Any, kind: Any, name: str) -> Any:  # noqa: ANN401 - a value of the field's type
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
