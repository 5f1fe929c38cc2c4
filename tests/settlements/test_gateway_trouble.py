"""A payment provider that is busy, or out of reach: when to ask again."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler

import pytest

from settlements.gateways import (
    HttpGateway,
)
from settlements.models import Payment
from tests.settlements.gateway_steps import unavailable
from tests.settlements.provider import TOKEN, Provider


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
def gateway(provider: Provider) -> Iterator[HttpGateway]:
    client = HttpGateway(provider.url, TOKEN)
    yield client
    client.close()


@pytest.fixture
def payment() -> Payment:
    return Payment(id=uuid.UUID("7d1f2f0e-6f5c-4b39-9df6-0a4f5b2c9e11"), status="processing")


# When to ask again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_in_seconds_is_carried(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, Retry_After="120")
    assert unavailable(gateway, payment).retry_after == timedelta(seconds=120)


def test_retry_after_as_a_date_is_carried(provider: Provider, gateway: HttpGateway, payment: Payment) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=10)
    provider.answers(503, Retry_After=format_datetime(moment, usegmt=True))
    retry_after = unavailable(gateway, payment).retry_after
    assert retry_after is not None
    assert timedelta(minutes=9) < retry_after <= timedelta(minutes=10)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", timedelta(0)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("9" * 400, timedelta(days=1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=1)),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_an_odd_retry_after_does_no_harm(
    provider: Provider, gateway: HttpGateway, payment: Payment, header: str, expected: timedelta | None
) -> None:
    provider.answers(503, Retry_After=header)
    assert unavailable(gateway, payment).retry_after == expected


def test_without_retry_after_the_next_time_is_ours_to_choose(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(503)
    assert unavailable(gateway, payment).retry_after is None


# A network in trouble -------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_given_up(blackhole: tuple[str, int], payment: Payment) -> None:
    gateway = HttpGateway("http://{}:{}".format(*blackhole), TOKEN, read_timeout=0.2)
    begun = time.monotonic()
    assert "did not answer in time (ReadTimeout)" in str(unavailable(gateway, payment))
    assert time.monotonic() - begun < 3


def test_a_server_that_hangs_up_is_asked_again(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.behaves(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    assert "cannot be reached" in str(unavailable(gateway, payment))


def test_a_server_that_hangs_up_in_the_middle_is_asked_again(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    def break_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"status": "comp')
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    provider.behaves(break_off)
    assert "cannot be reached" in str(unavailable(gateway, payment))


def test_a_gateway_recovers_with_its_server(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.behaves(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    unavailable(gateway, payment)
    provider.answers(200, {"status": "completed"})
    assert gateway.status_of(payment).status == "completed"


def test_a_closed_port_is_asked_again(payment: Payment) -> None:
    with socket.socket() as unused:  # bound but not listening: refuses, and nobody else can take it
        unused.bind(("127.0.0.1", 0))
        gateway = HttpGateway(f"http://127.0.0.1:{unused.getsockname()[1]}", TOKEN)
        assert "cannot be reached" in str(unavailable(gateway, payment))
