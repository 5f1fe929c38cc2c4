"""Payment gateways: the default one, and the HTTP one against real local servers."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings as DjangoSettings

from settlements.exceptions import GatewayError, GatewayRefused
from settlements.gateways import (
    ANSWER_LIMIT,
    DatabaseGateway,
    GatewayAnswer,
    GatewayUnavailable,
    HttpGateway,
    get_gateway,
)
from settlements.models import Payment
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


def _unavailable(gateway: HttpGateway, payment: Payment) -> GatewayUnavailable:
    with pytest.raises(GatewayUnavailable) as raised:
        gateway.status_of(payment)
    return raised.value


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
    assert f"answered {code}" in str(_unavailable(gateway, payment))


def test_every_reason_to_ask_again_is_a_gateway_error() -> None:
    assert issubclass(GatewayUnavailable, GatewayError)
    assert not issubclass(GatewayRefused, GatewayError)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, Location=f"{provider.url}/elsewhere")
    assert "redirects are not followed" in str(_unavailable(gateway, payment))
    assert len(provider.requests) == 1


@pytest.mark.parametrize("code", [201, 202, 204])
def test_another_success_than_200_is_no_answer(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, b"" if code == 204 else {"status": "completed"})
    assert f"answered {code} where 200 was expected" in str(_unavailable(gateway, payment))


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
    assert complaint in str(_unavailable(gateway, payment))


def test_an_answer_too_large_is_not_read_to_its_end(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, b" " * (ANSWER_LIMIT + 1))
    assert f"more than {ANSWER_LIMIT} bytes" in str(_unavailable(gateway, payment))


# When to ask again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_in_seconds_is_carried(
    provider: Provider, gateway: HttpGateway, payment: Payment, code: int
) -> None:
    provider.answers(code, Retry_After="120")
    assert _unavailable(gateway, payment).retry_after == timedelta(seconds=120)


def test_retry_after_as_a_date_is_carried(provider: Provider, gateway: HttpGateway, payment: Payment) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=10)
    provider.answers(503, Retry_After=format_datetime(moment, usegmt=True))
    retry_after = _unavailable(gateway, payment).retry_after
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
    assert _unavailable(gateway, payment).retry_after == expected


def test_without_retry_after_the_next_time_is_ours_to_choose(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(503)
    assert _unavailable(gateway, payment).retry_after is None


# A network in trouble -------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_given_up(blackhole: tuple[str, int], payment: Payment) -> None:
    gateway = HttpGateway("http://{}:{}".format(*blackhole), TOKEN, read_timeout=0.2)
    begun = time.monotonic()
    assert "did not answer in time (ReadTimeout)" in str(_unavailable(gateway, payment))
    assert time.monotonic() - begun < 3


def test_a_server_that_hangs_up_is_asked_again(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.behaves(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    assert "cannot be reached" in str(_unavailable(gateway, payment))


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
    assert "cannot be reached" in str(_unavailable(gateway, payment))


def test_a_gateway_recovers_with_its_server(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.behaves(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    _unavailable(gateway, payment)
    provider.answers(200, {"status": "completed"})
    assert gateway.status_of(payment).status == "completed"


def test_a_closed_port_is_asked_again(payment: Payment) -> None:
    with socket.socket() as unused:  # bound but not listening: refuses, and nobody else can take it
        unused.bind(("127.0.0.1", 0))
        gateway = HttpGateway(f"http://127.0.0.1:{unused.getsockname()[1]}", TOKEN)
        assert "cannot be reached" in str(_unavailable(gateway, payment))


# The token stays secret -----------------------------------------------------------------------------


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
    assert "a status '<[token]>'" in str(_unavailable(HttpGateway(provider.url, token), payment))


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


# From the settings ----------------------------------------------------------------------------------


class GatewayWithoutMethod:
    """No gateway at all."""


def test_the_settings_default_to_our_own_database(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {}
    assert isinstance(get_gateway(), DatabaseGateway)


def test_the_settings_name_the_gateway(
    settings: DjangoSettings, provider: Provider, payment: Payment
) -> None:
    provider.answers(200, {"status": "refunded"})
    settings.SETTLEMENTS = {
        "GATEWAY": "settlements.gateways.HttpGateway",
        "GATEWAY_OPTIONS": {"base_url": provider.url, "token": TOKEN, "read_timeout": 5},
    }
    assert get_gateway().status_of(payment).status == "refunded"


def test_a_process_has_one_gateway(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {}
    assert get_gateway() is get_gateway()


def test_a_forked_process_builds_its_own_gateway(
    settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SETTLEMENTS = {}
    inherited = get_gateway()
    process_id_of_the_child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: process_id_of_the_child)
    assert get_gateway() is not inherited


def test_changed_settings_build_another_gateway(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = {}
    get_gateway()
    settings.SETTLEMENTS = {
        "GATEWAY": "settlements.gateways.HttpGateway",
        "GATEWAY_OPTIONS": {"base_url": "https://payments.example", "token": TOKEN},
    }
    assert isinstance(get_gateway(), HttpGateway)


@pytest.mark.parametrize(
    ("path", "options", "complaint"),
    [
        ("settlements.gateways.NoSuchGateway", {}, "GATEWAY cannot be imported"),
        ("no_such_module.Gateway", {}, "GATEWAY cannot be imported"),
        ("settlements.gateways.HttpGateway", {"token": TOKEN}, "missing 1 required positional argument"),
        ("settlements.gateways.HttpGateway", {"base_url": "https://p.example", "token": ""}, "token must be"),
        ("settlements.gateways.DatabaseGateway", {"token": TOKEN}, "GATEWAY_OPTIONS do not suit"),
        (f"{__name__}.GatewayWithoutMethod", {}, "has no method status_of(payment)"),
    ],
)  # fmt: skip
def test_settings_that_give_no_gateway_are_refused(
    settings: DjangoSettings, path: str, options: dict[str, Any], complaint: str
) -> None:
    settings.SETTLEMENTS = {"GATEWAY": path, "GATEWAY_OPTIONS": options}
    with pytest.raises(ImproperlyConfigured, match=re.escape(complaint)) as refused:
        get_gateway()
    assert TOKEN not in str(refused.value)
