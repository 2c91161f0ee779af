"""A real Azurite over HTTPS with OAuth, and a token server that azure-identity takes for a managed identity.

Product code goes its ordinary way: DefaultAzureCredential, a bearer token, TLS with a certificate that is checked.
"""

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from waiting import HANG_S

ACCOUNT = "mrikittests"
ACCOUNT_KEY = base64.b64encode(b"a key that only Azurite knows; no product code uses keys").decode()
VAULT = "mrikit-dev.vault.azure.net"
TENANT = "11111111-1111-1111-1111-111111111111"
_REPOSITORY = Path(__file__).parents[1]


def find_azurite() -> str | None:
    """The program: MRIKIT_AZURITE, else what `make azurite` installed, else on the PATH."""
    installed = _REPOSITORY / ".azurite/node_modules/.bin/azurite-blob"
    return (
        os.environ.get("MRIKIT_AZURITE")
        or (str(installed) if installed.exists() else None)
        or shutil.which("azurite-blob")
    )


@contextmanager
def running_azurite(program: str, folder: Path) -> Iterator[dict[str, str]]:
    """Start Azurite and the token server; yields the environment in which Azure's clients find them."""
    certificate, key = make_certificate(folder)
    port = _free_port()
    log = (folder / "azurite.log").open("wb")
    command = [
        program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--oauth", "basic",
        "--cert", str(certificate), "--key", str(key), "--disableTelemetry", "--skipApiVersionCheck", "--silent",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=log, stderr=log, env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    )
    try:
        _await(port, process, folder / "azurite.log")
        with token_server() as identity:
            yield identity | {
                "MRIKIT_BLOB_ENDPOINT": f"https://127.0.0.1:{port}/{ACCOUNT}",
                "REQUESTS_CA_BUNDLE": str(certificate),
            }
    finally:
        process.kill()
        process.wait()
        log.close()


@contextmanager
def token_server() -> Iterator[dict[str, str]]:
    """A managed identity as App Service offers it; its tokens are unsigned, which Azurite takes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _TokenHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.server_port}/token",
            "IDENTITY_HEADER": "test",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }
    finally:
        server.shutdown()
        server.server_close()


def make_token(audience: str, lifetime_s: int = 3600) -> str:
    """An unsigned token."""
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + lifetime_s,
        "oid": "22222222-2222-2222-2222-222222222222",
        "tid": TENANT,
    }
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "RS256", "typ": "JWT"}, claims)
    )
    return f"{head}.{body}.c2ln"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, also where it plays a Key Vault, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
            "-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:{VAULT}",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


class _TokenHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        audience = parse_qs(urlsplit(self.path).query).get("resource", [""])[0]
        answer = {
            "access_token": make_token(audience),
            "expires_on": str(int(time.time()) + 3600),
            "resource": audience,
            "token_type": "Bearer",
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    context = ssl._create_unverified_context()
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain):
                return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"Azurite did not start: {log.read_text()[-500:]}")
