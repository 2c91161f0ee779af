"""The checks of `mrikit doctor`, in repair order."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mrikit.errors import ConfigError
from mrikit.estate.arm import Arm, ArmError, Caller, LoginError, UnreachableError
from mrikit.estate.deployment import deployment_diagnoses
from mrikit.estate.diagnosis import MISSING, OK, UNKNOWN, WARNING, Diagnosis
from mrikit.estate.machine import extra_diagnosis, program_diagnoses, this_machine
from mrikit.estate.quota import quota_diagnoses
from mrikit.estate.roles import role_diagnoses
from mrikit.estate.scope import Wanted, read_wanted
from mrikit.estate.subnet import subnet_diagnoses
from mrikit.estate.subscription import provider_diagnoses, subscription_diagnosis

_QUOTA_PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What was found."""

    machine: tuple[Diagnosis, ...]
    """Of this machine."""
    azure: tuple[Diagnosis, ...]
    """Of Azure; empty if the user has nothing to do with it."""

    @property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """All, in the order in which they were asked for."""
        return self.machine + self.azure

    @property
    def next(self) -> str | None:
        """What to do first: about what is missing, else about what could not be asked, else about a warning."""
        for state in (MISSING, UNKNOWN, WARNING):
            for one in self.diagnoses:
                if one.state == state and one.remedy:
                    return one.remedy
        return None


def examine(stack: str | None = None, *, retry_wait_s: float = 0.8) -> Examination:
    """Look at this machine, and at Azure if there is a linked estate, a named stack or a named subscription.

    Args:
        stack: Name of a stack or its file, whose clusters count instead of the linked estate's.
        retry_wait_s: See `Arm`.
    """
    wanted = read_wanted(stack)
    return Examination(
        machine=this_machine(Path("runs")),
        azure=tuple(azure_diagnoses(wanted, retry_wait_s)) if wanted.is_azure else (),
    )


def azure_diagnoses(wanted: Wanted, retry_wait_s: float) -> Iterator[Diagnosis]:
    """All that is asked about Azure; ends at the first question that nobody answers.

    Who works with a linked estate does not deploy it, and needs no Pulumi.
    """
    packages = extra_diagnosis("azure")
    yield packages
    yield extra_diagnosis("infra", is_needed=wanted.estate is None)
    yield from program_diagnoses()
    login, session = _login(packages, retry_wait_s)
    yield login
    yield from wanted.diagnoses
    if login.state == UNKNOWN and packages.state == OK:
        return
    try:
        yield from _questions(wanted, session)
    except UnreachableError as error:
        yield _nobody_answers("control plane", error)


@dataclass(frozen=True, slots=True)
class _Session:
    arm: Arm
    caller: Caller


def _login(packages: Diagnosis, retry_wait_s: float) -> tuple[Diagnosis, _Session | None]:
    """Whether a token can be had; what the rest is asked with."""
    if packages.state != OK:
        return _not_asked("login", packages.subject), None
    try:
        arm = Arm(retry_wait_s=retry_wait_s)
        caller = arm.login()
    except UnreachableError as error:
        return _nobody_answers("login", error), None
    except LoginError as error:
        return Diagnosis("login", MISSING, str(error), "az login"), None
    except ConfigError as error:
        return Diagnosis("login", MISSING, str(error), "mend or unset this variable"), None
    what = f"as {caller.object_id or 'somebody'} of tenant {caller.tenant_id or '?'}"
    return Diagnosis("login", OK, what), _Session(arm, caller)


def _questions(wanted: Wanted, session: _Session | None) -> Iterator[Diagnosis]:
    """What the control plane is asked; without a session, that it was not.

    Raises:
        UnreachableError: Nobody answers.
    """
    subscription_id, estate = wanted.subscription_id, wanted.estate
    if session is None:
        for subject in ("subscription", "providers", "quota", "roles"):
            yield _not_asked(subject, "login")
        return
    arm = session.arm
    subscription = subscription_diagnosis(arm, subscription_id)
    yield subscription
    if subscription.state in (MISSING, UNKNOWN):
        for subject in ("providers", "quota", "roles"):
            yield _not_asked(subject, subscription.subject)
        return
    providers = yield from _ask("providers", lambda: provider_diagnoses(arm, subscription_id, wanted.providers))
    if any(one.subject == _QUOTA_PROVIDER and one.state == MISSING for one in providers):
        yield _not_asked("quota", _QUOTA_PROVIDER)
    elif wanted.clusters:
        yield from _ask("quota", lambda: quota_diagnoses(arm, subscription_id, wanted.location, wanted.clusters))
    else:
        yield Diagnosis("quota", UNKNOWN, "not asked: no cluster is known; `mrikit doctor --stack NAME` names some")
    if wanted.resource_group:
        linked, group = estate.resource_group if estate else "", wanted.resource_group
        yield from _ask("names", lambda: deployment_diagnoses(arm, subscription_id, group, linked, session.caller))
    if wanted.subnet_id:
        yield from _ask("subnet", lambda: _subnet(arm, wanted))
    if estate:
        yield from role_diagnoses(arm, estate, session.caller)
    else:
        yield _not_asked("roles", "estate")


def _subnet(arm: Arm, wanted: Wanted) -> Iterator[Diagnosis]:
    return subnet_diagnoses(
        arm,
        wanted.subnet_id,
        subscription_id=wanted.subscription_id,
        location=wanted.location,
        num_nodes=sum(one.max_nodes for one in wanted.clusters),
    )


def _ask(subject: str, check: Callable[[], Iterable[Diagnosis]]) -> Generator[Diagnosis, None, list[Diagnosis]]:
    """What a check finds; one diagnosis in its place if the control plane does not say."""
    try:
        found = list(check())
    except UnreachableError:
        raise
    except ArmError as error:
        found = [Diagnosis(subject, UNKNOWN, str(error))]
    yield from found
    return found


def _not_asked(subject: str, blocker: str) -> Diagnosis:
    return Diagnosis(subject, UNKNOWN, f"not asked: {blocker} comes first")


def _nobody_answers(subject: str, error: UnreachableError) -> Diagnosis:
    return Diagnosis(subject, UNKNOWN, f"{error} Nothing after this was asked")
