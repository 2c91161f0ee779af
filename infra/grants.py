"""Which rights the estate gives: the least that each identity, and the team, can work with.

The workspace's own identity is given its rights by Azure ML when the workspace is made, and a second assignment of
the same role would be refused.

Source:
    https://learn.microsoft.com/training/modules/intro-azure-machine-learning-auth/4-authentication-between-azure-machine-learning-other-azure-services
    (role assignments of a system-assigned identity: "Managed by Microsoft"),
    https://github.com/MicrosoftDocs/azure-docs/issues/80040 ("The role assignment already exists").
"""

from collections.abc import Mapping

import pulumi

from infra.rights import Right
from infra.storage import CONTAINERS, Storage

COPIED_TO = ("raw", "datasets")
"""Containers that the Data Factory writes to."""
_BLOB_WRITER = "Storage Blob Data Contributor"
_FILE_WRITER = "Storage File Data Privileged Contributor"


def compute_rights(
    principal_id: pulumi.Input[str], storage: Storage, *, registry_id: pulumi.Input[str], vault_id: pulumi.Input[str]
) -> tuple[Right, ...]:
    """What jobs need.

    They copy archives, write volumes and runs, leave logs at the workspace's account, pull container images, and read
    the links of a copy from the vault.
    """
    table = (
        *((_BLOB_WRITER, name, storage.containers[name].id) for name in CONTAINERS),
        (_BLOB_WRITER, "work-account", storage.work.id),
        ("AcrPull", "registry", registry_id),
        ("Key Vault Secrets User", "vault", vault_id),
    )
    return tuple(_right("compute", principal_id, *row) for row in table)


def factory_rights(principal_id: pulumi.Input[str], storage: Storage) -> tuple[Right, ...]:
    """Copies are written where archives and volumes are."""
    return tuple(_right("factory", principal_id, _BLOB_WRITER, name, storage.containers[name].id) for name in COPIED_TO)


def workspace_rights(principal_id: pulumi.Input[str], endpoints: Mapping[str, pulumi.Input[str]]) -> tuple[Right, ...]:
    """The studio finds storage through the private endpoints that it may read.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-enable-studio-virtual-network (step 3 of "Configure").

    Args:
        principal_id: Of the workspace's identity.
        endpoints: Ids of the accounts' private endpoints, by name.
    """
    return tuple(
        _right("workspace", principal_id, "Reader", f"endpoint-{name}", one) for name, one in endpoints.items()
    )


def team_rights(
    group_id: str,
    storage: Storage,
    *,
    workspace_id: pulumi.Input[str],
    factory_id: pulumi.Input[str],
    registry_id: pulumi.Input[str],
    vault_id: pulumi.Input[str],
) -> tuple[Right, ...]:
    """What people need.

    They read and write data, submit jobs, read their logs, start copies, leave links in the vault and push container
    images.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-disable-local-auth-storage (both roles on the
        workspace's account, for everybody who works with it).
    """
    table = (
        *((_BLOB_WRITER, name, storage.containers[name].id) for name in CONTAINERS),
        (_BLOB_WRITER, "work-account", storage.work.id),
        (_FILE_WRITER, "work-account", storage.work.id),
        ("AzureML Data Scientist", "workspace", workspace_id),
        ("Data Factory Contributor", "factory", factory_id),
        ("AcrPush", "registry", registry_id),
        ("Key Vault Secrets Officer", "vault", vault_id),
    )
    return tuple(_right("team", group_id, *row, is_group=True) for row in table)


def _right(
    who: str, principal_id: pulumi.Input[str], role: str, what: str, scope: pulumi.Input[str], *, is_group: bool = False
) -> Right:
    return Right(who=who, principal_id=principal_id, role=role, what=what, scope=scope, is_group=is_group)
