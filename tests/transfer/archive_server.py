"""A server of signed links that behaves like S3, and misbehaves on demand.

It speaks ranged GET over connections that stay open, wants the right signature in the query, refuses HEAD as a link
signed for GET does, and notes every request. As a program, in a process of its own:

    python tests/transfer/archive_server.py FOLDER --port-file F [--throttle BYTES_PER_S] [--log F]
"""

import argparse
import email.utils
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

CANARY = "canary+Sig/nature0="
"""A signature; nothing that mrikit writes may hold it, in any spelling."""
_PIECE_BYTES = 2**20


@dataclass(kw_only=True)
class Faults:
    """What goes wrong; all of it may be changed while the server runs. `every=n` means every n-th GET of a body."""

    throttle: float | None = None
    """Bytes per second on each connection."""
    latency_s: float = 0.0
    """Before each answer."""
    reset_every: int = 0
    """The connection is reset ..."""
    reset_after: int = 1000
    """... after so many bytes."""
    truncate_every: int = 0
    """The answer is closed ..."""
    truncate_after: int = 1000
    """... after so many bytes."""
    wrong_range_every: int = 0
    """The Content-Range and the bytes are those of another place."""
    corrupt_every: int = 0
    """The first byte is another one."""
    busy_every: int = 0
    """The server is busy ..."""
    busy_status: int = 503
    """... by this status ..."""
    retry_after: str | None = None
    """... and asks to wait."""
    ignores_range: bool = False
    """Always the whole file, with 200."""
    etag: str | None = '"etag-1"'
    """The version of every file; none if None."""
    headers: dict[str, str] = field(default_factory=dict)
    """More of them, with each answer that has a body."""
    refusal: tuple[int, str, str, dict[str, str]] | None = None
    """Status, code, message and headers of every answer."""
    clock_skew_s: float = 0.0
    """How far its Date is from ours."""
    expire_after: dict[str, int] = field(default_factory=dict)
    """A signature counts as expired after so many GETs with it."""


@dataclass(kw_only=True)
class Request:
    """One that came, without its query."""

    method: str
    path: str
    range: str | None
    status: int
    num_bytes: int = 0
    """Of the body, given to the socket so far; counted before they go, so that no client is ahead of it."""


class ArchiveServer(ThreadingHTTPServer):
    """Serves the files of a folder on 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path, *, faults: Faults | None = None, log: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.faults, self.log_path = folder, faults or Faults(), log
        self.signatures = {CANARY}
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.num_bodies = 0
        self.num_gets: dict[str, int] = {}

    def url(self, name: str, *, signature: str = CANARY, expires_at: int | None = None) -> str:
        """A signed link to a file."""
        expires = int(time.time()) + 3600 if expires_at is None else expires_at
        query = f"AWSAccessKeyId=AKIACANARYKEY&Signature={quote(signature, safe='')}&Expires={expires}"
        return f"http://127.0.0.1:{self.server_port}/v2.0/{quote(name)}?{query}"

    def mail(self, *names: str, signature: str = CANARY) -> str:
        """A download mail with a link to each file."""
        lines = (f'curl -C - "{self.url(name, signature=signature)}" --output {name}' for name in names)
        return "Knee:\n\n" + "\n".join(lines) + "\n"

    @property
    def bytes_sent(self) -> int:
        """Of all bodies."""
        with self.lock:
            return sum(request.num_bytes for request in self.requests)

    def write_log(self, request: Request) -> None:
        """A line for a GET of a body that is over."""
        if self.log_path:
            with self.lock, self.log_path.open("a") as log:
                log.write(json.dumps(vars(request)) + "\n")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no news."""


@contextmanager
def running_server(folder: Path, *, faults: Faults | None = None) -> Iterator[ArchiveServer]:
    """A server in a thread of this process."""
    with ArchiveServer(folder, faults=faults) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ArchiveServer
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self._refuse(403, "SignatureDoesNotMatch", f"StringToSign with {CANARY}")

    def do_GET(self) -> None:
        faults = self.server.faults
        time.sleep(faults.latency_s)
        query = parse_qs(urlsplit(self.path).query)
        signature = query.get("Signature", [""])[0]
        with self.server.lock:
            count = self.server.num_gets[signature] = self.server.num_gets.get(signature, 0) + 1
        if faults.refusal:
            self._refuse(*faults.refusal)
        elif signature not in self.server.signatures:
            self._refuse(403, "SignatureDoesNotMatch", f"StringToSign with {signature}")
        elif count > faults.expire_after.get(signature, count) or int(query["Expires"][0]) < self._now():
            self._refuse(403, "AccessDenied", "Request has expired")
        else:
            self._serve()

    def _serve(self) -> None:
        faults = self.server.faults
        path = self.server.folder / Path(urlsplit(self.path).path).name
        if not path.is_file():
            self._refuse(404, "NoSuchKey", "The specified key does not exist.")
            return
        wanted = self.headers.get("If-Match")
        if wanted and faults.etag and wanted != faults.etag:
            self._refuse(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
            return
        size = path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None or faults.ignores_range:
            self._send(path, 0, size, size, None)
            return
        start, stop = int(match[1]), min(int(match[2] or size - 1) + 1, size)
        if start >= size:
            self._refuse(416, "InvalidRange", "", {"Content-Range": f"bytes */{size}"})
            return
        self._send(path, start, stop, size, f"bytes {start}-{stop - 1}/{size}")

    def _send(self, path: Path, start: int, stop: int, size: int, content_range: str | None) -> None:
        faults = self.server.faults
        number = self._count_body(stop - start)

        def is_turn(every: int) -> bool:
            return bool(every and number and number % every == 0)

        if is_turn(faults.busy_every):
            headers = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            self._refuse(faults.busy_status, "SlowDown", "Please reduce your request rate.", headers)
            return
        if is_turn(faults.wrong_range_every) and content_range and start:
            start, stop = start - 1, stop - 1
            content_range = f"bytes {start}-{stop - 1}/{size}"
        request = self._note(206 if content_range else 200)
        self.send_response(206 if content_range else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        if faults.etag:
            self.send_header("ETag", faults.etag)
        for name, value in faults.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        num_bytes = stop - start
        if is_turn(faults.reset_every):
            num_bytes = min(num_bytes, faults.reset_after)
        elif is_turn(faults.truncate_every):
            num_bytes = min(num_bytes, faults.truncate_after)
        try:
            self._send_body(path, start, num_bytes, request, is_corrupt=is_turn(faults.corrupt_every))
        finally:
            self.server.write_log(request)
        if is_turn(faults.reset_every):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = num_bytes < stop - start

    def _send_body(self, path: Path, start: int, num_bytes: int, request: Request, *, is_corrupt: bool) -> None:
        throttle = self.server.faults.throttle
        piece = min(_PIECE_BYTES, max(int(throttle / 20), 1)) if throttle else _PIECE_BYTES
        began = time.monotonic()
        with path.open("rb") as file:
            sent = 0
            if is_corrupt and num_bytes:
                first = os.pread(file.fileno(), 1, start)[0] ^ 0xFF
                request.num_bytes = sent = 1
                self.connection.sendall(bytes([first]))
            while sent < num_bytes:
                count = min(piece, num_bytes - sent)
                request.num_bytes = sent + count
                sent += os.sendfile(self.connection.fileno(), file.fileno(), start + sent, count)
                request.num_bytes = sent
                if throttle:
                    time.sleep(max(0.0, sent / throttle - (time.monotonic() - began)))

    def _count_body(self, num_bytes: int) -> int:
        """The number of this GET among those of more than a byte; 0 for the others, which ask for the size."""
        if num_bytes <= 1:
            return 0
        with self.server.lock:
            self.server.num_bodies += 1
            return self.server.num_bodies

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._note(status)
        body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _note(self, status: int) -> Request:
        request = Request(
            method=self.command,
            path=urlsplit(self.path).path,
            range=self.headers.get("Range"),
            status=status,
        )
        with self.server.lock:
            self.server.requests.append(request)
        return request

    def _now(self) -> float:
        return time.time() + self.server.faults.clock_skew_s

    def date_time_string(self, timestamp: float | None = None) -> str:
        return email.utils.formatdate(self._now() if timestamp is None else timestamp, usegmt=True)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--throttle", type=float, default=None, help="bytes per second on each connection")
    parser.add_argument("--log", type=Path, default=None)
    options = parser.parse_args()
    with ArchiveServer(options.folder, faults=Faults(throttle=options.throttle), log=options.log) as server:
        temporary = options.port_file.with_suffix(".tmp")
        temporary.write_text(str(server.server_port))
        temporary.replace(options.port_file)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
