"""Discrepancies in the admin: open ones first, read only, closed with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from moneyed import Money

from settlements.models import Discrepancy, Payment
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import (
    DISCREPANCIES,
    EVIL,
    ask,
    buttons_of,
    give_reason,
    history_of,
    page_of,
    said,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def discrepancy(make_payment: Callable[..., Payment]) -> Discrepancy:
    """A completed payment in another currency than its settlement."""
    payment = make_payment(amount=Money(5, "JPY"), status="completed")
    return Discrepancy.objects.create(
        kind="currency",
        settlement=payment.settlement,
        payment=payment,
        amount=5,
        currency="JPY",
        detail="the settlement is in EUR",
    )


def _shown(client: Client, **query: str) -> list[Any]:
    return [row.pk for row in client.get(DISCREPANCIES, query).context["cl"].result_list]


def test_the_list_shows_what_somebody_must_look_at(admin_client: Client, discrepancy: Discrepancy) -> None:
    text = text_of(admin_client.get(DISCREPANCIES))
    assert '<span class="jq-badge jq-kind-currency">paid in another currency</span>' in text
    assert f'<a href="{page_of(discrepancy.settlement)}">Dinner in Lisbon</a>' in text
    assert f'<a href="{page_of(discrepancy.payment)}">' in text
    assert "¥5" in text
    assert "the settlement is in EUR" in text
    assert '<span class="jq-badge jq-open">open</span>' in text


def test_the_list_shows_open_ones_unless_others_are_asked_for(
    admin_client: Client, admin_user: User, discrepancy: Discrepancy
) -> None:
    closed = Discrepancy.objects.create(kind="overpaid", settlement=discrepancy.settlement)
    closed.close(admin_user, "gave it back")
    assert _shown(admin_client) == [discrepancy.pk]
    assert _shown(admin_client, state="closed") == [closed.pk]
    assert _shown(admin_client, state="all") == [closed.pk, discrepancy.pk]


def test_the_filter_says_that_open_ones_are_shown(admin_client: Client, discrepancy: Discrepancy) -> None:
    response = admin_client.get(DISCREPANCIES)
    [spec] = [spec for spec in response.context["cl"].filter_specs if spec.title == "state"]
    choices = [(str(one["display"]), one["selected"]) for one in spec.choices(response.context["cl"])]
    assert choices == [("Open", True), ("Closed", False), ("All", False)]


def test_closing_says_who_when_and_why(
    admin_client: Client, admin_user: User, discrepancy: Discrepancy
) -> None:
    assert said(give_reason(admin_client, "close", discrepancy, reason="sent it back")) == [
        "1 discrepancy closed."
    ]
    discrepancy.refresh_from_db()
    assert (discrepancy.closed_by, discrepancy.closing_reason) == (admin_user, "sent it back")
    assert history_of(discrepancy) == ["Closed: open → closed. Reason: sent it back"]
    text = text_of(admin_client.get(page_of(discrepancy)))
    assert "sent it back" in text
    assert "jq-badge jq-closed" in text
    assert buttons_of(admin_client.get(page_of(discrepancy))) == []


def test_closing_asks_for_a_reason(admin_client: Client, discrepancy: Discrepancy) -> None:
    assert "paid in another currency" in text_of(ask(admin_client, "close", discrepancy))
    response = give_reason(admin_client, "close", discrepancy, reason=" ")
    assert response.context["form"].errors["reason"]
    discrepancy.refresh_from_db()
    assert discrepancy.is_open


def test_one_that_somebody_closed_meanwhile_keeps_its_reason(
    admin_client: Client, admin_user: User, discrepancy: Discrepancy
) -> None:
    Discrepancy.objects.get().close(admin_user, "the first reason")
    response = give_reason(admin_client, "close", discrepancy, reason="the second", back="1")
    assert "closed" in " ".join(said(response))
    discrepancy.refresh_from_db()
    assert discrepancy.closing_reason == "the first reason"


def test_closing_takes_a_permission_of_its_own(discrepancy: Discrepancy) -> None:
    client = operator("settlements.view_discrepancy", "settlements.change_discrepancy")
    give_reason(client, "close", discrepancy)
    discrepancy.refresh_from_db()
    assert discrepancy.is_open
    assert buttons_of(client.get(page_of(discrepancy))) == []


def test_who_has_it_needs_no_other(discrepancy: Discrepancy) -> None:
    client = operator("settlements.view_discrepancy", "settlements.close_discrepancy")
    assert buttons_of(client.get(page_of(discrepancy))) == ["close"]
    give_reason(client, "close", discrepancy)
    discrepancy.refresh_from_db()
    assert not discrepancy.is_open


def test_discrepancies_are_neither_added_changed_nor_deleted(
    admin_client: Client, discrepancy: Discrepancy
) -> None:
    assert admin_client.get(f"{DISCREPANCIES}add/").status_code == 403
    assert admin_client.post(page_of(discrepancy), {"detail": "x"}).status_code == 403
    assert admin_client.post(f"{DISCREPANCIES}{discrepancy.pk}/delete/", {"post": "yes"}).status_code == 403


def test_what_was_seen_is_escaped(admin_client: Client, discrepancy: Discrepancy) -> None:
    Discrepancy.objects.update(detail=EVIL)
    assert EVIL not in text_of(admin_client.get(DISCREPANCIES))
    assert EVIL not in text_of(admin_client.get(page_of(discrepancy)))
    assert EVIL not in text_of(ask(admin_client, "close", discrepancy))


def test_the_page_of_the_settlement_says_that_somebody_must_look(
    admin_client: Client, discrepancy: Discrepancy
) -> None:
    text = text_of(admin_client.get(page_of(discrepancy.settlement)))
    assert "Somebody must look at this:" in text and "(the settlement is in EUR)" in text


def test_of_one_that_is_over_the_page_of_the_settlement_says_that(
    admin_client: Client, discrepancy: Discrepancy
) -> None:
    Discrepancy.objects.update(amount=0, detail=Discrepancy.GONE)
    text = text_of(admin_client.get(page_of(discrepancy.settlement)))
    assert "is over: the money went back, or something else changed. It can be closed." in text
    assert "Somebody must look at this" not in text


def test_one_that_is_over_says_so_in_the_language_of_the_reader(
    admin_client: Client, discrepancy: Discrepancy
) -> None:
    Discrepancy.objects.update(detail=Discrepancy.GONE)
    german = text_of(admin_client.get(DISCREPANCIES, headers={"accept-language": "de"}))
    assert Discrepancy.GONE in text_of(admin_client.get(DISCREPANCIES))
    assert "so ist es nicht mehr: Geld ging zurück, oder etwas anderes änderte sich" in german
