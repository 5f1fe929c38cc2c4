"""The token of a payment gateway stays secret, and options that cannot be used are refused."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from settlements.exceptions import GatewayError, GatewayRefused
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


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (200, {"status": TOKEN}),
        (200, {"status": ["x", TOKEN]}),
        (200, {"status": "x" * 45 + TOKEN}),
        (200, TOKEN.encode()),
        (401, {"error": f"token {TOKEN} is not valid"}),
        (500, TOKEN.encode()),
    ],
)
def test_no_error_shows_the_token(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int, body: object
) -> None:
    provider.answers(code, body)
    with pytest.raises((GatewayError, GatewayRefused)) as raised:
        gateway.status_of(payment)
    assert TOKEN[:8] not in "".join(map(str, (raised.value, raised.value.__cause__)))


def test_a_token_with_odd_characters_stays_secret_as_well(provider: Provider, payment: Payment) -> None:
    token = "a\\b'c\"d{e}%s"
    provider.answers(200, {"status": f"<{token}>"})
    assert "a status '<[token]>'" in str(unavailable(HttpGateway(provider.url, token), payment))


def test_a_reason_that_repeats_the_token_does_not_show_it(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, {"status": "failed", "reason": f"{TOKEN} may not charge"})
    assert gateway.status_of(payment).reason == "[token] may not charge"


def test_no_log_shows_the_token(
    provider: Provider, gateway: HttpGateway, payment: Payment, caplog: pytest.LogCaptureFixture
) -> None:
    provider.answers(200, {"status": "failed", "reason": TOKEN})
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        gateway.status_of(payment)
    assert f"/payments/{payment.pk}" in caplog.text  # it was logged at all
    assert TOKEN not in caplog.text


def test_a_gateway_does_not_show_its_token(gateway: HttpGateway, provider: Provider) -> None:
    assert repr(gateway) == f"HttpGateway('{provider.url}')"


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "tab\t", "schlüssel"])
def test_a_token_that_is_no_header_is_refused_unseen(token: str) -> None:
    with pytest.raises(ValueError, match="^token must be") as refused:
        HttpGateway("https://payments.example", token)
    assert not token or token not in str(refused.value)


TIMEOUTS = ["connect_timeout", "read_timeout", "total_timeout"]


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "soon", "20", None])
def test_a_timeout_that_is_no_time_is_refused(name: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a number of seconds above 0"):
        HttpGateway("https://payments.example", TOKEN, **{name: seconds})


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("seconds", [1e-9, 0.009, 601, 1e12])
def test_a_timeout_within_which_nobody_answers_or_that_never_ends_is_refused(
    name: str, seconds: float
) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be from 0.01 to 600 seconds"):
        HttpGateway("https://payments.example", TOKEN, **{name: seconds})


@pytest.mark.parametrize(
    "base_url",
    ["", "payments.example", "ftp://payments.example", "http://", "https://me:secret@payments.example",
     "https://payments.example/?key=secret", "https://payments.example/#secret", "http://[", None],
)  # fmt: skip
def test_a_base_url_that_is_none_or_holds_a_secret_is_refused_unseen(base_url: Any) -> None:
    with pytest.raises(ValueError, match="^base_url ") as refused:
        HttpGateway(base_url, TOKEN)
    assert "secret" not in str(refused.value)
