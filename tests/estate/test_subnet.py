"""What keeps nodes out of a subnet of the user's is found before anything is put into it."""

import pytest
from fake_arm import SUBSCRIPTION

from mrikit.estate.arm import Arm, ArmError
from mrikit.estate.subnet import subnet_diagnoses

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

NETWORK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/hospital"
SUBNET = f"{NETWORK}/subnets/research"


def find(subnet_id=SUBNET, num_nodes=4):
    arm = Arm(retry_wait_s=0.001)
    asked = {"subscription_id": SUBSCRIPTION, "location": "westeurope", "num_nodes": num_nodes}
    return list(subnet_diagnoses(arm, subnet_id, **asked))


def one(*args, **options):
    (found,) = find(*args, **options)
    assert found.subject == "subnet"
    return found


def test_a_subnet_with_a_way_out_and_room_is_well(fake_arm):
    assert (one().state, one().what) == ("ok", "research in westeurope takes 4 nodes and has a way out")


def test_a_subnet_of_another_subscription_is_missing_and_not_asked_for(fake_arm):
    found = one(SUBNET.replace(SUBSCRIPTION, "11111111-0000-4000-8000-000000000000"))
    assert (found.state, fake_arm.requests) == ("missing", [])
    assert found.what == f"research is in another subscription than the estate, {SUBSCRIPTION}"


@pytest.mark.parametrize("name", ["network", "subnet"])
def test_a_subnet_that_is_not_there_is_missing(fake_arm, name):
    fake_arm.refuses[name] = (404, "ResourceNotFound", {})
    assert (one().state, one().what) == ("missing", f"{SUBNET} is not there")


def test_a_refusal_is_no_missing_subnet(fake_arm):
    fake_arm.refuses["subnet"] = (403, "AuthorizationFailed", {})
    with pytest.raises(ArmError, match="403 AuthorizationFailed"):
        find()


def test_a_network_of_another_region_is_missing(fake_arm):
    fake_arm.network["location"] = "northeurope"
    assert one().what == "its network is in northeurope, the estate in westeurope"


def test_a_delegated_subnet_takes_no_nodes(fake_arm):
    fake_arm.subnet["delegations"] = [{"name": "a", "properties": {"serviceName": "Microsoft.Web/serverFarms"}}]
    assert (one().state, one().what) == ("missing", "it is delegated to Microsoft.Web/serverFarms")


def test_nodes_without_public_addresses_need_a_way_out(fake_arm):
    del fake_arm.subnet["natGateway"]
    assert one().what == "nodes have no way out: neither a NAT gateway nor a route to a firewall"
    assert one().remedy == f"az network vnet subnet update --ids {SUBNET} --nat-gateway NAME"
    fake_arm.subnet["routeTable"] = {"id": "to-the-firewall"}
    assert one().state == "ok"


def test_the_range_of_docker_is_not_taken(fake_arm):
    fake_arm.subnet["addressPrefix"] = "172.17.4.0/24"
    assert one().what == "it overlaps 172.17.0.0/16, which nodes use inside"


def test_every_node_and_endpoint_needs_an_address(fake_arm):
    fake_arm.subnet |= {"addressPrefix": None, "addressPrefixes": ["10.1.0.0/28", "fd00::/64"]}
    assert one(num_nodes=2).state == "ok"
    found = one(num_nodes=3)
    assert (found.state, found.what) == ("warning", "it has 10 free addresses; nodes and endpoints take 11")
