"""What `pulumi up` cannot bring back stays, whoever deletes it."""

from dataclasses import replace

import pytest

from infra.policies.keeping import a_lock_goes_before_what_it_holds, what_cannot_be_made_again_is_protected

from .altered import altered, loosened

LOCK = "authorization:ManagementLockByScope"
KEPT = {
    "resources:ResourceGroup",
    "storage:StorageAccount",
    "storage:BlobContainer",
    "keyvault:Vault",
    "containerregistry:Registry",
    "machinelearningservices:Workspace",
}


def test_all_that_cannot_be_made_again_is_protected(records):
    record = records["dev"]
    assert {one.type for one in record.resources if one.protect} == KEPT
    assert all(one.protect for one in record.of(*KEPT))


@pytest.mark.parametrize("kind", sorted(KEPT))
def test_protection_of_a_part_is_noticed(records, kind):
    found = list(what_cannot_be_made_again_is_protected(loosened(records["dev"], kind, protect=False)))
    assert len(found) == len(records["dev"].of(kind))
    assert all(line.endswith("is not protected, and others are") for line in found)


def test_nothing_is_protected_where_data_may_go(records):
    assert not any(one.protect for one in records["private"].resources)
    assert list(what_cannot_be_made_again_is_protected(records["private"])) == []


def test_the_lock_is_on_the_data_account_and_nothing_else(records):
    (lock,) = records["managed"].of(LOCK)
    (data,) = [one for one in records["managed"].of("storage:StorageAccount") if one.name == "data"]
    assert (lock.inputs["scope"], lock.inputs["level"]) == (data.id, "CanNotDelete")


def test_there_is_no_lock_where_none_is_wanted(records):
    assert not records["private"].of(LOCK)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("level", "ReadOnly", "keep-data: level is ReadOnly, not CanNotDelete"),
        ("scope", "/subscriptions/a", "keep-data: its scope is /subscriptions/a, no storage account"),
    ],
)
def test_a_lock_that_holds_more_is_noticed(records, path, value, line):
    assert line in list(a_lock_goes_before_what_it_holds(altered(records["managed"], LOCK, path, value)))


def test_the_lock_goes_before_whatever_hangs_on_the_account(records):
    """Azure would refuse to delete it, so `pulumi destroy` and a change of roles would fail halfway."""
    record = records["managed"]
    found = list(a_lock_goes_before_what_it_holds(loosened(record, LOCK, dependencies=())))
    held = {line.partition(" for ")[2].partition(",")[0] for line in found}
    assert {"raw", "datasets", "data-blobs", "lifecycle", "data-logs"} <= held
    assert any(name.startswith("compute-storage-blob-data") for name in held)
    assert any("approver" in name for name in held)


def test_the_lock_waits_for_endpoints(records):
    """In a network of one's own as well, whose endpoints are resources of ours."""
    private = records["private"]
    (data,) = [one for one in private.of("storage:StorageAccount") if one.name == "data"]
    (lock,) = records["managed"].of(LOCK)
    lock = replace(lock, inputs={**lock.inputs, "scope": data.id}, dependencies=())
    found = list(a_lock_goes_before_what_it_holds(replace(private, resources=(*private.resources, lock))))
    assert any("endpoint-data-blob" in line for line in found)
