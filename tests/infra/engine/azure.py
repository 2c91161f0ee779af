"""An Azure in a file: what it has, what it refuses, and what was planted to fail.

It plays what the program depends on: a resource needs its parent and what its ids name, nothing is made twice, a
lock holds, deleted vaults and workspaces keep their names, and what others still use cannot go.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from pulumi.runtime import MockCallArgs, MockResourceArgs
from pulumi.runtime.rpc import UNKNOWN

from mrikit.estate.azure_types import resource_id
from mrikit.estate.run_program import SUBSCRIPTION, AzureMocks

_PREFIX = "azure-native:"
_SINGLETONS = ("storage:BlobServiceProperties", "storage:FileServiceProperties")
"""Always there, so they are made by changing them."""
_HELD = ("keyvault:Vault", "machinelearningservices:Workspace")
"""Deleted softly, and their names stay taken for days; a workspace of logs comes back where it is made again."""
_FACTORY_PARTS = ("datafactory:LinkedService", "datafactory:Dataset", "datafactory:Pipeline")
_IN_SUBNETS = ("machinelearningservices:Compute", "network:PrivateEndpoint")
_AN_ID = re.compile(rf"/subscriptions/{SUBSCRIPTION}/resourceGroups/[^/]+(/.*)?")
_NAMED_BEFORE = ("resourceAccessRules", "roleDefinitionId")
"""Inputs whose ids Azure does not look up."""
INSTRUMENTATION_KEY = "7c1d1f0e-5e2f-4a53-9c1b-00000000beef"
"""What Azure tells of Application Insights and nobody else should know."""


class RefusedError(Exception):
    """Azure says no, in its words."""


class Azure:
    """The control plane of one subscription.

    Args:
        file: Where it is kept, as JSON; none is an empty one.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._play = AzureMocks()

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """What there is, by id: its `type` and `inputs`."""
        return self._load()["resources"]

    def fail(self, action: str, kind: str, message: str) -> None:
        """Let the next `create`, `update` or `delete` of a type fail."""
        with self._changing() as world:
            world["faults"].append({"action": action, "kind": kind, "message": message})

    def take_over(self, other: "Azure") -> None:
        """Have what another has: somebody else works in the same subscription."""
        self._save(other._load())

    def create(self, kind: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make a resource; returns its id and outputs."""
        made = resource_id(kind, inputs, SUBSCRIPTION)
        with self._changing() as world:
            self._happen(world, "create", kind)
            there = {one.lower() for one in world["resources"]}
            if made.lower() in there and kind not in _SINGLETONS:
                raise RefusedError(f"cannot create already existing resource '{made}'")
            if made.lower() in world["held"]:
                raise RefusedError(f"Conflict: '{made}' was deleted and its name is still held")
            if missing := sorted(one for one in _needed(made, inputs) if one.lower() not in there):
                raise RefusedError(f"LinkedResourceNotFound: '{made}' needs '{missing[0]}'")
            if kind in _FACTORY_PARTS and (unknown := _unknown_parts(world["resources"], made, inputs)):
                raise RefusedError(f"BadRequest: '{made}' names '{unknown[0]}', which the factory does not have")
            if twin := _same_right(world["resources"], kind, inputs):
                raise RefusedError(f"RoleAssignmentExists: '{twin}'")
            world["resources"][made] = {"type": kind, "inputs": dict(inputs)}
        return made, self.outputs(kind, inputs)

    def update(self, found: str, kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Put other inputs in the place of the old; returns outputs."""
        with self._changing() as world:
            self._happen(world, "update", kind)
            if found not in world["resources"]:
                raise RefusedError(f"ResourceNotFound: '{found}'")
            world["resources"][found] = {"type": kind, "inputs": dict(inputs)}
        return self.outputs(kind, inputs)

    def delete(self, found: str, kind: str) -> None:
        """Delete a resource with all below it; what is not there counts as deleted."""
        with self._changing() as world:
            self._happen(world, "delete", kind)
            resources = world["resources"]
            if found not in resources:
                return
            if user := _user(resources, found, kind):
                raise RefusedError(f"InUse: '{found}' cannot be deleted because '{user}' uses it")
            for gone in [one for one in resources if _is_within(one, found)]:
                if resources.pop(gone)["type"] in _HELD:
                    world["held"].append(gone.lower())

    def outputs(self, kind: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What Azure tells of a resource."""
        asked = MockResourceArgs(
            typ=_PREFIX + kind, name="", inputs=dict(inputs), custom=True, provider="", resource_id=""
        )
        told = self._play.new_resource(asked)[1]
        if kind == "applicationinsights:Component":
            told["instrumentationKey"] = INSTRUMENTATION_KEY
            told["connectionString"] = f"InstrumentationKey={INSTRUMENTATION_KEY}"
        return told

    def call(self, function: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a function, such as who is asking."""
        return self._play.call(MockCallArgs(token=function, args=dict(arguments), provider=""))[0]

    def _happen(self, world: dict[str, Any], action: str, kind: str) -> None:
        """A planted failure happens once; it is kept that it did, although nothing else of the action is."""
        for fault in world["faults"]:
            if (fault["action"], fault["kind"]) == (action, kind):
                world["faults"].remove(fault)
                self._save(world)
                raise RefusedError(fault["message"])

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with FileLock(self._file.with_suffix(".lock")):
            world = self._load()
            yield world
            self._save(world)

    def _load(self) -> dict[str, Any]:
        if not self._file.exists():
            return {"resources": {}, "faults": [], "held": []}
        return json.loads(self._file.read_text())

    def _save(self, world: Mapping[str, Any]) -> None:
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(world, indent=1))
        written.replace(self._file)


def foreseen(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a preview knows: inputs in the form of outputs.

    A list of identities goes in, a table of them comes out; an identity of its own will have an id.
    """
    identity = inputs.get("identity")
    if not isinstance(identity, Mapping):
        return dict(inputs)
    shown = dict(identity)
    if isinstance(identity.get("userAssignedIdentities"), list):
        shown["userAssignedIdentities"] = {one: {} for one in identity["userAssignedIdentities"]}
    if "SystemAssigned" in identity["type"]:
        shown["principalId"] = UNKNOWN
    return {**inputs, "identity": shown}


def _needed(made: str, inputs: Mapping[str, Any]) -> set[str]:
    """Ids that must be there: what a resource is part of or stands on, and what its inputs name."""
    above, _, path = made.rpartition("/providers/")
    parts = path.split("/")
    needed = {above.removesuffix("/blobServices/default")} if above else set()
    if len(parts) > 3:
        needed.add(f"{above}/providers/{'/'.join(parts[:3])}")
    return {one for one in needed | set(_ids(inputs)) if _AN_ID.fullmatch(one)}


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key not in _NAMED_BEFORE:
                yield from _ids(one)
    elif isinstance(value, list):
        for one in value:
            yield from _ids(one)
    elif isinstance(value, str) and _AN_ID.fullmatch(value):
        yield value.removesuffix("/blobServices/default")


def _unknown_parts(resources: Mapping[str, Any], made: str, inputs: Mapping[str, Any]) -> list[str]:
    """Names of linked services and datasets that are not in the factory."""
    there = {one.rpartition("/")[2] for one in resources if _factory(one) == _factory(made)}
    return sorted(set(re.findall(r'"referenceName": "([^"]+)"', json.dumps(inputs))) - there)


def _factory(id_of_part: str) -> list[str]:
    return id_of_part.split("/")[:9]


def _same_right(resources: Mapping[str, Any], kind: str, inputs: Mapping[str, Any]) -> str | None:
    """The assignment that gives the same role to the same principal on the same resource."""
    if kind != "authorization:RoleAssignment":
        return None
    keys = ("scope", "principalId", "roleDefinitionId")
    wanted = [inputs[key] for key in keys]
    same = (other for other, one in resources.items() if [one["inputs"].get(key) for key in keys] == wanted)
    return next(same, None)


def _user(resources: Mapping[str, Any], found: str, kind: str) -> str | None:
    """What keeps a resource from being deleted: a lock on it, above it or below it, or another that is built on it."""
    for other, one in resources.items():
        if other == found:
            continue
        is_lock = one["type"] == "authorization:ManagementLockByScope"
        if is_lock and (_is_within(found, one["inputs"]["scope"]) or _is_within(other, found)):
            return other
        said = json.dumps(one["inputs"])
        if kind == "network:Subnet" and one["type"] in _IN_SUBNETS and found in said:
            return other
        is_beside = _factory(other) == _factory(found)
        is_named = f'"referenceName": "{found.rpartition("/")[2]}"' in said
        if kind in _FACTORY_PARTS and one["type"] in _FACTORY_PARTS and is_beside and is_named:
            return other
    return None


def _is_within(one: str, whole: str) -> bool:
    return one == whole or one.startswith(f"{whole}/")
