"""Whether quota lets clusters grow to their largest."""

import pytest
from fake_arm import SUBSCRIPTION

from mrikit.estate.arm import Arm, ArmError
from mrikit.estate.quota import quota_diagnoses
from mrikit.storage.estate import EstateCluster

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

A100, CPU = "Standard_NC24ads_A100_v4", "Standard_D16s_v3"


def cluster(name="gpu", sku=A100, priority="Dedicated", max_nodes=2):
    return EstateCluster(name=name, compute_name=f"{name}-abcde", sku=sku, priority=priority, max_nodes=max_nodes)


def find(fake_arm, *clusters, location="westeurope"):
    return list(quota_diagnoses(Arm(retry_wait_s=0.001), SUBSCRIPTION, location, clusters or (cluster(),)))


@pytest.mark.parametrize(
    ("limit", "used", "state"),
    [(48, 0, "ok"), (100, 52, "ok"), (100, 53, "warning"), (47, 0, "missing"), (0, 0, "missing"), (-1, 0, "unknown")],
)
def test_all_nodes_of_a_cluster_need_quota(fake_arm, limit, used, state):
    fake_arm.limits["standardNCADSA100v4Family"], fake_arm.used["standardNCADSA100v4Family"] = limit, used
    (found,) = find(fake_arm)
    assert (found.subject, found.state) == ("quota standardNCADSA100v4Family", state)
    assert found.what.startswith("gpu (2 x 24) need 48 vCPUs; ")
    assert bool(found.remedy) == (state in ("missing", "warning"))


def test_what_is_missing_says_what_to_ask_for(fake_arm):
    (found,) = find(fake_arm)
    assert found.what == "gpu (2 x 24) need 48 vCPUs; the limit in westeurope is 0, in use are 0"
    assert found.remedy == ("ask for 48 vCPUs of standardNCADSA100v4Family in westeurope: Azure ML studio, Quota")


def test_clusters_of_one_family_share_its_quota(fake_arm):
    fake_arm.limits["standardDSv3Family"] = 60
    clusters = [cluster("one", CPU), cluster("two", CPU)]
    (found,) = find(fake_arm, *clusters)
    assert (found.state, found.what[:36]) == ("missing", "one (2 x 16) and two (2 x 16) need 6")
    assert [one.state for one in find(fake_arm, clusters[0])] == ["ok"]


def test_low_priority_has_a_quota_of_its_own_for_all_families(fake_arm):
    fake_arm.limits |= {"totalLowPriorityCores": 40, "standardNCADSA100v4Family": 0}
    spot = [cluster(priority="LowPriority", max_nodes=1), cluster("cpu", CPU, "LowPriority", 1)]
    (found,) = find(fake_arm, *spot)
    assert (found.subject, found.state) == ("quota low-priority", "ok")
    fake_arm.limits["totalLowPriorityCores"] = 39
    (found,) = find(fake_arm, *spot)
    assert found.remedy == "ask for 40 vCPUs of low-priority in westeurope: Azure ML studio, Quota"


@pytest.mark.parametrize(
    ("family", "low_priority"),
    [
        ("STANDARDNCADSA100V4FAMILY", "TotalLowPriorityCores"),
        ("Standard NCADSA100v4 Family Cluster Dedicated vCPUs", "Total Cluster LowPriority Regional vCPUs"),
    ],
)
def test_both_ways_in_which_quota_is_called_are_understood(fake_arm, family, low_priority):
    fake_arm.limits = {"Standard NCADSA100v4 Family LowPriority vCPUs": 0, family: 48, low_priority: 24}
    found = find(fake_arm, cluster(), cluster("spot", priority="LowPriority", max_nodes=1))
    assert [one.state for one in found] == ["ok", "ok"]


def test_quota_of_another_family_does_not_count(fake_arm):
    fake_arm.limits = {"standardNCADSA100v4FamilyPromo": 0, "standardNCFamily": 100, "Total Regional vCPUs": 500}
    fake_arm.sizes = [{"name": A100, "family": "standardNCADSFamily", "vCPUs": 24}]
    (found,) = find(fake_arm)
    assert (found.state, found.remedy) == ("unknown", "")
    assert found.what.endswith(
        "no quota of this name says how many: found standardNCADSA100v4FamilyPromo, standardNCFamily, "
        "Total Regional vCPUs"
    )


def test_of_many_names_some_are_shown(fake_arm):
    fake_arm.limits = {f"family{index}": 0 for index in range(7)}
    (found,) = find(fake_arm)
    assert found.what.endswith("found family0, family1, family2, family3, family4 and 2 more")


def test_a_size_that_is_not_offered_is_missing(fake_arm):
    wrong, right = find(fake_arm, cluster("big", "Standard_ND96isr_H100_v5"), cluster("cpu", CPU))
    assert (wrong.subject, wrong.state) == ("size of big", "missing")
    assert wrong.what == "Standard_ND96isr_H100_v5 is not offered in westeurope"
    assert right.state == "ok"


@pytest.mark.parametrize("page_size", [1, 2, 10])
def test_entries_on_later_pages_count(fake_arm, page_size):
    fake_arm.page_size = page_size
    fake_arm.limits = {"a": 1, "b": 2, "standardNCADSA100v4Family": 48}
    assert [one.state for one in find(fake_arm)] == ["ok"]


def test_a_region_that_is_unknown_is_an_error(fake_arm):
    with pytest.raises(ArmError, match=r"refused \(400 NoRegisteredProviderFound\): Nothing is at westeuropa\."):
        find(fake_arm, location="westeuropa")
