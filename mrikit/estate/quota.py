"""Check of the GPU quota for growing clusters.

The names of quota entries are taken from Azure's documentation, which writes them in two ways: `standardDSv2Family` and
`Standard DSv2 Family Cluster Dedicated vCPUs`, and for low priority `totalLowPriorityCores` and `Total Cluster
LowPriority Regional vCPUs`. None of them was verified against a live account. So they are compared without case, spaces
and signs, and where nothing fits that is said, with what was found.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mrikit.estate.arm import Arm
from mrikit.estate.diagnosis import MISSING, OK, UNKNOWN, WARNING, Diagnosis
from mrikit.storage.estate import EstateCluster

_VERSION = "2024-04-01"
_LOW_PRIORITY = "low-priority"
_MOST_NAMED = 5


def quota_diagnoses(
    arm: Arm, subscription_id: str, location: str, clusters: Sequence[EstateCluster]
) -> Iterator[Diagnosis]:
    """One diagnosis for each quota that clusters draw on, and one for each size that the region does not offer.

    Dedicated nodes draw on the quota of their family; low-priority nodes of all families draw on one.

    Raises:
        ArmError: The control plane does not say.
    """
    place = f"/subscriptions/{subscription_id}/providers/Microsoft.MachineLearningServices/locations/{location}"
    sizes = {str(size.get("name", "")).lower(): size for size in arm.pages(f"{place}/vmSizes", _VERSION)}
    usages = arm.pages(f"{place}/usages", _VERSION)
    drawn: dict[str, list[tuple[EstateCluster, int]]] = {}
    for cluster in clusters:
        size = sizes.get(cluster.sku.lower())
        if size is None:
            yield Diagnosis(
                f"size of {cluster.name}",
                MISSING,
                f"{cluster.sku} is not offered in {location}",
                "name another size or region in the stack's file",
            )
            continue
        kind = _LOW_PRIORITY if cluster.priority == "LowPriority" else str(size["family"])
        drawn.setdefault(kind, []).append((cluster, int(size["vCPUs"])))
    for kind, pairs in drawn.items():
        yield _compare(kind, pairs, usages, location)


def _compare(
    kind: str, pairs: Sequence[tuple[EstateCluster, int]], usages: Sequence[Mapping[str, Any]], location: str
) -> Diagnosis:
    """What clusters need of one quota, against what there is."""
    subject = f"quota {kind}"
    needed = sum(num_cpus * cluster.max_nodes for cluster, num_cpus in pairs)
    names = " and ".join(f"{cluster.name} ({cluster.max_nodes} x {num_cpus})" for cluster, num_cpus in pairs)
    usage = next((one for one in usages if _is_for(kind, one)), None)
    if usage is None or int(usage["limit"]) < 0:
        known = [_name(one) for one in usages]
        more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
        found = f"found {', '.join(known[:_MOST_NAMED]) or 'none'}{more}" if usage is None else "its limit is negative"
        return Diagnosis(subject, UNKNOWN, f"{names} need {needed} vCPUs; no quota of this name says how many: {found}")
    limit, used = int(usage["limit"]), int(usage.get("currentValue") or 0)
    what = f"{names} need {needed} vCPUs; the limit in {location} is {limit}, in use are {used}"
    request = f"ask for {needed} vCPUs of {kind} in {location}: Azure ML studio, Quota"
    if limit < needed:
        return Diagnosis(subject, MISSING, what, request)
    if limit - used < needed:
        return Diagnosis(subject, WARNING, what, "wait for jobs that run now, which may be your own, or ask for more")
    return Diagnosis(subject, OK, what)


def _is_for(kind: str, usage: Mapping[str, Any]) -> bool:
    name = _letters(_name(usage))
    if kind == _LOW_PRIORITY:
        return "lowpriority" in name and "total" in name
    return name.startswith(_letters(kind)) and "lowpriority" not in name


def _name(usage: Mapping[str, Any]) -> str:
    found = usage.get("name")
    return str(found.get("value") or found.get("localizedValue") or "?") if isinstance(found, Mapping) else str(found)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
