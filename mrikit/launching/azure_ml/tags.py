"""Tags that identify a job in Azure ML."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields

from mrikit import __version__
from mrikit.errors import ConfigError, JobError
from mrikit.launching.job import JobSpec
from mrikit.launching.records import spec_from_json

MARK = "mrikit"
"""Tag of every job of mrikit: the version that submitted it."""
CANCELLED = "mrikit_cancelled"
"""Tag of a job that failed and must not be started again."""
_SPEC, _PREEMPTIONS, _ERRORS = "mrikit_spec", "mrikit_preemptions", "mrikit_errors"
MAX_TAG_LETTERS = 256
"""Azure's limit for the value of a tag of a resource; what Azure ML's jobs take is not documented."""
_MAX_TAGS = 40
"""Of the 50 that a resource may have, some are Azure ML's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Starts:
    """How often a job was started again before."""

    preemptions: int = 0
    """Because its machine was taken away."""
    errors: int = 0
    """Because it failed."""


def tags_of(chain: Sequence[JobSpec], starts: Starts) -> dict[str, str]:
    """The tags of a job that does a chain: its specs as JSON in pieces, and how often it was started before.

    Raises:
        ConfigError: The commands are too long for tags.
    """
    text = json.dumps([_essential(spec) for spec in chain], separators=(",", ":"), sort_keys=True)
    pieces = [text[start : start + MAX_TAG_LETTERS] for start in range(0, len(text), MAX_TAG_LETTERS)]
    if len(pieces) > _MAX_TAGS:
        raise ConfigError(
            f"the commands of {len(chain)} jobs take {len(text)} letters; Azure ML's tags hold "
            f"{_MAX_TAGS * MAX_TAG_LETTERS}; give fewer files, or a folder of them"
        )
    tags = {MARK: __version__, _PREEMPTIONS: str(starts.preemptions), _ERRORS: str(starts.errors)}
    return tags | {f"{_SPEC}_{index:02d}": piece for index, piece in enumerate(pieces)}


def chain_of(tags: Mapping[str, str]) -> list[JobSpec]:
    """The jobs that tags tell of.

    Raises:
        JobError: They are not those of mrikit, or were changed.
    """
    text = "".join(tags[key] for key in sorted(tags) if key.startswith(f"{_SPEC}_"))
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found:
        raise JobError("its tags are not those of a job of mrikit, or were changed by hand")
    return [spec_from_json(json.dumps(one)) for one in found]


def starts_of(tags: Mapping[str, str]) -> Starts:
    """How often the job was started before, as its tags tell; 0 where they do not."""
    preemptions, errors = (tags.get(key, "0") for key in (_PREEMPTIONS, _ERRORS))
    return Starts(
        preemptions=int(preemptions) if preemptions.isdigit() else 0, errors=int(errors) if errors.isdigit() else 0
    )


def _essential(spec: JobSpec) -> dict[str, object]:
    """What is not as by default."""
    values = asdict(spec)
    plain = {one.name: one.default for one in fields(JobSpec) if one.default is not MISSING}
    plain |= {one.name: one.default_factory() for one in fields(JobSpec) if one.default_factory is not MISSING}
    return {name: value for name, value in values.items() if name not in plain or value != plain[name]}
