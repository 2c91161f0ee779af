"""What cannot be made again: protected, and locked in an order that can be undone."""

from collections.abc import Iterator

from .resources import UNKNOWN, Estate, expect

_KEPT = (
    "resources:ResourceGroup",
    "storage:StorageAccount",
    "storage:BlobContainer",
    "keyvault:Vault",
    "containerregistry:Registry",
    "machinelearningservices:Workspace",
)
"""Types of which `pulumi up` cannot bring back what was in them."""


def what_cannot_be_made_again_is_protected(estate: Estate) -> Iterator[str]:
    """Data, images, secrets, records of jobs, and the group that they are in: all of it, or nothing.

    Source:
        https://www.pulumi.com/docs/iac/concepts/options/protect: a destroy without a preview deletes all that is not
        protected before it stops at what is.
    """
    kept = estate.of(*_KEPT)
    if any(one.protect for one in kept):
        yield from (f"{one.name}: is not protected, and others are" for one in kept if not one.protect)


def a_lock_goes_before_what_it_holds(estate: Estate) -> Iterator[str]:
    """A lock is on one account, and whatever hangs on the account can be deleted once the lock is.

    Source:
        https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources,
        https://github.com/hashicorp/terraform-provider-azurerm/issues/11770.
    """
    accounts = {one.id for one in estate.of("storage:StorageAccount")}
    for lock in estate.of("authorization:ManagementLockByScope"):
        yield from expect(lock, "level", "CanNotDelete")
        scope = str(lock.inputs.get("scope"))
        if scope not in accounts:
            yield f"{lock.name}: its scope is {scope}, no storage account"
        for one in estate.resources if scope != UNKNOWN else ():
            is_held = one.id.startswith(f"{scope}/") and one.urn != lock.urn
            leads_there = one.type == "network:PrivateEndpoint" and scope in str(one.inputs)
            if (is_held or leads_there) and one.urn not in lock.dependencies:
                yield f"{lock.name}: does not wait for {one.name}, which it would keep from being deleted"
