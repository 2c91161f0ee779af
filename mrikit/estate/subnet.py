"""Check of a subnet of the user's, before nodes are put into it."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from mrikit.estate.arm import Arm, ArmError
from mrikit.estate.diagnosis import MISSING, OK, WARNING, Diagnosis

_VERSION = "2024-05-01"
_RESERVED = 5
"""Addresses of each subnet that Azure keeps."""
_ENDPOINTS = 8
"""Addresses that private endpoints of the estate take, two of them for the workspace."""
_NOT_THERE = ipaddress.IPv4Network("172.17.0.0/16")
"""Docker's own range on the nodes."""
_HOW = "az network vnet subnet update --ids {subnet_id}"


def subnet_diagnoses(
    arm: Arm, subnet_id: str, *, subscription_id: str, location: str, num_nodes: int
) -> Iterator[Diagnosis]:
    """What keeps nodes and endpoints out of a subnet; one diagnosis that all is well if nothing does.

    Source:
        https://learn.microsoft.com/azure/machine-learning/how-to-secure-training-vnet (its prerequisites and "no public
        IP"),
        https://learn.microsoft.com/azure/virtual-network/ip-services/default-outbound-access.

    Args:
        arm: Where to ask.
        subnet_id: The subnet, by its id.
        subscription_id: Of the estate.
        location: Its region.
        num_nodes: The most nodes that all clusters have.

    Raises:
        ArmError: The control plane does not say.
    """
    network_id, _, name = subnet_id.partition("/subnets/")
    if subnet_id.split("/")[2].lower() != subscription_id.lower():
        what = f"{name} is in another subscription than the estate, {subscription_id}"
        yield Diagnosis("subnet", MISSING, what, "name a subnet of the same subscription: subnetId")
        return
    try:
        network, subnet = arm.get(network_id, _VERSION), arm.get(subnet_id, _VERSION)
    except ArmError as error:
        if error.status != 404:
            raise
        yield Diagnosis("subnet", MISSING, f"{subnet_id} is not there", "az network vnet subnet create, or subnetId")
        return
    found = list(_faults(subnet_id, network, subnet.get("properties") or {}, location, num_nodes))
    yield from found or [Diagnosis("subnet", OK, f"{name} in {location} takes {num_nodes} nodes and has a way out")]


def _faults(
    subnet_id: str, network: Mapping[str, Any], subnet: Mapping[str, Any], location: str, num_nodes: int
) -> Iterator[Diagnosis]:
    update = _HOW.format(subnet_id=subnet_id)
    if network.get("location") != location:
        what = f"its network is in {network.get('location')}, the estate in {location}"
        yield Diagnosis("subnet", MISSING, what, "name a network of that region, or another location")
    if delegations := subnet.get("delegations"):
        to = ", ".join(str((one.get("properties") or {}).get("serviceName")) for one in delegations)
        yield Diagnosis("subnet", MISSING, f"it is delegated to {to}", f"{update} --remove delegations, or another one")
    if not subnet.get("natGateway") and not subnet.get("routeTable"):
        what = "nodes have no way out: neither a NAT gateway nor a route to a firewall"
        yield Diagnosis("subnet", MISSING, what, f"{update} --nat-gateway NAME")
    ranges = [
        ipaddress.IPv4Network(text)
        for text in subnet.get("addressPrefixes") or [subnet.get("addressPrefix")]
        if text and ":" not in text
    ]
    if any(one.overlaps(_NOT_THERE) for one in ranges):
        yield Diagnosis("subnet", MISSING, f"it overlaps {_NOT_THERE}, which nodes use inside", "take another range")
    free = sum(one.num_addresses - _RESERVED for one in ranges) - len(subnet.get("ipConfigurations") or [])
    needed = num_nodes + _ENDPOINTS
    if free < needed:
        what = f"it has {free} free addresses; nodes and endpoints take {needed}"
        yield Diagnosis("subnet", WARNING, what, "take a larger subnet, or fewer nodes: maxNodes")
