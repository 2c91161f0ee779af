"""An HTTPS server that answers with JSON, for stand-ins of Azure's control plane."""

import contextlib
import http.server
import json
import ssl
import threading


class HttpsServer:
    """Serves `https://localhost:PORT` until it is closed; `answer` may be changed meanwhile.

    Args:
        answer: (method, path, headers, body) to (status, headers, value for JSON); status None drops the connection.
        certificate: File of the server's certificate.
        key: File of its key.
    """

    def __init__(self, answer, certificate, key):
        self.answer = answer
        server = self

        class Handler(_Handler):
            https_server = server

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = f"https://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def refusal(status, code, message, **headers):
    """An error as the control plane words it."""
    return status, headers, {"error": {"code": code, "message": message}}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    https_server: HttpsServer

    def log_message(self, *_words):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status, headers, value = self.https_server.answer(self.command, self.path, dict(self.headers), body)
        if status is None:
            self.close_connection = True
            return
        data = json.dumps(value).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.send_response(status)
            for key, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(key, text)
            self.end_headers()
            self.wfile.write(data)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for
