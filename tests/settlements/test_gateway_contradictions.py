"""An answer that says what it is about must be about the payment that was asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from djmoney.money import Money

from settlements.exceptions import GatewayContradiction, GatewayError, GatewayRefused
from settlements.gateways import GatewayAnswer, GatewayUnavailable, HttpGateway
from settlements.models import Payment
from tests.settlements.provider import TOKEN, Provider

ID = "7d1f2f0e-6f5c-4b39-9df6-0a4f5b2c9e11"
ANOTHER_ID = "00000000-6f5c-4b39-9df6-0a4f5b2c9e11"


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
    return Payment(id=uuid.UUID(ID), status="processing", amount=Money("12.50", "EUR"))


def _contradiction(gateway: HttpGateway, payment: Payment) -> GatewayContradiction:
    with pytest.raises(GatewayContradiction) as raised:
        gateway.status_of(payment)
    return raised.value


def _with(field: str, value: str) -> bytes:
    """An answer with one more field, its value as JSON."""
    return f'{{"status": "completed", "{field}": {value}}}'.encode()


# What agrees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", f'"{ID}"'),
        ("id", f'"{ID.upper()}"'),
        ("id", "null"),
        ("amount", '"12.50"'),
        ("amount", '"12.5"'),
        ("amount", '"1250e-2"'),
        ("amount", '"+12.500"'),
        ("amount", "12.5"),
        ("amount", "12.50"),
        ("amount", "1.25e1"),
        ("amount", "null"),
        ("currency", '"EUR"'),
        ("currency", '"eur"'),
        ("currency", "null"),
        ("fee", "NaN"),
        ("fee", "1e99999999999999999999"),
    ],
)
def test_an_answer_about_the_payment_is_taken(
    provider: Provider, gateway: HttpGateway, payment: Payment, field: str, value: str
) -> None:
    provider.answers(200, _with(field, value))
    assert gateway.status_of(payment) == GatewayAnswer("completed")


@pytest.mark.parametrize("value", ["100", '"100"', "1e2", "100.00"])
def test_an_amount_without_a_fraction_is_compared_as_a_number(
    provider: Provider, gateway: HttpGateway, value: str
) -> None:
    provider.answers(200, _with("amount", value))
    assert gateway.status_of(Payment(amount=Money("100.00", "EUR"))).status == "completed"


def test_an_amount_that_no_float_can_hold_is_compared_exactly(
    provider: Provider, gateway: HttpGateway
) -> None:
    provider.answers(200, _with("amount", "900719925474.0993"))
    assert gateway.status_of(Payment(amount=Money("900719925474.0993", "EUR"))).status == "completed"
    with pytest.raises(GatewayContradiction):
        gateway.status_of(Payment(amount=Money("900719925474.09930000001", "EUR")))


# What contradicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", f'"{ANOTHER_ID}"'),
        ("id", f'"{ID} "'),
        ("id", f'"{ID.replace("-", "")}"'),
        ("id", '""'),
        ("amount", '"12.51"'),
        ("amount", "12.49"),
        ("amount", "12.500000000000000000001"),
        ("amount", "1250"),
        ("amount", "0"),
        ("amount", "-12.5"),
        ("amount", '"-12.50"'),
        ("amount", "1e999999"),
        ("amount", '"1e999999"'),
        ("currency", '"USD"'),
        ("currency", '"€"'),
        ("currency", '""'),
    ],
)
def test_an_answer_about_something_else_is_refused(
    provider: Provider, gateway: HttpGateway, payment: Payment, field: str, value: str
) -> None:
    provider.answers(200, _with(field, value))
    refused = _contradiction(gateway, payment)
    assert refused.fields == (field,)
    assert f"contradicts our row of payment {ID} in: {field}" in str(refused)


def test_every_field_that_contradicts_is_named(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, {"status": "failed", "currency": "usd", "amount": "7", "id": ANOTHER_ID.upper()})
    refused = _contradiction(gateway, payment)
    assert refused.fields == ("id", "amount", "currency")
    assert str(refused).endswith(f"in: id ({ANOTHER_ID.upper()}), amount, currency (usd)")


@pytest.mark.parametrize("status", ["unknown", "processing", "refunded", "settled", None])
def test_no_status_makes_up_for_a_contradiction(
    provider: Provider, gateway: HttpGateway, payment: Payment, status: str | None
) -> None:
    provider.answers(200, {"status": status, "currency": "USD"})
    assert _contradiction(gateway, payment).fields == ("currency",)


def test_a_contradiction_outweighs_a_field_without_sense(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(200, {"status": "completed", "id": 7, "amount": [], "currency": "USD"})
    assert _contradiction(gateway, payment).fields == ("currency",)


def test_a_payment_not_found_stays_unknown_whatever_else_is_said(
    provider: Provider, gateway: HttpGateway, payment: Payment
) -> None:
    provider.answers(404, {"id": ANOTHER_ID, "currency": "USD"})
    assert gateway.status_of(payment) == GatewayAnswer("unknown")


def test_a_contradiction_is_final() -> None:
    assert issubclass(GatewayContradiction, GatewayRefused)
    assert not issubclass(GatewayContradiction, GatewayError)


@pytest.mark.parametrize(
    ("field", "value", "hidden"),
    [
        ("amount", "7351.25", "7351"),
        ("amount", '"7351.25"', "7351"),
        ("id", '"payment of Ada Lovelace"', "Ada"),
        ("id", '"ada@example.org"', "ada"),
        ("id", f'"{TOKEN}"', TOKEN[:8]),
        ("currency", '"7351.25 USD"', "7351"),
        ("currency", '"Ada Lovelace"', "Ada"),
        ("currency", f'"{TOKEN}"', TOKEN[:8]),
    ],
)
def test_a_contradiction_gives_nothing_away(
    provider: Provider, gateway: HttpGateway, payment: Payment, field: str, value: str, hidden: str
) -> None:
    provider.answers(200, _with(field, value))
    refused = _contradiction(gateway, payment)
    assert hidden not in str(refused)
    assert "12.5" not in str(refused)


@pytest.mark.parametrize(("token", "field"), [(ANOTHER_ID, "id"), ("USD", "currency")])
def test_a_token_that_looks_harmless_is_not_shown(
    provider: Provider, payment: Payment, token: str, field: str
) -> None:
    provider.answers(200, {"status": "completed", field: token})
    assert token not in str(_contradiction(HttpGateway(provider.url, token), payment))


# What makes no sense --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("id", "7", "an id that is no text"),
        ("id", "[]", "an id that is no text"),
        ("amount", '"12,50"', "an amount that is no number"),
        ("amount", '"12.50 EUR"', "an amount that is no number"),
        ("amount", '"1_2.5"', "an amount that is no number"),
        ("amount", '"١٢.٥"', "an amount that is no number"),
        ("amount", '""', "an amount that is no number"),
        ("amount", '"NaN"', "an amount that is no number"),
        ("amount", '"sNaN"', "an amount that is no number"),
        ("amount", '"Infinity"', "an amount that is no number"),
        ("amount", "NaN", "an amount that is no number"),
        ("amount", "-Infinity", "an amount that is no number"),
        ("amount", "1e99999999999999999999", "an amount that is no number"),
        ("amount", '"1e99999999999999999999"', "an amount that is no number"),
        ("amount", "true", "an amount that is no number"),
        ("amount", '{"value": "12.50"}', "an amount that is no number"),
        ("currency", "978", "a currency that is no text"),
        ("currency", "false", "a currency that is no text"),
    ],
)
def test_a_field_without_sense_is_an_error_that_says_why(
    provider: Provider, gateway: HttpGateway, payment: Payment, field: str, value: str, complaint: str
) -> None:
    provider.answers(200, _with(field, value))
    with pytest.raises(GatewayUnavailable, match=f"answered with {complaint}$"):
        gateway.status_of(payment)


def test_a_payment_as_the_database_gives_it_is_compared_as_well(
    provider: Provider, gateway: HttpGateway, make_payment: Callable[..., Payment]
) -> None:
    payment = Payment.objects.get(pk=make_payment(amount=Money("12.50", "EUR")).pk)
    about = {"id": str(payment.pk), "amount": 12.5, "currency": "EUR"}
    provider.answers(200, {"status": "completed", **about})
    assert gateway.status_of(payment).status == "completed"
    provider.answers(200, {"status": "completed", **about, "amount": 12.05})
    assert _contradiction(gateway, payment).fields == ("amount",)
