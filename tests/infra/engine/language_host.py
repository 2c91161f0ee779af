"""The plug-in `pulumi-language-python`, as far as a policy pack needs it: `python language_host.py PYTHON`.

PYTHON is that of an environment with pulumi-policy. The real host comes with Pulumi's packages for users.
"""

import os
import signal
import subprocess
import sys
from concurrent import futures

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Starts policy packs."""

    def Handshake(self, request, context):  # noqa: N802 - protobuf's
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request, context):  # noqa: N802 - protobuf's
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetRequiredPackages(self, request, context):  # noqa: N802 - protobuf's
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request, context):  # noqa: N802 - protobuf's
        return language_pb2.GetRequiredPluginsResponse()

    def RunPlugin(self, request, context):  # noqa: N802 - protobuf's
        command = [sys.argv[1], "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory]
        environment = dict(pair.split("=", 1) for pair in request.env)
        with subprocess.Popen(
            command, cwd=request.pwd, env=os.environ | environment, stdout=subprocess.PIPE, stderr=sys.stderr
        ) as pack:
            context.add_callback(pack.kill)
            for line in pack.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)
        yield language_pb2.RunPluginResponse(exitcode=pack.returncode)


def main() -> None:
    """Say the port and serve until the engine ends this."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 - the protocol
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
