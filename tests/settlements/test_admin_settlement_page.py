"""What the page of a settlement says above its form: how it stands, who decided it, what to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from moneyed import Money

from settlements.models import BarredAddress, Discrepancy, Payment, Settlement
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import EVIL, give_reason, opened, page_of

pytestmark = pytest.mark.django_db


def _record(response: HttpResponse) -> str:
    """What stands above the form."""
    text = text_of(response).partition('<div class="jq-record">')[2].partition('id="settlement_form"')[0]
    return " ".join(text.split())


def _amounts(response: HttpResponse) -> dict[str, str]:
    facts = response.context["facts"]["amounts"]
    return {str(label): amount.partition(">")[2].partition("<")[0] for label, amount, _mark in facts}


def test_it_says_what_is_paid_and_still_open(admin_client: Client, settlement: Settlement) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(30, "EUR"), status="completed")
    amounts = _amounts(admin_client.get(page_of(settlement)))
    assert amounts == {"Owed": "€100.00", "Paid": "€30.00", "Still open": "€70.00"}


def test_it_says_what_was_paid_too_much(admin_client: Client, settlement: Settlement) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(130, "EUR"), status="completed")
    amounts = _amounts(admin_client.get(page_of(settlement)))
    assert (amounts["Still open"], amounts["Too much"]) == ("€0.00", "€30.00")


def test_amounts_have_the_digits_of_their_currency(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    settlement = make_settlement(amount=Money(500, "JPY"))
    assert _amounts(admin_client.get(page_of(settlement)))["Still open"] == "¥500"


def test_it_shows_the_decision(admin_client: Client, admin_user: User, settlement: Settlement) -> None:
    give_reason(admin_client, "cancel", settlement, reason=f"paid in cash {EVIL}")
    text = _record(admin_client.get(page_of(settlement)))
    assert f"Cancelled by decision of <strong>{admin_user}</strong>" in text
    assert "“paid in cash &lt;script&gt;" in text


def test_a_decision_of_a_program_names_none(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    text = _record(admin_client.get(page_of(make_settlement(status="completed"))))
    assert "Completed by decision of <strong>a program</strong>" in text


def test_without_a_decision_there_is_none(admin_client: Client, settlement: Settlement) -> None:
    assert "decision" not in _record(admin_client.get(page_of(settlement)))


def test_the_status_is_shown_and_no_field(admin_client: Client, settlement: Settlement) -> None:
    text = text_of(admin_client.get(page_of(settlement)))
    assert '<span class="jq-badge jq-pending">pending</span>' in text
    assert 'name="status"' not in text


def test_a_refused_form_shows_how_the_row_stands(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(amount=Money(90, "EUR"))
    assert _amounts(form.save(amount_0="70"))["Owed"] == "€90.00"


# Notices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["payer", "payee"])
def test_a_barred_address_is_told_with_a_link(
    admin_client: Client, settlement: Settlement, role: str
) -> None:
    person = getattr(settlement, role)
    User.objects.filter(pk=person.pk).update(email=person.email.upper())
    row = BarredAddress.objects.create(address=person.email.lower(), cause="bounced")
    text = _record(admin_client.get(page_of(settlement)))
    assert f"No e-mail reaches the {role}, {person}: the address is" in text
    assert f'href="{page_of(row)}"' in text
    assert "because it bounced" in text
    assert person.email not in text


def test_an_address_that_was_cleared_is_no_news(
    admin_client: Client, admin_user: User, settlement: Settlement
) -> None:
    row = BarredAddress.objects.create(address=settlement.payer.email, cause="bounced")
    row.clear(admin_user, "mended")
    assert "jq-notice" not in _record(admin_client.get(page_of(settlement)))


def test_people_without_an_address_are_no_trouble(admin_client: Client, settlement: Settlement) -> None:
    User.objects.update(email="")
    assert "jq-notice" not in _record(admin_client.get(page_of(settlement)))


def test_open_discrepancies_are_told_with_links(admin_client: Client, settlement: Settlement) -> None:
    row = _discrepancy(settlement, detail=f"seen {EVIL}")
    closed = _discrepancy(settlement, kind="contradiction")
    closed.close(None, "looked after")
    text = _record(admin_client.get(page_of(settlement)))
    assert f'<a href="{page_of(row)}">paid too much</a>' in text
    assert "€12.00" in text
    assert "contradicts" not in text
    assert EVIL not in text


def _discrepancy(settlement: Settlement, **fields: Any) -> Discrepancy:
    values = {"kind": "overpaid", "amount": 12, "currency": "EUR"} | fields
    return Discrepancy.objects.create(settlement=settlement, **values)


def test_who_may_not_see_them_gets_no_links(settlement: Settlement) -> None:
    BarredAddress.objects.create(address=settlement.payer.email, cause="bounced")
    _discrepancy(settlement)
    text = _record(operator("settlements.view_settlement").get(page_of(settlement)))
    assert "paid too much" in text
    assert "<a " not in text


def test_adding_shows_nothing_of_it(admin_client: Client) -> None:
    assert "jq-record" not in text_of(admin_client.get("/admin/settlements/settlement/add/"))
