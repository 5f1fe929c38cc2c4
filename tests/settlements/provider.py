"""A payment provider on a free loopback port, which answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "sk_live_9f8e7d6c5b4a"

Respond = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """A server whose clients may hang up without a word about it in the test's output."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet."""


class Provider:
    """A payment provider on a free port: answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.connections: set[tuple[str, int]] = set()
        self.closing = threading.Event()
        self._respond: Respond = lambda handler: None
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                provider.requests.append((self.command, self.path, dict(self.headers)))
                provider.connections.add(self.client_address)
                provider._respond(self)

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = ("127.0.0.1", self._server.server_port)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def answers(self, code: int, body: object = b"", **headers: str) -> None:
        """Answer everything with this; what is no bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def respond(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

        self._respond = respond

    def behaves(self, respond: Respond) -> None:
        """Do this with every request."""
        self._respond = respond

    def close(self) -> None:
        """Stop answering."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
