"""Run a Pulumi program under mocks, without account.

    python -m mrikit.estate.run_program < {"program": ..., "project": ..., "stack": ..., "config": {...}}

Not imported by commands: Pulumi's runtime keeps one stack per process. `mrikit.estate.declared` starts this and reads
what it prints. Azure's side is played as far as programs look at it: ids, endpoints, and who is asking.
"""

import json
import os
import runpy
import sys
import uuid
from collections.abc import Mapping
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi import runtime
from pulumi.runtime import mocks, rpc
from pulumi.runtime.proto import resource_pb2

from mrikit.estate.azure_types import path_names, resource_id

SUBSCRIPTION = "00000000-0000-4000-8000-000000000000"
TENANT = "00000000-0000-4000-8000-000000000001"
SECRET = "(secret)"  # noqa: S105 - what stands for one
"""What stands in the record for a value that the program marks as secret."""


class AzureMocks(runtime.Mocks):
    """Answers as Azure would, where a program looks at the answer."""

    def new_resource(self, args: runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """An id and what is known of the resource afterwards."""
        outputs = dict(args.inputs)
        if not args.custom:
            return None, outputs
        name = path_names(args.typ, args.inputs)[-1]
        outputs["name"] = name
        identity = outputs.get("identity")
        if isinstance(identity, Mapping) and isinstance(identity.get("userAssignedIdentities"), list):
            # A list of ids goes in, a table of them comes out.
            outputs["identity"] = {
                **identity,
                "userAssignedIdentities": dict.fromkeys(identity["userAssignedIdentities"]),
            }
        if _is_itself(args.inputs):
            outputs["identity"] = {**outputs["identity"], "principalId": _principal(args.typ, name, args.inputs)}
        return resource_id(args.typ, args.inputs, SUBSCRIPTION), outputs | _computed(args.typ, name)

    def call(self, args: runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """Who is asking, or where a workflow is called."""
        if args.token.endswith(":listWorkflowTriggerCallbackUrl"):
            return {"value": f"https://prod.logic.azure.com/{args.args['triggerName']}?sig=made-up"}, []
        assert args.token.endswith(":getClientConfig"), args.token
        asking = {"subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "clientId": SUBSCRIPTION}
        return {**asking, "objectId": SUBSCRIPTION}, []


class RecordingMonitor(mocks.MockMonitor):
    """Keeps every registration as it came in, with its options."""

    def __init__(self, answers: runtime.Mocks) -> None:
        super().__init__(answers)
        self.record: list[dict[str, Any]] = []

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802, ANN401 - protobuf's
        """Record it, and answer as a mock does."""
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.record.append({**describe(request), "urn": response.urn, "id": response.id})
        return response


def describe(request: resource_pb2.RegisterResourceRequest) -> dict[str, Any]:
    """What a program says of a resource, and whom an identity stands for."""
    # Not by Pulumi's own function, which would hide a whole input where one text within it is secret.
    inputs = _plain(json_format.MessageToDict(request.object))
    has_secrets = rpc._special_secret_sig in json_format.MessageToJson(request.object)  # noqa: SLF001
    name = path_names(request.type, inputs)[-1] if request.custom else ""
    return {
        "principal_id": _principal(request.type, name, inputs),
        "type": request.type,
        "name": request.name,
        "parent": request.parent,
        "custom": bool(request.custom),
        "inputs": inputs,
        "dependencies": sorted(request.dependencies),
        "protect": bool(request.protect),
        "ignore_changes": list(request.ignoreChanges),
        "has_secrets": has_secrets,
    }


def run(program: str, project: str, stack: str, config: Mapping[str, str]) -> dict[str, Any]:
    """The record of one run: resources in the order of registration, and the stack's outputs."""
    answers = AzureMocks()
    monitor = RecordingMonitor(answers)
    runtime.set_mocks(answers, project=project, stack=stack, preview=False, monitor=monitor)
    runtime.set_all_config(dict(config))
    # As the engine hands it over; a program sees here which keys there are.
    os.environ["PULUMI_CONFIG"] = json.dumps(dict(config))
    outputs: dict[str, Any] = {}

    @runtime.test  # type: ignore[untyped-decorator]
    def declare() -> pulumi.Output[None]:
        runpy.run_path(program, run_name="__main__")
        exported = runtime.get_root_resource().outputs  # type: ignore[union-attr]  # there is one while a program runs
        return pulumi.Output.all(**exported).apply(outputs.update)

    declare()
    return {"resources": monitor.record, "outputs": _plain(outputs)}


def _computed(pulumi_type: str, name: str) -> dict[str, Any]:
    """What Azure adds to a resource, as far as programs ask for it."""
    kind = pulumi_type.rpartition(":")[2]
    if kind == "UserAssignedIdentity":
        return {key: _guid(key, name) for key in ("principalId", "clientId")}
    return {"loginServer": f"{name}.azurecr.io"} if kind == "Registry" else {}


def _principal(pulumi_type: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Object id of an identity, and of a resource that has one itself; empty for others."""
    # Services of two kinds may have the same name.
    own = _guid(f"principalId/{pulumi_type}", name) if _is_itself(inputs) else ""
    return str(_computed(pulumi_type, name).get("principalId", own))


def _is_itself(inputs: Mapping[str, Any]) -> bool:
    identity = inputs.get("identity")
    return isinstance(identity, Mapping) and "SystemAssigned" in str(identity.get("type"))


def _guid(key: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{key}/{name}"))


def _plain(value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    """The same without protobuf's habit of turning whole numbers into 4.0."""
    if isinstance(value, Mapping):
        # What is marked as secret is not in the record, as it is in no state.
        is_secret = value.get(rpc._special_sig_key) == rpc._special_secret_sig  # noqa: SLF001
        return SECRET if is_secret else {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> None:
    """Read the request, print the record; or `error`, a mistake in the configuration; or `broken`, in the program."""
    request = json.load(sys.stdin)
    try:
        record = run(**request)
    except pulumi.RunError as error:
        record = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever the program raises, its caller tells in one line
        record = {"broken": f"{type(error).__name__}: {error}"}
    json.dump(record, sys.stdout)


if __name__ == "__main__":
    main()
