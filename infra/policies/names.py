"""Names and tags: Azure takes them, no two are the same, and they say whose a resource is."""

import re
from collections import Counter
from collections.abc import Iterator

from .azure_types import azure_name, is_known, name_pattern, takes_tags
from .resources import UNKNOWN, Estate

_OURS = ("project", "stack", "managed-by")


def names_are_valid(estate: Estate) -> Iterator[str]:
    """Azure takes every name."""
    for one in estate.resources:
        if not is_known(one):
            yield f"{one.name}: these rules know nothing of {one.type}"
        elif azure_name(one) != UNKNOWN and not re.fullmatch(name_pattern(one), azure_name(one), re.ASCII):
            yield f"{one.name}: {one.type} cannot be called {azure_name(one)}"


def names_are_unique(estate: Estate) -> Iterator[str]:
    """No two resources have one id, whatever the case, or one name in the program."""
    ids = Counter(one.id.lower() for one in estate.resources if one.id != UNKNOWN)
    yield from (f"{number} resources would be {one}" for one, number in ids.items() if number > 1)
    urns = Counter(one.urn for one in estate.resources)
    yield from (f"{number} resources are {one}" for one, number in urns.items() if number > 1)


def everything_is_tagged(estate: Estate) -> Iterator[str]:
    """Whatever takes tags says which project and stack it is of."""
    for one in estate.resources:
        lacking = [tag for tag in _OURS if not (one.inputs.get("tags") or {}).get(tag)]
        if lacking and is_known(one) and takes_tags(one):
            yield f"{one.name}: no tag {', '.join(lacking)}"
