"""A gate before Azurite that refuses as Azure's own rules do: Azurite knows neither roles nor firewalls."""

import http.client
import ssl
import urllib.parse

from https_server import HttpsServer

_KEPT = ("content-type", "etag", "last-modified", "content-range")


class BlobGate:
    """An account behind `https://localhost:PORT/ACCOUNT`; what it does not refuse it hands on.

    Args:
        endpoint: Of Azurite, with its account.
        certificate: File of the gate's certificate, which is Azurite's too.
        key: File of its key.
    """

    def __init__(self, endpoint, certificate, key):
        self.refuses = []  # [container, code, how often]
        self.requests = []  # (method, path)
        self._behind = urllib.parse.urlsplit(endpoint)
        self.server = HttpsServer(self.answer, certificate, key)
        for verb in ("GET", "PUT", "HEAD", "DELETE"):
            setattr(self.server._server.RequestHandlerClass, f"do_{verb}", _serve)
        self.endpoint = f"{self.server.endpoint}{self._behind.path}"

    def close(self):
        self.server.close()

    def answer(self, method, path, headers, body):
        self.requests.append((method, path))
        for rule in self.refuses:
            container, code, left = rule
            if left and f"/{container}/" in path:
                rule[2] -= 1
                said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
                return 403, {"x-ms-error-code": code, "Content-Type": "application/xml"}, said
        behind = http.client.HTTPSConnection(
            self._behind.hostname, self._behind.port, context=ssl._create_unverified_context()
        )
        passed = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        behind.request(method, path, body, passed)
        answer = behind.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() in _KEPT or name.startswith("x-ms-")}
        data = answer.read()
        kept["Content-Length"] = answer.getheader("Content-Length") or str(len(data))
        behind.close()
        return answer.status, kept, data


def _serve(handler):
    """As `https_server` does, for bytes."""
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    status, headers, data = handler.https_server.answer(handler.command, handler.path, dict(handler.headers), body)
    handler.send_response(status)
    for name, text in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name, text)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)
