"""Storage accounts: no keys, encrypted ways, and data that can be had back."""

from collections.abc import Iterator

from .azure_types import azure_name
from .resources import UNKNOWN, Estate, at, expect

_TLS = ("TLS1_2", "TLS1_3")


def accounts_have_no_keys(estate: Estate) -> Iterator[str]:
    """No storage account can be used with a key or by anonymous readers.

    Source:
        https://learn.microsoft.com/azure/storage/common/shared-key-authorization-prevent.
    """
    for one in estate.of("storage:StorageAccount"):
        yield from expect(one, "allowSharedKeyAccess", False)
        yield from expect(one, "allowBlobPublicAccess", False)
        yield from expect(one, "allowCrossTenantReplication", False)
    for one in estate.of("storage:BlobContainer"):
        yield from expect(one, "publicAccess", "None")


def traffic_is_encrypted(estate: Estate) -> Iterator[str]:
    """Only https, and only current versions of TLS."""
    for one in estate.of("storage:StorageAccount"):
        yield from expect(one, "enableHttpsTrafficOnly", True)
        if one.inputs.get("minimumTlsVersion") not in _TLS:
            yield f"{one.name}: minimumTlsVersion is {one.inputs.get('minimumTlsVersion')}, not {' or '.join(_TLS)}"


def deleted_data_can_be_had_back(estate: Estate) -> Iterator[str]:
    """Blobs, containers and secrets that are deleted are kept for a while, and archives go by a rule."""
    services = {one.inputs["accountName"]: one for one in estate.of("storage:BlobServiceProperties")}
    of_azure_ml = _names_of_azure_mls(estate)
    for account in estate.of("storage:StorageAccount"):
        if azure_name(account) in of_azure_ml:
            continue
        service = services.get(azure_name(account))
        for key in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            policy = (service.inputs.get(key) if service else None) or {}
            if policy.get("enabled") is not True or not policy.get("days"):
                yield f"{account.name}: {key} keeps nothing"
    for one in estate.of("keyvault:Vault"):
        for key in ("enableSoftDelete", "enablePurgeProtection"):
            if one.inputs["properties"].get(key) is not True:
                yield f"{one.name}: properties.{key} is not on"
    if not estate.of("storage:ManagementPolicy"):
        yield "no lifecycle rule makes archives cheaper and deletes them"


def rewritten_data_is_not_kept_for_long(estate: Estate) -> Iterator[str]:
    """The account of runs, whose checkpoints are replaced all the time, keeps what was replaced for a day at most.

    https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview: data that is often overwritten belongs
    in an account without soft delete, because all that is kept is billed as if it were there.
    """
    accounts = {one.inputs["accountName"] for one in estate.of("storage:BlobContainer") if azure_name(one) == "runs"}
    for one in estate.of("storage:BlobServiceProperties"):
        days = at(one.inputs, "deleteRetentionPolicy.days") or 0
        if one.inputs["accountName"] in accounts and days > 1:
            yield f"{one.name}: deleteRetentionPolicy.days is {days}, not 1"


def azure_ml_keeps_its_studio(estate: Estate) -> Iterator[str]:
    """Nothing takes away the CORS rules that Azure ML puts into the blob service of its own account.

    The provider's own words of `cors`: "If no CorsRule elements are included in the request body, all CORS rules will
    be deleted" (https://www.pulumi.com/registry/packages/azure-native/api-docs/storage/blobserviceproperties/).
    """
    accounts = _names_of_azure_mls(estate)
    for one in estate.of("storage:BlobServiceProperties"):
        if one.inputs["accountName"] in accounts and not one.inputs.get("cors"):
            yield f"{one.name}: its account is Azure ML's, whose CORS rules it would delete"


def _names_of_azure_mls(estate: Estate) -> set[str]:
    """Accounts of the workspaces' own: those that they name; where ids are unknown, those without containers."""
    accounts = estate.of("storage:StorageAccount")
    own = {one.inputs.get("storageAccount") for one in estate.of("machinelearningservices:Workspace")}
    if UNKNOWN not in own:
        return {azure_name(one) for one in accounts if one.id in own}
    filled = {one.inputs["accountName"] for one in estate.of("storage:BlobContainer")}
    return {azure_name(one) for one in accounts} - filled
