"""SendGrid and Mailgun on loopback: real HTTP servers that answer as those document, or as told."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

LOOPBACK = "127.0.0.1"
KEY = "SG.an-api-key.that-only-tests-know"

Answer = tuple[int, bytes, dict[str, str]]
Respond = Callable[["_Handler"], None]


@dataclass(frozen=True)
class Received:
    """An e-mail as the provider was given it."""

    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)


class MailProvider:
    """Takes e-mails over HTTP. A test says what it does with all those that come after."""

    backend = ""
    """What EMAIL_BACKEND is to be."""

    def __init__(self) -> None:
        self.emails: list[Received] = []
        """What was taken or refused: everything that was understood."""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers and body of each request."""
        self._respond: Respond | None = None
        self._closing = threading.Event()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = _Server((LOOPBACK, 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        """Where the server is, without a path."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    @property
    def anymail(self) -> dict[str, Any]:
        """What ANYMAIL is to be."""
        raise NotImplementedError

    def refuses_the_recipient(self) -> None:
        """Answer as if there were something wrong with the recipient's address."""
        raise NotImplementedError

    def says(self, code: int, body: object = b"", **headers: str) -> None:
        """Answer with this; what is no bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = (code, content, {name.replace("_", "-"): value for name, value in headers.items()})
        self._respond = lambda handler: handler.answer(answer)

    def never_answers(self) -> None:
        """Take the request and say nothing for as long as the server runs."""

        def wait(handler: _Handler) -> None:
            self._closing.wait()

        self._respond = wait

    def hangs_up(self) -> None:
        """Take the request and break the connection."""
        self._respond = lambda handler: handler.hang_up()

    def respond(self, handler: _Handler) -> None:
        """Do with a request what the test said, or else what the provider does."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append((handler.path, dict(handler.headers), body))
        accepted = self._take(handler.path, dict(handler.headers), body)
        if self._respond is None:
            handler.answer(accepted)
        else:
            self._respond(handler)

    def close(self) -> None:
        """Stop answering."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What the provider answers of its own accord."""
        raise NotImplementedError


class SendGrid(MailProvider):
    """`POST /v3/mail/send` (https://www.twilio.com/docs/sendgrid/api-reference/mail-send)."""

    backend = "anymail.backends.sendgrid.EmailBackend"
    reserved = {
        "received",
        "dkim-signature",
        "content-type",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    }

    @property
    def anymail(self) -> dict[str, Any]:
        """What ANYMAIL is to be."""
        return {"SENDGRID_API_KEY": KEY, "SENDGRID_API_URL": f"{self.origin}/v3/"}

    def refuses_the_recipient(self) -> None:
        """400 that names the field of the recipient."""
        self.says(400, _errors("Does not contain a valid address.", "personalizations.0.to.0.email"))

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path != "/v3/mail/send":
            return _json(404, _errors("not found"))
        if headers.get("Authorization") != f"Bearer {KEY}":
            return _json(
                401, _errors("The provided authorization grant is invalid, expired, or revoked", None)
            )
        sent = json.loads(body)
        (to,) = sent["personalizations"]
        bodies = {part["type"]: part["value"] for part in sent["content"]}
        if list(bodies) != ["text/plain", "text/html"]:
            return _json(400, _errors("text/plain must come first, followed by text/html", "content"))
        if self.reserved & {name.lower() for name in sent.get("headers", {})}:
            return _json(400, _errors("The header is reserved", "headers"))
        self.emails.append(
            Received(
                sender=sent["from"]["email"],
                recipients=[entry["email"] for entry in to["to"]],
                subject=sent["subject"],
                text=bodies["text/plain"],
                html=bodies["text/html"],
                headers=sent.get("headers", {}),
                metadata={**sent.get("custom_args", {}), **to.get("custom_args", {})},
            )
        )
        return 202, b"", {"X-Message-Id": f"sendgrid-{len(self.emails)}"}


class Mailgun(MailProvider):
    """`POST /v3/<domain>/messages` (https://documentation.mailgun.com/docs/mailgun/api-reference/send)."""

    backend = "anymail.backends.mailgun.EmailBackend"
    domain = "mail.spendsync.example"

    @property
    def anymail(self) -> dict[str, Any]:
        """What ANYMAIL is to be."""
        return {
            "MAILGUN_API_KEY": KEY,
            "MAILGUN_API_URL": f"{self.origin}/v3",
            "MAILGUN_SENDER_DOMAIN": self.domain,
        }

    def refuses_the_recipient(self) -> None:
        """400 that names the parameter of the recipient."""
        self.says(400, {"message": "'to' parameter is not a valid address. please check documentation"})

    def _take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        login = base64.b64encode(f"api:{KEY}".encode()).decode()
        if headers.get("Authorization") != f"Basic {login}":
            return 401, b"Forbidden", {"Content-Type": "text/plain"}
        domain = path.removeprefix("/v3/").removesuffix("/messages")
        if domain != self.domain:
            return _json(404, {"message": f"Domain not found: {domain}"})
        sent = parse_qs(body.decode(), keep_blank_values=True)
        for name in ("from", "to"):
            if not sent.get(name):
                return _json(400, {"message": f"{name} parameter is missing"})
        self.emails.append(
            Received(
                sender=sent["from"][0],
                recipients=sent["to"],
                subject=sent["subject"][0],
                text=sent["text"][0],
                html=sent["html"][0],
                headers={name[2:]: values[0] for name, values in sent.items() if name.startswith("h:")},
                metadata={name[2:]: values[0] for name, values in sent.items() if name.startswith("v:")},
            )
        )
        return _json(200, {"id": f"<{len(self.emails)}@{domain}>", "message": "Queued. Thank you."})


@contextmanager
def running(kind: type[MailProvider]) -> Iterator[MailProvider]:
    """Run a provider of that kind."""
    provider = kind()
    try:
        yield provider
    finally:
        provider.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    provider: MailProvider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        self.provider.respond(self)

    def answer(self, answer: Answer) -> None:
        code, content, headers = answer
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def hang_up(self) -> None:
        # Without waiting for what is unsent: the client sees a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def _errors(message: str, name: str | None = None) -> dict[str, Any]:
    return {"errors": [{"message": message, "field": name, "help": None}]}


def _json(code: int, content: object) -> Answer:
    return code, json.dumps(content).encode(), {"Content-Type": "application/json"}
