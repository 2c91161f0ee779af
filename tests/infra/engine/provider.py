"""The plug-in `pulumi-resource-azure-native`, with an Azure in a file: `python -m engine.provider FILE`.

How the real one behaves, by its source: https://github.com/pulumi/pulumi-azure-native (provider/pkg/provider).
"""

import importlib.metadata
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from mrikit.estate.azure_types import azure_type

from .azure import Azure, RefusedError, foreseen

_MADE_ONCE = {
    "resources:ResourceGroup": ("location",),
    "storage:StorageAccount": ("location", "isHnsEnabled"),
    "network:VirtualNetwork": ("location",),
    "network:PrivateEndpoint": ("subnet",),
    "authorization:RoleAssignment": ("principalId",),
}
"""What replaces a resource besides the parts of its address: gen/replacement.go and what the schemas say."""
_KIND = provider_pb2.PropertyDiff.Kind


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine as azure-native does, as far as the engine's plans depend on it."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    def GetPluginInfo(self, request, context):  # noqa: N802 - protobuf's
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi_azure_native"))

    def CheckConfig(self, request, context):  # noqa: N802 - protobuf's
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802 - protobuf's
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802 - protobuf's
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request, context):  # noqa: N802 - protobuf's
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):  # noqa: N802 - protobuf's
        kind = _kind(request.urn)
        fixed = {*azure_type(kind).names, "resourceGroupName", "scope", "resourceUri", *_MADE_ONCE.get(kind, ())}
        changed = dict(_changes(_table(request.old_inputs), _table(request.news)))
        tops = {path: re.split(r"[.\[]", path)[0] for path in changed}
        replaces = sorted({top for top in tops.values() if top in fixed})
        detailed = {
            path: provider_pb2.PropertyDiff(kind=what + 1 if tops[path] in fixed else what, inputDiff=True)
            for path, what in changed.items()
        }
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some,
            diffs=sorted(set(tops.values())),
            replaces=replaces,
            deleteBeforeReplace=bool(replaces),
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    def Create(self, request, context):  # noqa: N802 - protobuf's
        inputs = _table(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(foreseen(inputs)))
        made, outputs = _answer(context, self._azure.create, _kind(request.urn), inputs)
        return provider_pb2.CreateResponse(id=made, properties=_struct(outputs))

    def Read(self, request, context):  # noqa: N802 - protobuf's
        found = self._azure.resources.get(request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        outputs = self._azure.outputs(found["type"], found["inputs"])
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(outputs), inputs=_struct(found["inputs"]))

    def Update(self, request, context):  # noqa: N802 - protobuf's
        inputs, kind = _table(request.news), _kind(request.urn)
        if request.preview:
            # All that is no input counts as unknown: https://github.com/pulumi/pulumi-azure-native/issues/1080.
            name = {"name": _table(request.olds)["name"]}
            return provider_pb2.UpdateResponse(properties=_struct({**foreseen(inputs), **name}))
        return provider_pb2.UpdateResponse(
            properties=_struct(_answer(context, self._azure.update, request.id, kind, inputs))
        )

    def Delete(self, request, context):  # noqa: N802 - protobuf's
        _answer(context, self._azure.delete, request.id, _kind(request.urn))
        return empty_pb2.Empty()

    def Invoke(self, request, context):  # noqa: N802 - protobuf's
        told = self._azure.call(request.tok, _table(request.args))
        return provider_pb2.InvokeResponse(**{"return": _struct(told)})

    def Cancel(self, request, context):  # noqa: N802 - protobuf's
        return empty_pb2.Empty()


def _changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Path and kind of each difference, in the engine's own words."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            below = f"{path}.{key}".lstrip(".") if re.fullmatch(r"\w+", key) else f'{path}["{key}"]'
            if key not in old:
                yield below, _KIND.ADD
            elif key not in new:
                yield below, _KIND.DELETE
            else:
                yield from _changes(old[key], new[key], below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _changes(*pair, f"{path}[{index}]")
    elif old != new:
        yield path, _KIND.UPDATE


def _answer(context, action, *arguments):
    try:
        return action(*arguments)
    except RefusedError as no:
        context.abort(grpc.StatusCode.UNKNOWN, str(no))


def _kind(urn: str) -> str:
    """Type without `azure-native:`; a URN's type is that of all its parents, then its own."""
    return urn.split("::")[2].rpartition("$")[2].removeprefix("azure-native:")


def _table(message: struct_pb2.Struct) -> dict[str, Any]:
    return json_format.MessageToDict(message)


def _struct(table: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(table), struct_pb2.Struct())


def main() -> None:
    """Say the port and serve until the engine ends this, which it does as a terminal would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = grpc.server(futures.ThreadPoolExecutor(16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(Azure(Path(sys.argv[1]))), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 - the protocol
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
