"""What is said of a stack before it is deployed."""

import pytest
from estates import example_estate
from fake_arm import SUBSCRIPTION

from mrikit.estate.arm import Arm, Caller
from mrikit.estate.deployment import WITHOUT_BUDGETS, deployment_diagnoses
from mrikit.estate.diagnosis import Diagnosis
from mrikit.estate.examine import examine
from mrikit.storage.estate import save_estate

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

GROUP = "mrikit-dev"


@pytest.fixture
def look(fake_arm):
    def found(linked=""):
        caller = Caller(tenant_id="tenant", object_id="me")
        return {
            one.subject: one
            for one in deployment_diagnoses(Arm(retry_wait_s=0.001), SUBSCRIPTION, GROUP, linked, caller)
        }

    return found


def test_a_new_stack_of_an_owner_lacks_nothing(look):
    assert look() == {
        "names": Diagnosis("names", "ok", "mrikit-dev is free"),
        "right to deploy": Diagnosis("right to deploy", "ok", "you may make resources and give roles"),
        "right to lock": Diagnosis("right to lock", "ok", "you may set locks"),
    }


def test_a_stack_of_a_second_person_and_its_data_account_are_named(look, fake_arm):
    fake_arm.groups[GROUP] = ["mridevwork5fdd2980", "mridevdata5fdd2980"]
    fake_arm.roles[GROUP] = ["Owner"]
    found = look()["names"]
    assert found.state == "warning"
    assert found.what.startswith("mrikit-dev is there already, with the data account mridevdata5fdd2980; a second")
    assert found.remedy.endswith("else give your stack another name")


def test_a_group_that_is_still_empty_is_named_as_well(look, fake_arm):
    fake_arm.groups[GROUP], fake_arm.roles[GROUP] = [], ["Owner"]
    assert look()["names"].what.startswith("mrikit-dev is there already; a second state")


def test_the_linked_estate_is_nobody_elses(look, fake_arm):
    fake_arm.groups[GROUP], fake_arm.roles[GROUP] = ["mridevdata5fdd2980"], ["Owner"]
    assert look(linked=GROUP)["names"] == Diagnosis("names", "ok", "mrikit-dev is the linked estate")


@pytest.mark.parametrize("is_there", [True, False])
def test_who_may_not_give_roles_is_told_before_anything_is_made(look, fake_arm, is_there):
    name = GROUP if is_there else SUBSCRIPTION
    fake_arm.roles[name] = ["Contributor"]
    if is_there:
        fake_arm.groups[GROUP] = []
    found = look()["right to deploy"]
    assert found.state == "missing"
    assert found.what == "you may not make resources and give roles: Microsoft.Authorization/roleAssignments/write"
    scope = f"/subscriptions/{SUBSCRIPTION}" + (f"/resourceGroups/{GROUP}" if is_there else "")
    assert found.remedy == f"az role assignment create --assignee me --role Owner --scope {scope}"


def test_who_may_not_set_locks_can_do_without_one(look, fake_arm):
    fake_arm.roles[SUBSCRIPTION] = ["Contributor", "Role Based Access Control Administrator"]
    found = look()
    assert found["right to deploy"].state == "ok"
    assert (found["right to lock"].state, found["right to lock"].remedy) == (
        "warning",
        "be given Owner, or set lockData to false in the stack's file",
    )


@pytest.mark.parametrize("offer", WITHOUT_BUDGETS)
def test_an_offer_that_refuses_budgets_is_named(look, fake_arm, offer):
    fake_arm.offer = offer
    found = look()["budget"]
    assert found.state == "warning"
    assert found.what.startswith(f"the offer {offer} has no budgets, and `pulumi up` fails")


def test_the_examination_of_a_stack_looks_at_its_deployment(fake_arm, tmp_path, monkeypatch):
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("config: {mrikit:adminEmail: you@example.org}")
    subjects = [one.subject for one in examine(str(file), retry_wait_s=0.001).azure]
    assert subjects[-4:] == ["names", "right to deploy", "right to lock", "roles"]


def test_a_refusal_of_the_control_plane_is_one_line(fake_arm, tmp_path):
    save_estate(example_estate())
    fake_arm.refuses["group"] = (403, "AuthorizationFailed", {})
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("config: {mrikit:adminEmail: you@example.org}")
    (found,) = [one for one in examine(str(file), retry_wait_s=0.001).azure if one.subject == "names"]
    assert found.state == "unknown"
    assert "AuthorizationFailed" in found.what
