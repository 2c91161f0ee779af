"""What only a person can try on the first day, because it changes something."""

from collections.abc import Iterator

from mrikit.estate.first_day.control import Control
from mrikit.estate.first_day.step import TO_TRY, Outcome, Step
from mrikit.storage.estate import Estate


def later_steps(estate: Estate, control: Control) -> Iterator[Step]:
    """What can be asked about these things without changing any."""
    for cluster in estate.clusters:
        yield Step(
            name=f"cluster {cluster.name}",
            place="later",
            act=lambda cluster=cluster: control.as_declared(cluster),  # type: ignore[misc]
        )
    yield Step(name="CORS of the workspace's account", place="later", act=control.cors)
    yield Step(name="datastores", place="later", act=control.datastores)
    yield Step(name="budget", place="later", act=control.budget)


def to_try(estate: Estate) -> Iterator[Outcome]:
    """For whoever deploys: one line each, in this order, on a stack that may be lost.

    None of this was seen on Azure; reports about the provider speak of each.
    """
    cluster = estate.clusters[-1]
    place = f"--resource-group {estate.resource_group} --workspace-name {estate.workspace_name}"
    again = "`pulumi up`, `mrikit infra link`, then this command: its line about the cluster tells"
    lines = {
        "a cluster of another size": f"change `sku` of cluster {cluster.name}, {again}. `az ml compute list {place}` "
        f"lists {cluster.compute_name} no more; if it does, `az ml compute delete` it",
        "a second `pulumi up`": "`pulumi up` again changes nothing; `pulumi refresh --preview-only` shows what Azure "
        "changed by itself. Read its lines before you say yes to any refresh",
        "another budget": "change `monthlyBudget`, `pulumi up`. If Azure asks for the latest version: `pulumi destroy "
        "--target` the budget, then `pulumi up`",
        "more nodes": f"change `maxNodes` of cluster {cluster.name}, {again}. If it has as many as before: "
        f"`az ml compute update {place} --name {cluster.compute_name} --max-instances`",
        "destroy, and deploy again": "purge first (infra/README.md, Take it down), `pulumi destroy`, then `pulumi up` "
        "of the same stack",
    }
    if estate.network == "private":
        lines |= {
            "a private stack, twice": "`pulumi destroy` and `pulumi up`: endpoints and zone links are made one after "
            "another. If one is refused because another operation is in progress: `pulumi up` again",
            "from private to public": "take out `subnetId` and `network`, `pulumi up`. If the registry refuses to "
            "become smaller: `pulumi destroy --target` its endpoint first",
        }
    for name, what in lines.items():
        yield Outcome(name=name, state=TO_TRY, what=what)
