"""What the control plane tells of an estate's parts."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mrikit.errors import JobError
from mrikit.estate.arm import Arm, ArmError
from mrikit.estate.first_day.step import NotAskedError
from mrikit.storage.estate import Estate, EstateCluster

_ML_VERSION, _STORAGE_VERSION, _FACTORY_VERSION = "2024-04-01", "2023-05-01", "2018-06-01"
_BUDGET_VERSION = "2023-05-01"


class Control:
    """Questions about the parts of one estate.

    Args:
        arm: Where to ask.
        estate: Names the parts.
    """

    def __init__(self, arm: Arm, estate: Estate) -> None:
        self._arm, self._estate = arm, estate
        group = f"/subscriptions/{estate.subscription_id}/resourceGroups/{estate.resource_group}"
        self._providers = f"{group}/providers"
        self._workspace = f"{self._providers}/Microsoft.MachineLearningServices/workspaces/{estate.workspace_name}"
        self._factory = f"{self._providers}/Microsoft.DataFactory/factories/{estate.factory_name}"

    def workspace(self) -> str:
        """A step: the workspace is whole, acts by itself, and its accounts let it in.

        Raises:
            JobError: It is not.
            ArmError: It cannot be asked.
        """
        found = self._arm.get(self._workspace, _ML_VERSION)
        state = str((found.get("properties") or {}).get("provisioningState"))
        name = f"workspace {self._estate.workspace_name}"
        if state != "Succeeded":
            raise JobError(f"{name} is {state}")
        _require_own_identity(found, name)
        for endpoint in (self._estate.blob_endpoint, self._estate.runs_endpoint, self._estate.work_endpoint):
            self._require_rule(endpoint, self._workspace, name)
        return f"{name} is there and has an identity of its own"

    def factory(self) -> str:
        """A step: the factory acts by itself, and the data account lets it in.

        Raises:
            JobError: It does not.
            ArmError: It cannot be asked.
        """
        name = f"Data Factory {self._estate.factory_name}"
        _require_own_identity(self._arm.get(self._factory, _FACTORY_VERSION), name)
        self._require_rule(self._estate.blob_endpoint, self._factory, name)
        return f"{name} is there and has an identity of its own"

    def nodes(self, cluster: EstateCluster) -> str:
        """What is wrong with the nodes of a cluster; empty if nothing.

        Raises:
            ArmError: It cannot be asked.
        """
        found = _inner(self._arm.get(self._cluster_id(cluster), _ML_VERSION))
        num_unusable = int((found.get("nodeStateCounts") or {}).get("unusableNodeCount") or 0)
        errors = [_error_words(one) for one in found.get("errors") or []]
        if num_unusable:
            errors.insert(0, f"{num_unusable} unusable")
        return f"nodes of cluster {cluster.name}: {'; '.join(errors)}" if errors else ""

    def as_declared(self, cluster: EstateCluster) -> str:
        """A step: a cluster has the size, priority and number of nodes that the estate says.

        Raises:
            JobError: It has others.
            NotAskedError: Nobody tells.
        """
        found = _inner(self._ask(self._cluster_id(cluster), _ML_VERSION))
        most = (found.get("scaleSettings") or {}).get("maxNodeCount")
        there = {"size": found.get("vmSize"), "priority": found.get("vmPriority"), "most nodes": most}
        wanted = {"size": cluster.sku, "priority": cluster.priority, "most nodes": cluster.max_nodes}
        wrong = [
            f"{key} {there[key]} instead of {wanted[key]}"
            for key in wanted
            if str(there[key]).lower() != str(wanted[key]).lower()
        ]
        if wrong:
            raise JobError(f"cluster {cluster.name} has {', '.join(wrong)}")
        return f"cluster {cluster.name} is as declared"

    def cors(self) -> str:
        """A step: the rules by which the studio's pages read the workspace's own account are there.

        Raises:
            JobError: There is none.
            NotAskedError: Nobody tells.
        """
        account = self._account(self._estate.work_endpoint)
        found = self._ask(f"{account}/blobServices/default", _STORAGE_VERSION)
        rules = ((found.get("properties") or {}).get("cors") or {}).get("corsRules") or []
        origins = sorted({str(origin) for rule in rules for origin in rule.get("allowedOrigins") or []})
        if not origins:
            raise JobError("the workspace's account has no CORS rule, so that the studio shows no files")
        return f"the workspace's account admits pages of {', '.join(origins)}"

    def datastores(self) -> str:
        """A step: datastores hold no credentials.

        Raises:
            JobError: One does.
            NotAskedError: Nobody tells.
        """
        kinds = {}
        for name in self._estate.datastores:
            found = self._ask(f"{self._workspace}/datastores/{name}", _ML_VERSION)
            credentials = (found.get("properties") or {}).get("credentials") or {}
            kinds[name] = str(credentials.get("credentialsType") or "None")
        wrong = [f"{name} ({kind})" for name, kind in kinds.items() if kind != "None"]
        if wrong:
            raise JobError(f"datastores with credentials of their own: {', '.join(wrong)}")
        return f"{', '.join(kinds)} are read by identity"

    def budget(self) -> str:
        """A step: the budget is there.

        Raises:
            JobError: There is none.
            NotAskedError: Nobody tells.
        """
        found = self._ask(f"{self._providers}/Microsoft.Consumption/budgets", _BUDGET_VERSION)
        budgets = [one.get("properties") or {} for one in found.get("value") or []]
        if not budgets:
            raise JobError("the resource group has no budget; does the offer of this subscription refuse budgets?")
        return ", ".join(f"{one.get('amount')} a month" for one in budgets)

    def _cluster_id(self, cluster: EstateCluster) -> str:
        return f"{self._workspace}/computes/{cluster.compute_name}"

    def _account(self, endpoint: str) -> str:
        name = str(urlsplit(endpoint).hostname).partition(".")[0]
        return f"{self._providers}/Microsoft.Storage/storageAccounts/{name}"

    def _require_rule(self, endpoint: str, resource: str, name: str) -> None:
        """Rules of accounts are for readers of accounts; whoever is none hears of it by a job or a copy that fails."""
        account = self._account(endpoint)
        try:
            found = self._arm.get(account, _STORAGE_VERSION)
        except ArmError as error:
            if error.status == 403:
                return
            raise
        rules = ((found.get("properties") or {}).get("networkAcls") or {}).get("resourceAccessRules") or []
        if resource.lower() not in {str(rule.get("resourceId")).lower() for rule in rules}:
            raise JobError(f"account {account.rpartition('/')[2]} has no resource access rule for {name}")

    def _ask(self, path: str, version: str) -> Mapping[str, Any]:
        try:
            return self._arm.get(path, version)
        except ArmError as error:
            raise NotAskedError(str(error)) from error


def _inner(compute: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a compute target tells of itself: a cluster is wrapped twice."""
    found = (compute.get("properties") or {}).get("properties") or {}
    return found if isinstance(found, Mapping) else {}


def _require_own_identity(found: Mapping[str, Any], name: str) -> None:
    kind = str((found.get("identity") or {}).get("type") or "none")
    if "systemassigned" not in kind.lower():
        raise JobError(f"{name} has no identity of its own; found {kind}")


def _error_words(error: Mapping[str, Any]) -> str:
    inner = error.get("error") or error
    return f"{inner.get('code') or ''} {inner.get('message') or ''}".strip()
