"""Jobs of a sweep's members: which there are, and which of them to start."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mrikit.errors import ConfigError
from mrikit.launching.backends import traits_of
from mrikit.launching.job import CANCELLED, FAILED, SUCCEEDED, UNKNOWN, Backend, JobSpec
from mrikit.launching.memory import with_memory_of, with_more_memory
from mrikit.launching.options import Chosen
from mrikit.launching.records import load_record
from mrikit.launching.sweep_file import NEW, Member, Sweep
from mrikit.storage import parse_location

ENDED_BADLY = (FAILED, CANCELLED, UNKNOWN)
"""States of members that `--retry-failed` starts again; unknown is what a lost machine leaves."""
_TEST = "--test-data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """Which members are started again."""

    is_failed: bool = False
    """Those that failed, were cancelled, or whose machine was lost."""
    is_out_of_memory: bool = False
    """Those that ran out of memory, with more."""
    memory: str = ""
    """Of each, as its back end writes it; empty for what it had, or twice that where it ran out of it."""


def member_spec(found: Sweep, member: Member, chosen: Chosen) -> JobSpec:
    """The job of a member: its training, into a folder of its own below the sweep's.

    Raises:
        ConfigError: There is no such task, size, stage or setting.
    """
    from mrikit.launching.chain import job_chain

    out = traits_of(chosen.on or "").default_runs / found.name / member.name
    words = ["train", "--task", member.task, "--data", found.data, "--size", found.size, "--out", str(out)]
    words += ["--stage", str(found.stage)] if found.stage else []
    words += [_TEST, found.test_data] if found.test_data else []
    settings = [f"{key}={value}" for key, value in member.settings.items()]
    words += [word for one in settings for word in ("--set", one)]
    params: dict[str, Any] = {"task": member.task, "size": found.size, "stage": found.stage or None}
    params |= {"data": parse_location(found.data), "out": out, "settings": settings, "device": "auto"}
    params |= {"test_data": parse_location(found.test_data) if found.test_data else None}
    (spec,) = job_chain(words, params, chosen, is_one=True)
    return replace(spec, name=member.name)


def to_start(backend: Backend, specs: Sequence[JobSpec], again: Again) -> list[JobSpec]:
    """Members to submit: new ones, those that are to be tested now, and those that are to be tried again."""
    started = (_to_start(backend, spec, again) for spec in specs)
    return [spec for spec in started if spec is not None]


def state_of(backend: Backend, spec: JobSpec) -> str:
    """State of a member's job; `new` before it is submitted.

    Raises:
        ConfigError: It was submitted to another back end.
    """
    record = load_record(spec.name)
    if record is None:
        return NEW
    if record.backend != backend.name:
        raise ConfigError(f"member {spec.name} was submitted with --on {record.backend}; go on there")
    return backend.status(record.spec, record.handle).state


def _to_start(backend: Backend, spec: JobSpec, again: Again) -> JobSpec | None:
    """The job that is submitted for a member; None to leave it as it is."""
    state, record = state_of(backend, spec), load_record(spec.name)
    if record is None:
        return spec
    if state == SUCCEEDED:  # it is trained, and goes on to the test that its file did not name before
        return spec if _TEST in spec.command and _TEST not in record.spec.command else None
    if state not in ENDED_BADLY:
        return None
    if again.is_out_of_memory and backend.status(record.spec, record.handle).is_out_of_memory:
        return with_more_memory(spec, record.spec.resources, again.memory)
    if not again.is_failed:
        return None
    return with_memory_of(spec, record.spec.resources)
