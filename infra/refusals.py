"""The one line that says what is wrong with settings, made of pydantic's first error."""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from infra.values import nearest, shown

_EXAMPLE = "{name: gpu, sku: Standard_NC24ads_A100_v4, priority: lowPriority, maxNodes: 4, idleMinutes: 15}"
_WHOLE = {
    "stack": "a text",
    "allowedIps": "a list of texts",
    "downloadHosts": "a list of texts",
    "clusters": f"a list of tables such as {_EXAMPLE}",
    "tags": "a table of names and texts",
}
"""What a setting is that holds others."""
_MISSING = {"adminEmail": "`pulumi config set adminEmail you@example.org`"}
_NO_KEY = {"minNodes": "every cluster goes back to 0 nodes by itself"}


def refusal(model: type[BaseModel], error: ValidationError) -> str:
    """What is wrong first, with what was found and what would do."""
    first = error.errors(include_url=False)[0]
    where, kind, found = first["loc"], str(first["type"]), first["input"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    fields = _fields(model, where)
    if kind == "missing":
        return f"{key}: missing; {_MISSING.get(key, 'every cluster has one')}"
    if kind == "extra_forbidden":
        last = str(where[-1])
        why = f"; {_NO_KEY[last]}" if last in _NO_KEY else ""
        return f"{key}: no such key; {nearest(last, [name for name in fields if name != 'stack'])}{why}"
    if kind == "value_error" and str(first["ctx"]["error"]):
        return f"{key}: {first['ctx']['error']}"
    field = fields.get(str(where[-1]))
    if field is None or kind in ("tuple_type", "dict_type", "too_short"):
        return f"{where[0]}: {_WHOLE[str(where[0])]}; found {shown(found)}"
    return f"{key}: {_wanted(field)}; found {shown(found)}"


def _fields(model: type[BaseModel], where: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    """The fields of the table that an error is in, by the names in the file."""
    if len(where) == 3:
        (model, _) = get_args(model.model_fields[str(where[0])].annotation)
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _wanted(field: FieldInfo) -> str:
    bounds = {name: getattr(one, name) for one in field.metadata for name in ("ge", "le") if hasattr(one, name)}
    if bounds:
        return f"{field.description}, {bounds['ge']} to {bounds['le']:,}"
    kind: Any = field.annotation
    if kind is bool:
        return "true or false"
    return "a text" if kind is str else f"one of {', '.join(filter(None, get_args(kind)))}"
