"""Texts of records that name addresses: who may not read payloads sees them without, on every page."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from moneyed import Money

from settlements.models import BarredAddress, Discrepancy, EmailDelivery, Payment, Settlement
from tests.jobqueue.admin.steps import make_job, operator, text_of
from tests.jobqueue.api.steps import get
from tests.settlements.admin_steps import (
    ADDRESSES,
    DISCREPANCIES,
    EMAILS,
    errors_of,
    opened,
    page_of,
    saved,
)
from tests.settlements.steps import stored

pytestmark = pytest.mark.django_db

WHO = "pia.secret"
ADDRESS = f"{WHO}@hidden.example"
WHY = f"card of {ADDRESS} refused"
MASKED = "card of (address) refused"
ROW = "payments-0-"
KINDS = ("settlement", "payment", "discrepancy", "barredaddress", "emaildelivery")
VIEW = tuple(f"settlements.view_{kind}" for kind in KINDS)
CHANGE = ("settlements.change_payment", "settlements.change_settlement")
PARTS = ("add", "change", "view")


@pytest.fixture
def payment(settlement: Settlement) -> Payment:
    """It failed, for a reason with an address in it."""
    failed = Payment.Status.FAILED
    return Payment.objects.create(
        settlement=settlement, amount=Money(20, "EUR"), status=failed, failure_reason=WHY
    )


@pytest.fixture
def other() -> Client:
    """Who changes payments and settlements, and may not read payloads."""
    return operator(*VIEW, *CHANGE)


def _give(name: str) -> None:
    User.objects.get(username="operator").user_permissions.add(Permission.objects.get(codename=name))


def _pages(payment: Payment) -> list[str]:
    return [page_of(payment), page_of(payment.settlement)]


def _carried(page: str) -> str:
    """All that the page carries signed, as anybody can read it."""
    texts = []
    for sealed in re.findall(r'value="(\.?[\w-]{20,}):', page):
        data = base64.urlsafe_b64decode(sealed.lstrip(".") + "=" * (-len(sealed.lstrip(".")) % 4))
        texts.append((zlib.decompress(data) if sealed.startswith(".") else data).decode())
    assert texts
    return " ".join(texts)


# The reason of a failed payment ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "permissions", [VIEW, (*VIEW, *CHANGE), (*VIEW, "settlements.add_payment", *CHANGE[1:])]
)
def test_its_pages_show_the_reason_without_the_address(
    payment: Payment, permissions: tuple[str, ...]
) -> None:
    client = operator(*permissions)
    for page in map(text_of, map(client.get, _pages(payment))):
        assert MASKED in page and WHO not in page


def test_they_show_what_is_shown_over_http(payment: Payment, other: Client) -> None:
    told = get(other, f"payments/?settlement={payment.settlement_id}")["results"][0]["failure_reason"]
    assert told == MASKED
    assert all(told in text_of(other.get(page)) for page in _pages(payment))


def test_who_may_read_payloads_changes_it_on_both(payment: Payment, other: Client) -> None:
    _give("view_payload")
    for record, name in ((payment, "failure_reason"), (payment.settlement, f"{ROW}failure_reason")):
        form = opened(other, record)
        assert form.fields[name] == WHY
        saved(form.save(**{name: "card expired"}))
        assert stored(payment).failure_reason == "card expired"
        Payment.objects.update(failure_reason=WHY)


@pytest.mark.parametrize("is_inline", [False, True])
def test_the_mask_overwrites_nothing(payment: Payment, other: Client, is_inline: bool) -> None:
    prefix, record = (ROW, payment.settlement) if is_inline else ("", payment)
    form = opened(other, record)
    assert f"{prefix}failure_reason" not in form.fields
    saved(form.save(**{f"{prefix}amount_0": "21", f"{prefix}failure_reason": MASKED}))
    assert (stored(payment).failure_reason, stored(payment).amount) == (WHY, Money(21, "EUR"))


@pytest.mark.parametrize("is_inline", [False, True])
def test_a_reason_without_an_address_is_changed_as_before(
    payment: Payment, other: Client, is_inline: bool
) -> None:
    Payment.objects.update(failure_reason="card declined")
    prefix, record = (ROW, payment.settlement) if is_inline else ("", payment)
    saved(opened(other, record).save(**{f"{prefix}failure_reason": "card expired"}))
    assert stored(payment).failure_reason == "card expired"


def test_the_page_says_why_it_is_no_input(payment: Payment, other: Client) -> None:
    said = "Shown without the addresses in it: only who may read payloads changes it."
    assert all(said in text_of(other.get(page)) for page in _pages(payment))


def test_what_the_forms_carry_has_no_address(payment: Payment, other: Client) -> None:
    for page in _pages(payment):
        assert WHO not in _carried(text_of(other.get(page)))


# Changed meanwhile ----------------------------------------------------------------------------------


@pytest.mark.parametrize("now", ["card expired", f"{WHY} again"])
@pytest.mark.parametrize("is_inline", [False, True])
def test_that_it_changed_meanwhile_is_told_without_the_address(
    payment: Payment, other: Client, is_inline: bool, now: str
) -> None:
    prefix, record = (ROW, payment.settlement) if is_inline else ("", payment)
    form = opened(other, record)
    Payment.objects.update(failure_reason=now)
    answer = form.save(**{f"{prefix}amount_0": "21"})
    told = "•••" if WHO in now else now
    assert f"••• → {told}" in errors_of(answer) and WHO not in text_of(answer)


def test_a_reason_that_lost_its_address_meanwhile_is_not_emptied(payment: Payment, other: Client) -> None:
    form = opened(other, payment)
    Payment.objects.update(failure_reason="card expired")
    again = form.shown_again(form.save(amount_0="21"))
    assert again.fields["failure_reason"] == "card expired"
    saved(again.save())
    assert (stored(payment).failure_reason, stored(payment).amount) == ("card expired", Money(21, "EUR"))


def test_a_reason_that_got_an_address_meanwhile_stays(payment: Payment, other: Client) -> None:
    Payment.objects.update(failure_reason="card declined")
    form = opened(other, payment)
    Payment.objects.update(failure_reason=WHY)
    answer = form.save(amount_0="21")
    assert "card declined → •••" in errors_of(answer) and WHO not in text_of(answer)
    saved(form.shown_again(answer).save())
    assert (stored(payment).failure_reason, stored(payment).amount) == (WHY, Money(21, "EUR"))


def test_the_page_of_a_settlement_shows_no_address_of_its_decision_and_discrepancies(
    settlement: Settlement, other: Client
) -> None:
    decided = {"decided_status": "cancelled", "decided_at": settlement.created_at, "decision_reason": WHY}
    Settlement.objects.update(**decided)
    _discrepancy(settlement)
    page = text_of(other.get(page_of(settlement)))
    assert WHO not in page + _carried(page) and page.count(MASKED) == 2
    _give("view_payload")
    assert text_of(other.get(page_of(settlement))).count(WHY) == 2


# Other records --------------------------------------------------------------------------------------


def _discrepancy(settlement: Settlement) -> Any:
    return Discrepancy.objects.create(
        settlement=settlement, kind="contradiction", detail=WHY, closing_reason=WHY
    )


def _barred(settlement: Settlement) -> Any:
    return BarredAddress.objects.create(address=ADDRESS, cause="bounced", detail=WHY, clearing_reason=WHY)


def _email(settlement: Settlement) -> Any:
    return EmailDelivery.objects.create(
        job=make_job("completed"), message_id="<1@a.example>", recipient=ADDRESS, subject=WHY, error=WHY
    )


RECORDS = [(_discrepancy, DISCREPANCIES, 2), (_barred, ADDRESSES, 2), (_email, EMAILS, 2)]
Make = Callable[[Settlement], Any]


@pytest.mark.parametrize(("make", "address", "texts"), RECORDS)
def test_their_pages_show_no_address(
    settlement: Settlement, other: Client, make: Make, address: str, texts: int
) -> None:
    page = text_of(other.get(page_of(make(settlement))))
    assert WHO not in page and page.count(MASKED) >= texts


@pytest.mark.parametrize(("make", "address", "texts"), RECORDS)
def test_their_pages_show_it_to_who_may_read_payloads(
    settlement: Settlement, other: Client, make: Make, address: str, texts: int
) -> None:
    _give("view_payload")
    assert text_of(other.get(page_of(make(settlement)))).count(WHY) >= texts


@pytest.mark.parametrize(("make", "address", "texts"), RECORDS)
def test_their_lists_show_it_to_nobody(
    settlement: Settlement, admin_client: Client, make: Make, address: str, texts: int
) -> None:
    make(settlement)
    page = text_of(admin_client.get(address, {"state": "all"} if address == DISCREPANCIES else {}))
    assert WHO not in page and MASKED in page
