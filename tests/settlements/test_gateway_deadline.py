"""The one deadline over a whole exchange with the payment provider, against real sockets that dawdle."""

from __future__ import annotations

import os
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from settlements import deadline
from settlements.deadline import DeadlineTransport, within
from settlements.exceptions import GatewayRefused
from settlements.gateways import GatewayAnswer, GatewayUnavailable, HttpGateway
from settlements.models import Payment
from tests.settlements.provider import TOKEN, Provider

TOTAL = 0.5
MARGIN = 1.5
"""What a busy machine may take on top."""
GIVEN_UP = f"did not complete its answer within {TOTAL:g} s"
CERTIFICATE = Path(__file__).with_name("loopback.pem")

DRIPS = {
    "the status line": (b"HTTP/1.1 200 ", b"O"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Name: value\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX-Name: ", b"x"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "headers of an error": (b"HTTP/1.1 503 Sorry\r\n", b"X-Name: value\r\n"),
    "a body with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" "),
    "a body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "a body in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a chunk's extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Name: value\r\n"),
}  # fmt: skip


class DripServer(socketserver.ThreadingTCPServer):
    """Answers whatever is said to it with a beginning and then with a drop now and then.

    After some seconds it hangs up, so that a client without a deadline ends as well: too late.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, beginning: bytes, drop: bytes, every: float, encrypted: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Drip)
        self.beginning, self.drop, self.every = beginning, drop, every
        self.closing = threading.Event()
        self.context: ssl.SSLContext | None = None
        if encrypted:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(CERTIFICATE)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: clients hang up."""


class _Drip(socketserver.BaseRequestHandler):
    server: DripServer

    def handle(self) -> None:
        context = self.server.context
        connection = context.wrap_socket(self.request, server_side=True) if context else self.request
        connection.recv(65536)
        connection.sendall(self.server.beginning)
        end = time.monotonic() + 4
        while time.monotonic() < end and not self.server.closing.wait(self.server.every):
            connection.sendall(self.server.drop)


@contextmanager
def _drips(beginning: bytes, drop: bytes, *, every: float = 0.02, encrypted: bool = False) -> Iterator[str]:
    """The host and port of a `DripServer`."""
    with DripServer(beginning, drop, every, encrypted) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield "{}:{}".format(*server.server_address)
        server.closing.set()
        server.shutdown()


@contextmanager
def _in_time(most: float = TOTAL) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < most + MARGIN


def _is_given_up(base_url: str, payment: Payment, **options: float) -> None:
    """The gateway's deadline ends the question, and in time."""
    gateway = HttpGateway(base_url, TOKEN, total_timeout=TOTAL, **options)
    with _in_time(), pytest.raises(GatewayUnavailable, match=GIVEN_UP):
        gateway.status_of(payment)
    gateway.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are here, whatever proxy this machine uses."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.close()


@pytest.fixture
def payment() -> Payment:
    return Payment(status="processing")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], list[tuple[str, int]]]]:
    """What the resolver says about a name: `names["a.example"] = lambda: [(address, port), …]`."""
    known: dict[str, Callable[[], list[tuple[str, int]]]] = {}
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, flags: int = 0, **options: Any) -> Any:
        if host not in known or flags & socket.AI_NUMERICHOST:
            return resolve(host, port, *arguments, flags=flags, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in known[host]()]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


# An answer that never ends --------------------------------------------------------------------------


@pytest.mark.parametrize(("beginning", "drop"), DRIPS.values(), ids=DRIPS)
def test_a_provider_that_drips_is_given_up(payment: Payment, beginning: bytes, drop: bytes) -> None:
    with _drips(beginning, drop) as address:
        _is_given_up(f"http://{address}", payment)


def test_a_provider_that_floods_with_informational_responses_is_given_up(payment: Payment) -> None:
    with _drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, every=0) as address:
        _is_given_up(f"http://{address}", payment)


def test_a_provider_that_takes_the_connection_and_says_nothing_is_given_up(
    blackhole: tuple[str, int], payment: Payment
) -> None:
    _is_given_up("http://{}:{}".format(*blackhole), payment)


@pytest.mark.parametrize(
    ("code", "error", "complaint"),
    [(503, GatewayUnavailable, "answered 503"), (401, GatewayRefused, "refused the question with 401")],
)
def test_the_body_of_an_error_is_not_waited_for(
    payment: Payment, code: int, error: type[Exception], complaint: str
) -> None:
    head = f"HTTP/1.1 {code} No\r\nContent-Length: 60000\r\n\r\n".encode()
    with _drips(head, b" ") as address:
        gateway = HttpGateway(f"http://{address}", TOKEN, total_timeout=TOTAL)
        with _in_time(), pytest.raises(error, match=complaint):
            gateway.status_of(payment)


def test_the_body_of_a_404_is_not_waited_for(payment: Payment) -> None:
    with _drips(b"HTTP/1.1 404 No\r\nContent-Length: 60000\r\n\r\n", b" ") as address, _in_time():
        assert HttpGateway(f"http://{address}", TOKEN, total_timeout=TOTAL).status_of(
            payment
        ) == GatewayAnswer("unknown")


def test_a_shorter_wait_is_still_a_wait_of_its_own(payment: Payment) -> None:
    with _drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b" ", every=3) as address:
        gateway = HttpGateway(f"http://{address}", TOKEN, read_timeout=0.2, total_timeout=20)
        with _in_time(), pytest.raises(GatewayUnavailable, match=r"did not answer in time \(ReadTimeout\)"):
            gateway.status_of(payment)


# Before the answer ----------------------------------------------------------------------------------


def test_a_host_of_many_addresses_that_take_no_connection_is_given_up(
    names: dict[str, Any], payment: Payment
) -> None:
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # more than it queues: the kernel lets further ones wait
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        names["many.example"] = lambda: [listener.getsockname()] * 20
        _is_given_up("http://many.example", payment, connect_timeout=0.2)


def test_a_name_that_is_not_found_in_time_is_given_up(names: dict[str, Any], payment: Payment) -> None:
    found = threading.Event()

    def find_slowly() -> list[tuple[str, int]]:
        found.wait(10)
        return []

    names["slow.example"] = find_slowly
    _is_given_up("http://slow.example", payment)
    found.set()


def test_a_name_that_does_not_exist_is_an_error_that_says_so(names: dict[str, Any], payment: Payment) -> None:
    def find_nothing() -> list[tuple[str, int]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    names["none.example"] = find_nothing
    with pytest.raises(GatewayUnavailable, match="cannot be reached: .*Name or service not known"):
        HttpGateway("http://none.example", TOKEN).status_of(payment)


def test_the_next_address_is_tried_when_one_refuses(
    names: dict[str, Any], provider: Provider, payment: Payment
) -> None:
    provider.answers(200, {"status": "completed"})
    with socket.socket() as unused:  # bound but not listening: refuses
        unused.bind(("127.0.0.1", 0))
        names["two.example"] = lambda: [unused.getsockname(), provider.address]
        assert HttpGateway("http://two.example/v1", TOKEN).status_of(payment).status == "completed"


def test_a_handshake_that_is_not_answered_is_given_up(blackhole: tuple[str, int], payment: Payment) -> None:
    _is_given_up("https://{}:{}".format(*blackhole), payment)


def test_a_handshake_that_drips_is_given_up(payment: Payment) -> None:
    a_long_handshake_record = b"\x16\x03\x03\x3f\xff"
    with _drips(a_long_handshake_record, b"\x02") as address:
        _is_given_up(f"https://{address}", payment)


def test_a_drip_that_is_encrypted_is_given_up(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with _drips(*DRIPS["headers"], encrypted=True) as address:
        _is_given_up(f"https://{address}", payment)


def test_a_proxy_that_drips_is_given_up(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    with _drips(b"HTTP/1.1 200 OK\r\n", b"X-Name: value\r\n") as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        _is_given_up("https://payments.example", payment)


# After it -------------------------------------------------------------------------------------------


def test_every_question_has_the_whole_time(payment: Payment) -> None:
    with _drips(*DRIPS["headers"]) as address:
        gateway = HttpGateway(f"http://{address}", TOKEN, total_timeout=TOTAL)
        with pytest.raises(GatewayUnavailable):
            gateway.status_of(payment)
        begun = time.monotonic()
        with pytest.raises(GatewayUnavailable, match=GIVEN_UP):
            gateway.status_of(payment)
        assert time.monotonic() - begun >= TOTAL


def test_threads_that_share_a_gateway_have_a_deadline_each(payment: Payment) -> None:
    ends: list[str] = []

    def ask(gateway: HttpGateway) -> None:
        try:
            gateway.status_of(payment)
        except GatewayUnavailable as error:
            ends.append(str(error))

    with _drips(*DRIPS["103 Early Hints"]) as address:
        gateway = HttpGateway(f"http://{address}", TOKEN, total_timeout=TOTAL)
        threads = [threading.Thread(target=ask, args=(gateway,)) for _ in range(6)]
        with _in_time():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert [end for end in ends if GIVEN_UP in end] == ends
    assert len(ends) == 6


def test_a_client_serves_on_after_a_deadline(provider: Provider) -> None:
    provider.answers(200, {})
    with httpx.Client(transport=DeadlineTransport(provider.url)) as client:
        with within(0.000001), pytest.raises(httpx.TimeoutException):
            client.get(provider.url)
        with within(20):
            assert client.get(provider.url).status_code == 200
        assert client.get(provider.url).status_code == 200  # no deadline is in force


def test_the_wait_for_a_free_connection_counts_as_well(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "MAX_CONNECTIONS", 1)
    asked, answer = threading.Event(), threading.Event()

    def answer_later(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        answer.wait(10)
        handler.send_response(204)
        handler.end_headers()

    provider.behaves(answer_later)
    with httpx.Client(transport=DeadlineTransport(provider.url), timeout=10) as client:
        first = threading.Thread(target=client.get, args=(provider.url,))
        first.start()
        assert asked.wait(10)
        with _in_time(), within(TOTAL), pytest.raises(httpx.PoolTimeout):
            client.get(provider.url)
        answer.set()
        first.join()


# Everything else is as with httpx -------------------------------------------------------------------


def test_an_encrypted_answer_is_understood(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"status": "completed"}'
    with _drips(answer, b"", encrypted=True) as address:
        assert HttpGateway(f"https://{address}", TOKEN).status_of(payment).status == "completed"


def test_a_certificate_that_nobody_vouches_for_is_refused(payment: Payment) -> None:
    with _drips(b"", b"", encrypted=True) as address:
        gateway = HttpGateway(f"https://{address}", TOKEN)
        with pytest.raises(GatewayUnavailable, match="cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
            gateway.status_of(payment)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_proxy_of_the_environment_is_used(
    provider: Provider, payment: Payment, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    provider.answers(200, {"status": "completed"})
    monkeypatch.setenv("NO_PROXY", "")
    for name in [name for name in os.environ if name.lower() in ("http_proxy", "all_proxy", "no_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, "{}me:secret@{}:{}".format(scheme, *provider.address))
    HttpGateway("http://payments.example", TOKEN).status_of(payment)
    [(_, target, headers)] = provider.requests
    assert target == f"http://payments.example/payments/{payment.pk}"
    assert headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("exception", ["127.0.0.1", "127.0.0.1:{port}", "elsewhere.example, 127.0.0.1"])
def test_a_host_that_needs_no_proxy_is_asked_directly(
    provider: Provider, payment: Payment, monkeypatch: pytest.MonkeyPatch, exception: str
) -> None:
    provider.answers(200, {"status": "completed"})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", exception.format(port=provider.address[1]))
    assert HttpGateway(provider.url, TOKEN).status_of(payment).status == "completed"
