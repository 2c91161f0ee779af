"""What mends what the services of an estate answer.

Each remedy names the document that it follows. Codes of Blob: a firewall says `AuthorizationFailure`, a missing role
`AuthorizationPermissionMismatch` (https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes).
Those of Key Vault: `ForbiddenByFirewall` and `ForbiddenByRbac`.
"""

import re
from dataclasses import dataclass

_LEARN = "https://learn.microsoft.com/azure"
_ML = f"{_LEARN}/machine-learning"
_FIREWALL = r"AuthorizationFailure|not authorized to perform this operation(?! using)"
_ROLE = r"AuthorizationPermissionMismatch|using this permission"
_UP = "`pulumi up` of this version of the program"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What mends one kind of failure."""

    place: str
    """Of the steps that may fail so."""
    pattern: str
    """Found in what they say, whatever its case."""
    remedy: str
    """What to do."""
    page: str
    """Where it is documented."""


REMEDIES = (
    Remedy(
        "blob",
        _FIREWALL,
        "the account's firewall does not know your public address: add it to `allowedIps` and `pulumi up`; with a "
        "private network, work inside it",
        f"{_LEARN}/storage/common/storage-network-security",
    ),
    Remedy(
        "blob",
        _ROLE,
        "you lack Storage Blob Data Contributor on this container: set `teamGroupId` to a group that you are in, or "
        "`mrikit doctor` names the command that gives the role; the wait for it was in vain",
        f"{_LEARN}/role-based-access-control/troubleshooting",
    ),
    Remedy(
        "blob",
        "no container",
        f"{_UP}, then `mrikit infra link`",
        f"{_LEARN}/storage/blobs/storage-blobs-introduction",
    ),
    Remedy(
        "vault",
        "firewall",
        "the vault's firewall does not know your public address: add it to `allowedIps` and `pulumi up`; with a "
        "private network, work inside it",
        f"{_LEARN}/key-vault/general/network-security",
    ),
    Remedy(
        "vault",
        "access was refused",
        "you lack Key Vault Secrets Officer on the vault: set `teamGroupId` to a group that you are in and `pulumi up`",
        f"{_LEARN}/key-vault/general/rbac-guide",
    ),
    Remedy(
        "workspace",
        "Failed|Canceled|no workspace|ResourceNotFound",
        "the workspace was not made whole: `az ml workspace delete --permanently-delete` with its name and group, then "
        "`pulumi up` again; without --permanently-delete its name is held for 14 days",
        f"{_ML}/concept-soft-delete",
    ),
    Remedy(
        "workspace",
        "identity",
        f"the workspace needs an identity of its own (SystemAssigned), whose roles Azure gives by itself: {_UP}",
        f"{_ML}/how-to-identity-based-service-authentication",
    ),
    Remedy(
        "workspace",
        "access rule",
        f"an account's firewall admits the workspace by a resource access rule alone: {_UP}",
        f"{_ML}/how-to-secure-workspace-vnet",
    ),
    Remedy(
        "factory",
        "identity|access rule",
        "a firewall lets a factory in by its own identity (SystemAssigned) and a resource access rule of the data "
        f"account alone: {_UP}",
        f"{_LEARN}/data-factory/data-factory-service-identity",
    ),
    Remedy(
        "copy",
        _ROLE,
        f"the factory's identity lacks Storage Blob Data Contributor on the container: {_UP}",
        f"{_LEARN}/data-factory/connector-azure-blob-storage",
    ),
    Remedy(
        "copy",
        rf"{_FIREWALL}|\(403\)|Forbidden",
        "the data account's firewall does not let the factory in: it needs an identity of its own (SystemAssigned) and "
        f"a resource access rule of the account: {_UP}",
        f"{_LEARN}/data-factory/data-factory-service-identity",
    ),
    Remedy(
        "copy",
        "cannot be reached|could not be|not find|UserErrorHttp|404",
        "give another public file: `mrikit doctor --run --source https://...`",
        f"{_LEARN}/data-factory/connector-http",
    ),
    Remedy(
        "progress",
        "",
        f"the copy activity hides its output (secureOutput), and with it all progress: {_UP}",
        f"{_LEARN}/data-factory/concepts-pipelines-activities",
    ),
    Remedy(
        "job",
        "unusable",
        "Azure ML cannot reach its nodes: leave the subnet without a network security group of your own, or allow "
        f"TCP 44224 from AzureMachineLearning in it: {_UP}",
        f"{_ML}/how-to-secure-training-vnet",
    ),
    Remedy(
        "job",
        "quota",
        "ask for vCPUs of this family: Azure ML studio, Quota; `mrikit doctor` says how many",
        f"{_ML}/how-to-manage-quotas",
    ),
    Remedy(
        "job",
        "AllocationFailed|OutOfCapacity|no capacity",
        "the region has no machine of this size free: try again later, or name another size or region",
        "https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/allocation-failure",
    ),
    Remedy(
        "job",
        r"key ?vault|ForbiddenByFirewall|vault\.azure",
        f"the vault's firewall does not admit the nodes' subnet (Microsoft.KeyVault): {_UP}",
        f"{_ML}/how-to-secure-workspace-vnet",
    ),
    Remedy(
        "job",
        _FIREWALL,
        "the account's firewall keeps Azure ML or its nodes out: the workspace needs a resource access rule on its "
        f"accounts, the subnet the service endpoint Microsoft.Storage: {_UP}",
        f"{_ML}/how-to-secure-workspace-vnet",
    ),
    Remedy(
        "job",
        rf"{_ROLE}|does not have authorization|AuthorizationFailed",
        "an identity lacks a role, or it is minutes old: wait ten minutes and run this again; else the workspace has "
        f"to have an identity of its own (SystemAssigned): {_UP}",
        f"{_ML}/how-to-identity-based-service-authentication",
    ),
    Remedy(
        "job",
        r"pull|manifest|ImageBuild|no container image",
        "the container image is not in the registry, or not as it was registered: `mrikit image push --build-in-azure "
        "--cpu` has it built there; without --cpu for GPUs",
        f"{_ML}/how-to-manage-environments-v2",
    ),
    Remedy(
        "job",
        r"permission denied|operation not permitted|code\D{0,3}126\b|containerSetup",
        "Azure ML starts containers as root, and this image has another user: build and push it again by this version",
        "https://github.com/Azure/AzureML-Containers/issues/24",
    ),
    Remedy(
        "mlflow",
        r"unsupported( model registry)? URI|UnsupportedModelRegistryStoreURI|No module named|azureml",
        "the container image lacks azureml-mlflow, or has an MLflow that is too new for it: build and push it again by "
        "this version",
        f"{_ML}/how-to-use-mlflow-configure-tracking",
    ),
    Remedy(
        "log",
        "",
        "logs lie in the workspace's own account, where you need Storage Blob Data Contributor and Storage File Data "
        "Privileged Contributor: set `teamGroupId` to a group that you are in and `pulumi up`",
        f"{_ML}/how-to-disable-local-auth-storage",
    ),
    Remedy(
        "node vault",
        "firewall",
        f"the vault's firewall does not admit the nodes' subnet (service endpoint Microsoft.KeyVault): {_UP}",
        f"{_ML}/how-to-secure-workspace-vnet",
    ),
    Remedy(
        "node vault",
        "",
        f"the identity of the clusters lacks Key Vault Secrets User on the vault: {_UP}",
        f"{_LEARN}/key-vault/general/rbac-guide",
    ),
    Remedy(
        "gpu",
        "",
        "torch has to fit the nodes' driver: build and push the image for an older CUDA (`mrikit image build --cuda`)",
        "https://docs.nvidia.com/deploy/cuda-compatibility/",
    ),
    Remedy(
        "infiniband",
        "",
        "NCCL takes TCP in silence where it finds no libibverbs: build and push the container image again by "
        "this version",
        f"{_ML}/how-to-train-distributed-gpu",
    ),
)
"""The first that fits holds."""


def find_remedy(place: str, said: str) -> Remedy | None:
    """What mends a failure; None where nobody knows.

    Args:
        place: Of the step.
        said: By the service, as the step tells it.
    """
    fitting = (one for one in REMEDIES if one.place == place and re.search(one.pattern, said, re.IGNORECASE))
    return next(fitting, None)
