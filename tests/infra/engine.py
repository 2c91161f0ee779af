"""Pulumi's engine and its Python language host on loopback, without an account: what a program says over the real wire.

Azure's side is played as the command's record plays it; a preview leaves unknown whatever Azure would add or change.
"""

import asyncio
import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi import runtime
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from mrikit.estate.run_program import AzureMocks

PROJECT = "mrikit"
STACK_TYPE = "pulumi:pulumi:Stack"
UNKNOWN = runtime.rpc.UNKNOWN
"""What stands on the wire for a value that only Azure can tell."""
SECRET = runtime.rpc._special_secret_sig
"""What stands beside a value that is secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """One resource as it came in."""

    urn: str
    id: str
    """Azure's; empty for a component, and in a preview."""
    inputs: Mapping[str, Any]
    request: resource_pb2.RegisterResourceRequest
    """The whole of it, options too."""

    @property
    def type(self) -> str:
        """Pulumi's type without `azure-native:`."""
        return self.request.type.removeprefix("azure-native:")

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.request.name


@dataclass(kw_only=True, slots=True)
class Run:
    """What an engine saw of one run of a program."""

    stack: str
    is_preview: bool
    registered: list[Registered] = field(default_factory=list)
    """In the order in which they came, the stack itself among them."""
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What components and the stack say in the end, by URN."""
    invoked: list[str] = field(default_factory=list)
    """Functions of Azure that were called."""
    messages: list[tuple[str, str]] = field(default_factory=list)
    """Severity and text of what a user would see."""
    exit_code: int = 0
    printed: str = ""
    """On stdout and stderr, which a user would see, too."""

    @property
    def resources(self) -> list[Registered]:
        """All but the stack."""
        return [one for one in self.registered if one.type != STACK_TYPE]

    @property
    def exports(self) -> dict[str, Any]:
        """What the stack exports."""
        return next((said for urn, said in self.outputs.items() if f"::{STACK_TYPE}::" in urn), {})

    def of(self, *types: str) -> list[Registered]:
        """The resources of some types."""
        return [one for one in self.registered if one.type in types]

    def one(self, kind: str, name: str) -> Registered:
        """The one resource of a type and a name."""
        (found,) = [one for one in self.of(kind) if one.name == name]
        return found


def run_program(program: Path, config: Mapping[str, str], stack: str = "dev", *, is_preview: bool = False) -> Run:
    """Run a program in a process of its own, as `pulumi up` and `pulumi preview` do."""
    run = Run(stack=stack, is_preview=is_preview)
    server = grpc.server(futures.ThreadPoolExecutor(16))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(Monitor(run), server)
    engine_pb2_grpc.add_EngineServicer_to_server(Engine(run), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    settings = {"project": PROJECT, "stack": stack, "organization": "organization", "monitor": address}
    settings |= {"engine": address, "parallel": 16, "dry_run": is_preview}
    try:
        done = subprocess.run(
            [sys.executable, "-u", __file__, program, json.dumps(settings)],
            env=os.environ | {"PULUMI_CONFIG": json.dumps(dict(config)), "PULUMI_CONFIG_SECRET_KEYS": "[]"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        server.stop(None).wait()
    run.exit_code, run.printed = done.returncode, done.stdout + done.stderr
    return run


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Takes registrations in and answers as Azure would; a preview's answers leave out what it would add."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._azure = AzureMocks()
        self._lock = threading.Lock()

    def GetDeploymentInfo(self, request, context):  # noqa: N802 - protobuf's
        features = resource_pb2.ResourceMonitorFeature.values()
        return resource_pb2.DeploymentInfo(project=PROJECT, stack=self._run.stack, supportedFeatures=features)

    def RegisterResource(self, request, context):  # noqa: N802 - protobuf's
        inputs = json_format.MessageToDict(request.object)
        urn = _urn(request, self._run.stack)
        asked = runtime.MockResourceArgs(
            typ=request.type, name=request.name, inputs=inputs, custom=request.custom, provider="", resource_id=""
        )
        azure_id, outputs = self._azure.new_resource(asked)
        if self._run.is_preview:
            azure_id = None
            outputs = {key: value if inputs.get(key) == value else UNKNOWN for key, value in outputs.items()}
        with self._lock:
            if urn in {one.urn for one in self._run.registered}:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Duplicate resource URN '{urn}'")
            self._run.registered.append(Registered(urn=urn, id=azure_id or "", inputs=inputs, request=request))
        answer = json_format.ParseDict(outputs, struct_pb2.Struct())
        return resource_pb2.RegisterResourceResponse(urn=urn, id=azure_id or "", object=answer)

    def RegisterResourceOutputs(self, request, context):  # noqa: N802 - protobuf's
        self._run.outputs[request.urn] = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request, context):  # noqa: N802 - protobuf's
        self._run.invoked.append(request.tok)
        asked = runtime.MockCallArgs(token=request.tok, args=json_format.MessageToDict(request.args), provider="")
        told, _ = self._azure.call(asked)
        return resource_pb2.ResourceInvokeResponse(**{"return": json_format.ParseDict(told, struct_pb2.Struct())})

    def SignalAndWaitForShutdown(self, request, context):  # noqa: N802 - protobuf's
        return empty_pb2.Empty()


class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what would be shown to a user."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def Log(self, request, context):  # noqa: N802 - protobuf's
        if request.severity != engine_pb2.DEBUG:
            self._run.messages.append((engine_pb2.LogSeverity.Name(request.severity), request.message))
        return empty_pb2.Empty()


def _urn(request: resource_pb2.RegisterResourceRequest, stack: str) -> str:
    """As the engine makes them: the types of all parents but the stack's, then the own."""
    above = request.parent.split("::")[2] if request.parent else STACK_TYPE
    kind = request.type if above == STACK_TYPE else f"{above}${request.type}"
    return f"urn:pulumi:{stack}::{PROJECT}::{kind}::{request.name}"


def main() -> None:
    """As Pulumi's `pulumi-language-python-exec` does, which comes with its command and not with the Python package."""
    folder, settings = sys.argv[1:]
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(runtime.Settings(**json.loads(settings)))
    os.chdir(folder)
    sys.argv = ["."]
    try:
        asyncio.run(runtime.run_in_stack(lambda: runpy.run_path(".", run_name="__main__")))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
