"""The demo's payment provider: answers about payments as settlements.gateways.HttpGateway asks it.

A payment is `processing` when it is asked about for the first time and `completed` some
seconds later, as with a bank that takes its time. Run as
`PROVIDER_TOKEN=… python -m spendsync_site.demo.provider --port 9000`.
"""

import argparse
import hmac
import json
import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from spendsync_site.demo.processes import LOOPBACK

PATH = "/payments/"


class Provider(ThreadingHTTPServer):
    """Remembers when it first heard of each payment."""

    daemon_threads = True

    def __init__(self, port: int, token: str, resolves_after: float) -> None:
        super().__init__((LOOPBACK, port), Answer)
        self.token = token
        self.resolves_after = resolves_after
        self._first_asked: dict[str, float] = {}

    def status_of(self, payment: str) -> str:
        """How the payment stands now."""
        first = self._first_asked.setdefault(payment, time.monotonic())
        return "completed" if time.monotonic() - first >= self.resolves_after else "processing"


class Answer(BaseHTTPRequestHandler):
    """One request: `GET /payments/<id>`, with the token."""

    server: Provider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer how a payment stands."""
        if not hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {self.server.token}"):
            return self._answer(401, {"error": "the token is wrong"})
        if not self.path.startswith(PATH) or len(self.path) == len(PATH):
            return self._answer(404, {"error": "there is only /payments/<id>"})
        payment = self.path.removeprefix(PATH)
        status = self.server.status_of(payment)
        print(f"payment {payment} is {status}", flush=True)
        return self._answer(200, {"status": status})

    def _answer(self, code: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Nothing: the answers are printed with their content instead."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Read the arguments and serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--resolves-after", type=float, default=30.0, help="seconds a payment takes")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    with Provider(arguments.port, os.environ["PROVIDER_TOKEN"], arguments.resolves_after) as provider:
        print(f"ready on {LOOPBACK}:{arguments.port}", flush=True)
        provider.serve_forever()


if __name__ == "__main__":
    main()
