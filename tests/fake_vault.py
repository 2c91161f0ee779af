"""A stand-in for a Key Vault: its secrets, deleted and recovered; the vendor's client speaks to it over HTTPS.

The client insists on a name below `vault.azure.net`, which `vault_for` leads to this machine. Whatever it refuses, it
repeats what it was given: the worst that a service could do.
"""

import json
import os
import re
import socket
import time
from collections import defaultdict
from pathlib import Path

from azurite import VAULT
from https_server import HttpsServer, _Handler

_PATH = re.compile(r"/(?P<kind>secrets|deletedsecrets)/(?P<name>[^/?]+)(?P<rest>/[^?]*)?")


class FakeVault:
    """One vault; change its attributes to change what it does."""

    def __init__(self, certificate, key):
        self.secrets = {}  # name -> what was PUT
        self.deleted = {}
        self.requests = []  # (method, path, body)
        self.refuses = defaultdict(
            list
        )  # method -> (status, code, and perhaps an inner one) for the next such requests
        self._server = HttpsServer(self.answer, certificate, key)
        for verb in ("PUT", "DELETE"):
            setattr(self._server._server.RequestHandlerClass, f"do_{verb}", _Handler.do_GET)
        self.port = self._server.endpoint.rpartition(":")[2]
        self.uri = f"https://{VAULT}:{self.port}"

    def close(self):
        self._server.close()

    def answer(self, method, path, headers, body):
        if "Authorization" not in headers:
            challenge = (
                f'Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net:{self.port}"'
            )
            return 401, {"WWW-Authenticate": challenge}, {}
        self.requests.append((method, path, body))
        if self.refuses[method]:
            status, code, *inner = self.refuses[method].pop(0)
            return _no(status, code, f"refused {body}", *inner)
        match = _PATH.match(path)
        kind, name, rest = match["kind"], match["name"], (match["rest"] or "").strip("/")
        if kind == "deletedsecrets":
            return self._of_deleted(method, name, rest)
        if method == "PUT":
            if name in self.deleted:
                return _no(
                    409,
                    "Conflict",
                    f"Secret {name} is deleted but recoverable; {body}",
                    "ObjectIsDeletedButRecoverable",
                )
            self.secrets[name] = json.loads(body)
            return 200, {}, self._bundle(name, self.secrets[name])
        if name not in self.secrets:
            return _no(404, "SecretNotFound", f"A secret with name {name} was not found in this key vault")
        if method == "DELETE":
            self.deleted[name] = self.secrets.pop(name)
            return 200, {}, self._bundle(name, self.deleted[name]) | self._recovery(name)
        return 200, {}, self._bundle(name, self.secrets[name])

    def _of_deleted(self, method, name, rest):
        if name not in self.deleted:
            return _no(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        if method == "POST":
            assert rest == "recover"
            self.secrets[name] = self.deleted.pop(name)
            return 200, {}, self._bundle(name, self.secrets[name])
        return 200, {}, self._bundle(name, self.deleted[name]) | self._recovery(name)

    def _bundle(self, name, given):
        times = {"created": int(time.time()), "updated": int(time.time()), "enabled": True}
        return {
            **given,
            "id": f"{self.uri}/secrets/{name}/0123456789abcdef",
            "attributes": {**given["attributes"], **times},
        }

    def _recovery(self, name):
        return {"recoveryId": f"{self.uri}/deletedsecrets/{name}", "deletedDate": int(time.time())}


def vault_for(monkeypatch):
    """A fixture's body: a vault for this test, behind a name that its client believes."""
    certificate = Path(os.environ["REQUESTS_CA_BUNDLE"])
    vault = FakeVault(certificate, certificate.with_name("key.pem"))
    resolve = socket.getaddrinfo

    def lead_here(host, *words, **options):
        return resolve("127.0.0.1" if host == VAULT else host, *words, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lead_here)
    yield vault
    vault.close()


def _no(status, code, message, inner=None):
    return status, {}, {"error": {"code": code, "message": message, "innererror": {"code": inner} if inner else None}}
