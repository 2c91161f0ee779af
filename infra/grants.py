"""Which rights the estate gives: the least that each identity, and the team, can work with."""

import pulumi

from infra.identity import Identities
from infra.rights import Right
from infra.storage import CONTAINERS, Storage

COPIED_TO = ("raw", "datasets")
"""Containers that the Data Factory writes to."""
_BLOB_READER, _BLOB_WRITER = "Storage Blob Data Reader", "Storage Blob Data Contributor"


def workspace_rights(
    identities: Identities,
    storage: Storage,
    *,
    vault_id: pulumi.Input[str],
    registry_id: pulumi.Input[str],
    insights_id: pulumi.Input[str],
) -> tuple[Right, ...]:
    """What Azure ML asks for where the workspace has an identity of its own; the data account is none of it."""
    work = storage.work.id
    table = (
        ("Contributor", "work-account", work),
        (_BLOB_WRITER, "work-account", work),
        ("Storage File Data Privileged Contributor", "work-account", work),
        ("Contributor", "vault", vault_id),
        ("Key Vault Administrator", "vault", vault_id),
        ("Contributor", "registry", registry_id),
        ("Contributor", "insights", insights_id),
    )
    identity = identities.workspace.principal_id
    return tuple(_right("workspace", identity, *row) for row in table)


def compute_rights(identities: Identities, storage: Storage, *, registry_id: pulumi.Input[str]) -> tuple[Right, ...]:
    """Jobs read archives, write volumes and runs, leave logs at the workspace's account and pull container images."""
    table = (
        (_BLOB_READER, "raw", storage.containers["raw"].id),
        (_BLOB_WRITER, "datasets", storage.containers["datasets"].id),
        (_BLOB_WRITER, "runs", storage.containers["runs"].id),
        (_BLOB_WRITER, "work-account", storage.work.id),
        ("AcrPull", "registry", registry_id),
    )
    identity = identities.compute.principal_id
    return tuple(_right("compute", identity, *row) for row in table)


def factory_rights(identities: Identities, storage: Storage) -> tuple[Right, ...]:
    """Copies are written where archives and volumes are."""
    identity = identities.factory.principal_id
    return tuple(_right("factory", identity, _BLOB_WRITER, name, storage.containers[name].id) for name in COPIED_TO)


def team_rights(
    group_id: str,
    storage: Storage,
    *,
    workspace_id: pulumi.Input[str],
    factory_id: pulumi.Input[str],
    registry_id: pulumi.Input[str],
) -> tuple[Right, ...]:
    """People read and write data, submit jobs, start copies and push container images."""
    table = (
        *((_BLOB_WRITER, name, storage.containers[name].id) for name in CONTAINERS),
        ("AzureML Data Scientist", "workspace", workspace_id),
        ("Data Factory Contributor", "factory", factory_id),
        ("AcrPush", "registry", registry_id),
    )
    return tuple(_right("team", group_id, *row, is_group=True) for row in table)


def _right(
    who: str, principal_id: pulumi.Input[str], role: str, what: str, scope: pulumi.Input[str], *, is_group: bool = False
) -> Right:
    return Right(who=who, principal_id=principal_id, role=role, what=what, scope=scope, is_group=is_group)
