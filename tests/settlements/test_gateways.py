"""The payment gateways: what is asked, and what is made of each answer."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from settlements.exceptions import GatewayError, GatewayRefused
from settlements.gateways import (
    ANSWER_LIMIT,
    DatabaseGateway,
    GatewayAnswer,
    GatewayUnavailable,
    HttpGateway,
)
from settlements.models import Payment
from tests.settlements.gateway_steps import unavailable
from tests.settlements.provider import TOKEN, Provider

STATUSES = ("pending", "processing", "completed", "failed", "refunded")


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


# The default ----------------------------------------------------------------------------------------


def test_the_default_gateway_trusts_our_own_row() -> None:
    failed = Payment(status="failed", failure_reason="card expired")
    assert DatabaseGateway().status_of(failed) == GatewayAnswer("failed", "card expired")


# What is asked --------------------------------------------------------------------------------------


def test_the_payment_is_asked_for_by_its_id(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, {"status": "completed"})
    gateway.status_of(payment)
    assert [request[:2] for request in provider.requests] == [("GET", f"/v1/payments/{payment.pk}")]


def test_a_slash_at_the_end_of_the_base_url_makes_no_difference(provider: Provider, payment: Payment) -> None:
    provider.answers(200, {"status": "completed"})
    HttpGateway(provider.url + "/", TOKEN).status_of(payment)
    assert provider.requests[0][1] == f"/v1/payments/{payment.pk}"


def test_the_token_goes_as_bearer(provider: Provider, gateway: HttpGateway, payment: Payment) -> None:
    provider.answers(200, {"status": "completed"})
    gateway.status_of(payment)
    assert provider.requests[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_the_idempotency_key_is_the_same_on_every_attempt(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, {"status": "processing"})
    gateway.status_of(payment)
    HttpGateway(provider.url, TOKEN).status_of(payment)
    assert [request[2]["Idempotency-Key"] for request in provider.requests] == [
        f"payment-status-{payment.pk}"
    ] * 2


def test_two_payments_have_two_idempotency_keys(provider: Provider, gateway: HttpGateway) -> None:
    provider.answers(200, {"status": "processing"})
    gateway.status_of(Payment())
    gateway.status_of(Payment())
    assert len({request[2]["Idempotency-Key"] for request in provider.requests}) == 2


def test_one_connection_serves_many_questions(provider: Provider, gateway: HttpGateway) -> None:
    provider.answers(200, {"status": "processing"})
    for _ in range(5):
        gateway.status_of(Payment())
    assert len(provider.connections) == 1


def test_threads_may_share_a_gateway(provider: Provider, gateway: HttpGateway) -> None:
    def repeat_the_id(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps({"status": "failed", "reason": handler.path.rsplit("/", 1)[1]}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    provider.behaves(repeat_the_id)
    payments = [Payment() for _ in range(24)]
    answers: dict[str, str] = {}

    def ask(mine: list[Payment]) -> None:
        for each in mine:
            answers[str(each.pk)] = gateway.status_of(each).reason

    threads = [threading.Thread(target=ask, args=(payments[start::8],)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {str(each.pk): str(each.pk) for each in payments}


# What is answered -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_of_a_payment_is_understood(
    provider: Provider, gateway: HttpGateway, payment: Payment, status: str
) -> None:
    provider.answers(200, {"status": status, "reason": "as the bank said"})
    assert gateway.status_of(payment) == GatewayAnswer(status, "as the bank said")


@pytest.mark.parametrize("body", [{"status": "completed"}, {"status": "completed", "reason": None}])
def test_a_reason_need_not_be_given(
    provider: Provider, gateway: HttpGateway, payment: Payment, body: object
) -> None:
    provider.answers(200, body)
    assert gateway.status_of(payment) == GatewayAnswer("completed", "")


def test_further_fields_of_an_answer_are_ignored(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, {"status": "completed", "fee": 3})
    assert gateway.status_of(payment).status == "completed"


def test_a_payment_not_found_is_unknown(provider: Provider, gateway: HttpGateway, payment: Payment) -> None:
    provider.answers(404, b"no such payment")
    assert gateway.status_of(payment) == GatewayAnswer("unknown")


def test_a_reason_is_made_fit_for_the_row(provider: Provider, gateway: HttpGateway, payment: Payment) -> None:
    provider.answers(
        200, b'{"status": "failed", "reason": "card\\u0000 is\\n\\tex\\ud800pired' + b"!" * 300 + b'"}'
    )
    reason = gateway.status_of(payment).reason
    assert reason == ("card is expired" + "!" * 300)[:200]


@pytest.mark.parametrize("code", [400, 401, 402, 403, 405, 409, 410, 422, 451])
def test_a_refusal_is_final(provider: Provider, gateway: HttpGateway, payment: Payment, code: int) -> None:
    provider.answers(code, {"error": "no"})
    with pytest.raises(GatewayRefused, match=f"refused the question with {code}"):
        gateway.status_of(payment)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_provider_in_trouble_is_asked_again(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, b"<html>sorry</html>")
    assert f"answered {code}" in str(unavailable(gateway, payment))


def test_every_reason_to_ask_again_is_a_gateway_error() -> None:
    assert issubclass(GatewayUnavailable, GatewayError)
    assert not issubclass(GatewayRefused, GatewayError)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, Location=f"{provider.url}/elsewhere")
    assert "redirects are not followed" in str(unavailable(gateway, payment))
    assert len(provider.requests) == 1


@pytest.mark.parametrize("code", [201, 202, 204])
def test_another_success_than_200_is_no_answer(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, b"" if code == 204 else {"status": "completed"})
    assert f"answered {code} where 200 was expected" in str(unavailable(gateway, payment))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b'{"status": "completed"', "no JSON"),
        (b"\xff\xfe\xfa", "no JSON"),
        (b"[" * 60_000, "no JSON"),
        (b'["completed"]', "JSON that is no object"),
        (b"null", "JSON that is no object"),
        (b"{}", "a status that is no text"),
        (b'{"status": 3}', "a status that is no text"),
        (b'{"status": ["completed"]}', "a status that is no text"),
        (b'{"status": "settled"}', "a status 'settled'; known are: completed, failed, pending"),
        (b'{"status": "Completed"}', "a status 'Completed'"),
        (b'{"status": "failed", "reason": 7}', "a reason that is no text"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else None,
)
def test_an_answer_without_sense_is_an_error_that_says_why(
    provider: Provider, gateway: HttpGateway, payment: Payment, body: bytes, complaint: str
) -> None:
    provider.answers(200, body)
    assert complaint in str(unavailable(gateway, payment))


def test_an_answer_too_large_is_not_read_to_its_end(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, b" " * (ANSWER_LIMIT + 1))
    assert f"more than {ANSWER_LIMIT} bytes" in str(unavailable(gateway, payment))
