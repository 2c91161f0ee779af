"""Memory of a job that is started again with more."""

import re
from collections.abc import Mapping
from dataclasses import replace

from mrikit.errors import ConfigError
from mrikit.launching.job import JobSpec

_AMOUNT = re.compile(r"(\d+)\s*([A-Za-z]*)")


def with_more_memory(spec: JobSpec, before: Mapping[str, str], memory: str = "") -> JobSpec:
    """A job with more memory than it had.

    Args:
        spec: What is to be started.
        before: Resources of its start that ran out of memory.
        memory: What it gets, as its back end writes it; empty for twice as much as before.

    Raises:
        ConfigError: Nobody said how much it had.
    """
    had = before.get("memory", "")
    found = _AMOUNT.fullmatch(had)
    if not memory and found is None:
        was = f"it had '{had}'" if had else "it was started without --resource memory=..."
        raise ConfigError(f"{spec.name} ran out of memory, and {was}; name what it gets with --memory 64GB")
    return replace(spec, resources={**spec.resources, "memory": memory or f"{2 * int(found[1])}{found[2]}"})  # type: ignore[index]


def with_memory_of(spec: JobSpec, before: Mapping[str, str]) -> JobSpec:
    """A job with the memory of its last start, where it does not name another."""
    return replace(spec, resources={**{key: before[key] for key in ("memory",) if key in before}, **spec.resources})
