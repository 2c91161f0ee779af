"""Steps that are tried one after the other."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mrikit.errors import MrikitError
from mrikit.estate.first_day.remedies import find_remedy
from mrikit.estate.first_day.roles_wait import RolesWait

WORKS: Literal["ok"] = "ok"
FAILED: Literal["failed"] = "failed"
SKIPPED: Literal["skipped"] = "skipped"
NOT_ASKED: Literal["not asked"] = "not asked"
TO_TRY: Literal["to try"] = "to try"
State = Literal["ok", "failed", "skipped", "not asked", "to try"]


class NotAskedError(MrikitError):
    """Something that the caller may do without, and cannot be asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one step."""

    name: str
    """Of the step."""
    state: State
    """Whether it worked; `to try` is for a person."""
    seconds: float = 0.0
    """It took."""
    what: str = ""
    """What was found, on one line."""
    remedy: str = ""
    """What mends it; empty if nothing is to be done, or nobody knows."""
    page: str = ""
    """Address of the document that the remedy follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing to try."""

    name: str
    """In a user's words."""
    place: str
    """What remedies are looked for under."""
    act: Callable[[], str]
    """Does it and says what was found; raises `MrikitError`."""
    after: tuple[str, ...] = ()
    """Names of steps without which it makes no sense."""
    is_repeatable: bool = True
    """Whether it may be tried again while a new role is not known yet."""


def run_steps(steps: Iterable[Step], wait: RolesWait) -> Iterator[Outcome]:
    """Try steps in order; what depends on one that did not work is skipped.

    Args:
        steps: The steps.
        wait: How long a new role may take until services know it.
    """
    states: dict[str, State] = {}
    for step in steps:
        blocker = next((name for name in step.after if states[name] != WORKS), None)
        if blocker is None:
            outcome = _tried(step, wait)
        else:
            outcome = Outcome(name=step.name, state=SKIPPED, what=f"{blocker} comes first")
        states[step.name] = outcome.state
        yield outcome


def _tried(step: Step, wait: RolesWait) -> Outcome:
    began_s = time.monotonic()
    try:
        what = wait.call(step.act, step.name) if step.is_repeatable else step.act()
    except NotAskedError as error:
        return Outcome(name=step.name, state=NOT_ASKED, seconds=time.monotonic() - began_s, what=str(error))
    except MrikitError as error:
        found = find_remedy(step.place, str(error))
        return Outcome(
            name=step.name,
            state=FAILED,
            seconds=time.monotonic() - began_s,
            what=str(error),
            remedy=found.remedy if found else "",
            page=found.page if found else "",
        )
    return Outcome(name=step.name, state=WORKS, seconds=time.monotonic() - began_s, what=what)
