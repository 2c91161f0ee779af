"""What clusters are called in Azure ML, and which registry their nodes pull from."""

import re

import pytest

from infra.compute import cluster_names, image_build_cluster
from infra.config import Cluster
from infra.registry import registry_tier

SUBNET = "/subscriptions/a/resourceGroups/b/providers/Microsoft.Network/virtualNetworks/c/subnets/d"


def cluster(name="gpu", sku="Standard_NC24ads_A100_v4", max_nodes=1, idle_minutes=15, **others):
    return Cluster(
        name=name, sku=sku, max_nodes=max_nodes, idle_minutes=idle_minutes, **{"priority": "dedicated", **others}
    )


def name_of(one, network="public", subnet_id=""):
    (found,) = cluster_names([one], network=network, subnet_id=subnet_id)
    return found


@pytest.mark.parametrize(
    "other",
    [
        name_of(cluster(sku="Standard_ND96asr_v4")),
        name_of(cluster(priority="lowPriority")),
        name_of(cluster(), network="managed"),
        name_of(cluster(), network="private", subnet_id=SUBNET),
    ],
)
def test_a_cluster_that_azure_would_have_to_make_anew_gets_another_name(other):
    assert other.startswith("gpu-")
    assert other != name_of(cluster())


def test_another_subnet_is_another_cluster():
    names = [name_of(cluster(), network="private", subnet_id=one) for one in (SUBNET, f"{SUBNET}2")]
    assert len(set(names)) == 2


def test_a_cluster_keeps_its_name_while_it_grows():
    assert name_of(cluster(max_nodes=8, idle_minutes=30)) == name_of(cluster())


def test_azure_takes_the_longest_name():
    for sku in (f"Standard_NC{number}" for number in range(200)):
        name = name_of(cluster("a" * 18, sku))
        assert re.fullmatch(r"[A-Za-z](?![A-Za-z0-9-]*-\d+$)[A-Za-z0-9-]{2,23}", name), name


def test_outputs_tell_both_names_of_a_cluster(records):
    record = records["dev"]
    real = {one.name: one.azure_name for one in record.of("machinelearningservices:Compute")}
    assert {f"cluster-{one['name']}": one["compute_name"] for one in record.outputs["clusters"]} == real


def test_images_are_built_where_no_gpu_waits():
    clusters = [cluster(), cluster("cpu", "Standard_D16s_v3")]
    assert image_build_cluster(clusters, ["gpu-abcde", "cpu-abcde"]) == "cpu-abcde"
    assert image_build_cluster(clusters[:1], ["gpu-abcde"]) == "gpu-abcde"


@pytest.mark.parametrize(
    ("wanted", "network", "clusters", "tier"),
    [
        ("", "public", [cluster()], "Basic"),
        ("", "public", [cluster(max_nodes=2)], "Standard"),
        ("", "public", [cluster(), cluster("other")], "Standard"),
        ("", "public", [cluster("cpu", "Standard_D16s_v3", max_nodes=9)], "Basic"),
        ("", "private", [cluster()], "Premium"),
        ("", "managed", [cluster()], "Premium"),
        ("Premium", "public", [cluster()], "Premium"),
        ("Basic", "public", [cluster(max_nodes=9)], "Basic"),
    ],
)
def test_a_registry_is_as_fast_as_its_nodes_need_it(wanted, network, clusters, tier):
    assert registry_tier(wanted, network, clusters) == tier
