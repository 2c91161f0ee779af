"""Answers of a service in trouble, over real TLS, by both ways to read a blob."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azurite import make_certificate, token_server
from waiting import HANG_S

from mrikit.errors import StorageError
from mrikit.storage import BlobPath, read_range
from mrikit.storage.blob_ranges import read_range_into
from mrikit.storage.transport import JitteredRetryPolicy, Transport

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])

BLOB = BlobPath("data", "volume.h5")


def read_plainly():
    return read_range(BLOB, 0, 100, if_version=1)


def read_into_memory():
    return read_range_into(BLOB, 0, memoryview(bytearray(100)), if_version=1)


READERS = pytest.mark.parametrize("read", [read_plainly, read_into_memory], ids=["client", "ranges"])


class _Refusal(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.num_requests += 1
        code = self.server.code
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>It did not work.</Message></Error>".encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-ms-error-code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate, monkeypatch):
    """Gives the same answer to every request; nobody waits before asking again."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusal)
    server.daemon_threads = True
    server.num_requests, server.status, server.code = 0, 503, "ServerBusy"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with token_server() as identity:
        for name, value in identity.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MRIKIT_BLOB_ENDPOINT", f"https://127.0.0.1:{server.server_port}/account")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
        monkeypatch.setattr("time.sleep", lambda _: None)
        yield server
    server.shutdown()
    server.server_close()


@READERS
@pytest.mark.parametrize("status", [503, 408])
def test_a_service_that_is_busy_for_long_takes_no_connection_for_ever(server, read, status):
    server.status, messages = status, []

    def work():
        for _ in range(20):
            with pytest.raises(StorageError) as caught:
                read()
            messages.append(str(caught.value))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(HANG_S)
    assert len(messages) == 20  # it does not hang
    assert server.num_requests > 64  # as many as there are connections
    assert set(messages) == {f"{BLOB}: the service refused with {status} ServerBusy"}


@READERS
def test_a_token_that_is_not_taken_says_how_to_log_in(server, read):
    server.status, server.code = 401, "InvalidAuthenticationInfo"
    with pytest.raises(StorageError, match=f"^{BLOB}: not logged in to Azure; run `az login`"):
        read()


@READERS
@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (409, "BlobArchived", r"it is in the archive tier \(BlobArchived\); rehydrate it to the hot or cool tier"),
        (412, "LeaseIdMissing", r"a lease or an immutability policy holds it \(LeaseIdMissing\); end that"),
        (409, "BlobImmutableDueToPolicy", r"a lease or an immutability policy holds it \(BlobImmutableDueToPolicy\)"),
        (412, "ConditionNotMet", r"it was changed by someone else meanwhile \(ConditionNotMet\)"),
        (409, "SomethingElse", r"the service refused with 409 SomethingElse"),
    ],
    ids=["archived", "leased", "immutable", "changed", "other"],
)
def test_a_refusal_says_what_it_is_about(server, read, status, code, message):
    server.status, server.code = status, code
    with pytest.raises(StorageError, match=f"^{BLOB}: {message}"):
        read()


def test_everybody_waits_as_long():
    settings = Transport(2**18).connection_config
    assert (settings.timeout, settings.read_timeout) == (20, 60)


def test_machines_that_are_told_to_wait_do_not_come_back_at_once():
    policy = JitteredRetryPolicy()
    pauses = {policy.get_backoff_time({"history": [1, 2, 3], "backoff": 1, "max_backoff": 120}) for _ in range(20)}
    assert len(pauses) > 10
    assert 2 <= min(pauses) <= max(pauses) <= 6
