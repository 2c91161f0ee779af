"""Choice of the cluster for a job."""

from collections.abc import Sequence
from dataclasses import replace

from mrikit.errors import ConfigError
from mrikit.estate.prices import Prices
from mrikit.launching.job import JobSpec
from mrikit.storage.estate import EstateCluster

LOW_PRIORITY, DEDICATED = "LowPriority", "Dedicated"


def choose_cluster(spec: JobSpec, clusters: Sequence[EstateCluster], prices: Prices) -> EstateCluster:
    """The cluster that a job names, else the cheapest one whose machines fit it.

    Args:
        spec: The job.
        clusters: Of the estate.
        prices: Tells how many GPUs a machine has.

    Raises:
        ConfigError: None fits; the message lists them all.
    """
    named = spec.resources.get("cluster")
    there = "; ".join(_described(one, prices) for one in clusters)
    if named is not None:
        cluster = next((one for one in clusters if one.name == named), None)
        if cluster is None:
            raise ConfigError(f"--resource cluster={named}: the estate has no such cluster; it has {there}")
        _require_fit(spec, cluster, prices)
        return cluster
    priority = LOW_PRIORITY if spec.spot else DEDICATED
    fitting = [
        one
        for one in clusters
        if one.priority == priority and one.max_nodes >= spec.nodes and _has_gpus(one, spec.gpus_per_node, prices)
    ]
    if not fitting:
        gpus = f" with {spec.gpus_per_node} GPUs or more" if spec.gpus_per_node else " without GPUs"
        raise ConfigError(
            f"no {priority} cluster of the estate has {spec.nodes} nodes{gpus}; it has {there}; "
            f"{'leave out --spot' if spec.spot else 'add --spot for LowPriority'}, or name one: --resource cluster=NAME"
        )
    return min(fitting, key=lambda one: (_hour(one, prices), one.name))


def default_gpus(spec: JobSpec, clusters: Sequence[EstateCluster], prices: Prices) -> int:
    """GPUs of each machine for a job that computes and does not say how many: all that a machine has.

    Args:
        spec: The job, whose own number is not looked at.
        clusters: Of the estate.
        prices: Tells how many GPUs a machine has.

    Returns:
        0 where the estate has none, or the named cluster has none.

    Raises:
        ConfigError: No cluster with GPUs fits otherwise; the message lists them all.
    """
    if not any(_has_gpus(one, 1, prices) for one in clusters):
        return 0
    needed = 0 if "cluster" in spec.resources else 1
    machine = prices.machines.get(choose_cluster(replace(spec, gpus_per_node=needed), clusters, prices).sku)
    return 0 if machine is None else machine.gpus


def _has_gpus(cluster: EstateCluster, needed: int, prices: Prices) -> bool:
    """Whether its machines have as many; jobs without GPUs do not block machines that have some."""
    machine = prices.machines.get(cluster.sku)
    if machine is None:
        return False
    return machine.gpus >= needed if needed else machine.gpus == 0


def _require_fit(spec: JobSpec, cluster: EstateCluster, prices: Prices) -> None:
    if spec.nodes > cluster.max_nodes:
        raise ConfigError(f"--nodes {spec.nodes}: cluster {_described(cluster, prices)} has no more than that many")
    machine = prices.machines.get(cluster.sku)
    if machine is not None and spec.gpus_per_node > machine.gpus:
        raise ConfigError(f"--gpus {spec.gpus_per_node}: cluster {_described(cluster, prices)} has fewer")
    if spec.spot and cluster.priority != LOW_PRIORITY:
        raise ConfigError(f"--spot: cluster {_described(cluster, prices)}; leave out --spot, or name a LowPriority one")


def _hour(cluster: EstateCluster, prices: Prices) -> float:
    price = prices.node_price(cluster.sku, cluster.priority)
    return price.hour if price else 0.0


def _described(cluster: EstateCluster, prices: Prices) -> str:
    """`gpu (2 x Standard_NC24ads_A100_v4 with 1 GPU, LowPriority)`."""
    machine = prices.machines.get(cluster.sku)
    gpus = ", of a size that mrikit/estate/prices.toml lacks" if machine is None else f" with {machine.gpus} GPUs"
    return f"{cluster.name} ({cluster.max_nodes} x {cluster.sku}{gpus}, {cluster.priority})"
