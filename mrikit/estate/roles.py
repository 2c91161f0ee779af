"""Check of the caller's Azure roles."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from mrikit.estate.arm import Arm, ArmError, Caller, UnreachableError
from mrikit.estate.diagnosis import MISSING, OK, UNKNOWN, Diagnosis
from mrikit.storage.estate import Estate

WRITTEN = ("datasets", "runs", "raw")
"""Containers that a user's own commands write to."""
_VERSION = "2022-04-01"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_FILES = (
    "Microsoft.Storage/storageAccounts/fileServices/fileshares/files/read",
    "Microsoft.Storage/storageAccounts/fileServices/fileshares/files/write",
    "Microsoft.Storage/storageAccounts/fileServices/readFileBackupSemantics/action",
)
"""Of the privileged role, which passes by the permissions of files; Azure ML asks for it."""
_ME = "$(az ad signed-in-user show --query id --output tsv)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """Something that a caller has to be allowed to do."""

    subject: str
    """Where, in a user's words."""
    purpose: str
    """What for."""
    scope: str
    """Azure's id of where."""
    operations: tuple[str, ...]
    """Azure's names of what has to be allowed."""
    is_data: bool
    """Whether they act on what is inside of a resource."""
    role: str
    """The built-in role that allows it."""


def role_diagnoses(arm: Arm, estate: Estate, caller: Caller) -> Iterator[Diagnosis]:
    """One diagnosis for each right that commands need.

    Raises:
        UnreachableError: Nobody answers.
    """
    for right in rights(estate):
        yield right_diagnosis(arm, right, caller)


def right_diagnosis(arm: Arm, right: Right, caller: Caller) -> Diagnosis:
    """Whether a caller has a right.

    Raises:
        UnreachableError: Nobody answers.
    """
    try:
        permissions = arm.pages(f"{right.scope}/providers/Microsoft.Authorization/permissions", _VERSION)
    except UnreachableError:
        raise
    except ArmError as error:
        return _not_told(right, error)
    lacking = [one for one in right.operations if not may(permissions, one, is_data=right.is_data)]
    if not lacking:
        return Diagnosis(right.subject, OK, f"you may {right.purpose}")
    what = f"you may not {right.purpose}: {', '.join(lacking)}"
    return Diagnosis(right.subject, MISSING, what, _assign(right, caller))


def rights(estate: Estate) -> Iterator[Right]:
    """What the commands of this user need in an estate."""
    group = f"/subscriptions/{estate.subscription_id}/resourceGroups/{estate.resource_group}/providers"
    for container in WRITTEN:
        account = _first_name(estate.endpoint(container))
        yield Right(
            subject=f"role on {container}",
            purpose="read and write blobs",
            scope=f"{group}/Microsoft.Storage/storageAccounts/{account}/blobServices/default/containers/{container}",
            operations=(f"{_BLOBS}/read", f"{_BLOBS}/write"),
            is_data=True,
            role="Storage Blob Data Contributor",
        )
    yield Right(
        subject=f"role on {estate.factory_name}",
        purpose="start copies",
        scope=f"{group}/Microsoft.DataFactory/factories/{estate.factory_name}",
        operations=("Microsoft.DataFactory/factories/pipelines/createRun/action",),
        is_data=False,
        role="Data Factory Contributor",
    )
    yield Right(
        subject=f"role on {estate.workspace_name}",
        purpose="submit jobs",
        scope=f"{group}/Microsoft.MachineLearningServices/workspaces/{estate.workspace_name}",
        operations=("Microsoft.MachineLearningServices/workspaces/jobs/write",),
        is_data=False,
        role="AzureML Data Scientist",
    )
    # Both, on the workspace's account: https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage
    work, vault = _first_name(estate.work_endpoint), _first_name(estate.vault_uri)
    for kind, operations, role in (
        ("blobs", (f"{_BLOBS}/read", f"{_BLOBS}/write"), "Storage Blob Data Contributor"),
        ("files", _FILES, "Storage File Data Privileged Contributor"),
    ):
        yield Right(
            subject=f"role on {work}",
            purpose=f"read and write {kind} of jobs, such as logs",
            scope=f"{group}/Microsoft.Storage/storageAccounts/{work}",
            operations=operations,
            is_data=True,
            role=role,
        )
    yield Right(
        subject=f"role on {vault}",
        purpose="leave the links of a copy there",
        scope=f"{group}/Microsoft.KeyVault/vaults/{vault}",
        operations=("Microsoft.KeyVault/vaults/secrets/setSecret/action",),
        is_data=True,
        role="Key Vault Secrets Officer",
    )


def _first_name(address: str) -> str:
    """What an address begins with, the name of an account or a vault."""
    return str(urlsplit(address).hostname).partition(".")[0]


def may(permissions: Sequence[Mapping[str, Any]], operation: str, *, is_data: bool) -> bool:
    """Whether permissions allow an operation.

    Each stands for one role: what its own exceptions take away, another may give. Deny assignments, and conditions on
    roles, are not in them.
    """
    allowed, but_not = ("dataActions", "notDataActions") if is_data else ("actions", "notActions")
    return any(
        _matches(one.get(allowed) or [], operation) and not _matches(one.get(but_not) or [], operation)
        for one in permissions
    )


def _matches(patterns: Sequence[str], operation: str) -> bool:
    return any(fnmatchcase(operation.lower(), pattern.lower()) for pattern in patterns)


def _not_told(right: Right, error: ArmError) -> Diagnosis:
    if error.status == 404:
        return Diagnosis(right.subject, MISSING, f"not there ({error.code or 404}); is it deployed?", "pulumi up")
    if error.status == 403:
        # A role may allow the thing itself and not to ask for it.
        what = f"you may not ask what you may there ({error.code or 403}); to {right.purpose} takes {right.role}"
        return Diagnosis(right.subject, UNKNOWN, what)
    return Diagnosis(right.subject, UNKNOWN, str(error))


def _assign(right: Right, caller: Caller) -> str:
    """The command with which somebody who may give roles gives this one."""
    me = caller.object_id or f'"{_ME}"'
    return (
        f"az role assignment create --assignee {me} --role {shlex.quote(right.role)} --scope {shlex.quote(right.scope)}"
    )
