"""The pages of this app's lists: each record on one of them, whatever the list is sorted by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from moneyed import Money

from settlements.admin.base import SettlementsAdmin
from settlements.models import EmailDelivery, Payment, Settlement
from tests.jobqueue.moments import ahead_by_its_clock

pytestmark = pytest.mark.django_db(databases=["default", "other"])
LETTERS = "/admin/settlements/emaildelivery/"
SETTLEMENTS = "/admin/settlements/settlement/"
PAYMENTS = "/admin/settlements/payment/"
# By columns: of e-mails seven, of settlements and payments those that they have.
SORTED = [
    *((LETTERS, sign + str(number)) for number in (1, 2, 4, 5, 6, 7) for sign in ("", "-")),
    *((SETTLEMENTS, sign + str(number)) for number in (1, 4, 5) for sign in ("", "-")),
    *((PAYMENTS, sign + str(number)) for number in (1, 3, 4) for sign in ("", "-")),
    *((url, "") for url in (LETTERS, SETTLEMENTS, PAYMENTS)),
]


@pytest.fixture(autouse=True)
def few_rows_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SettlementsAdmin, "list_per_page", 3)


@pytest.fixture
def records(make_settlement: Callable[..., Settlement], payer: User) -> None:
    """Seven of each kind; several have the same values, and of some columns none."""
    now = timezone.now()
    EmailDelivery.objects.bulk_create(
        EmailDelivery(
            message_id=f"message-{number}",
            recipient=f"{number % 2}@example.com",
            template_type="settlement_created",
            subject=f"Subject {number % 3}",
            status="sent",
            tries=number % 2,
            user=payer if number % 3 else None,
            sent_at=now - timedelta(hours=number // 2) if number % 2 else None,
        )
        for number in range(7)
    )
    for number in range(7):
        settlement = make_settlement(
            description=f"Dinner {number % 3}", amount=Money(10 + number // 2, "EUR" if number % 2 else "USD")
        )
        paid = Money(1 + number // 3, settlement.amount.currency)
        Payment.objects.create(settlement=settlement, amount=paid)


def _walked(client: Client, url: str, order: str) -> list[object]:
    found: list[object] = []
    query = f"?o={order}" if order else "?"
    while query and len(found) < 30:
        changes = client.get(f"{url}{query}").context["cl"]
        found += [row.pk for row in changes.result_list]
        query = changes.ways[-2].url if changes.keyed_page.older else ""
    return found


@pytest.mark.parametrize(("url", "order"), SORTED)
@pytest.mark.usefixtures("records")
def test_every_record_is_on_one_page_in_the_order_of_the_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str, order: str
) -> None:
    walked = _walked(admin_client, url, order)
    monkeypatch.setattr(SettlementsAdmin, "list_per_page", 100)
    changes = admin_client.get(url, {"o": order} if order else {}).context["cl"]
    assert walked == [row.pk for row in changes.result_list]
    assert len(walked) == 7


@pytest.mark.usefixtures("records")
def test_no_page_is_found_by_reading_what_is_before_it(admin_client: Client) -> None:
    with CaptureQueriesContext(connection) as captured:
        for url in (LETTERS, SETTLEMENTS, PAYMENTS):
            _walked(admin_client, url, "")
    assert [entry["sql"] for entry in captured.captured_queries if "OFFSET" in entry["sql"]] == []


@pytest.mark.usefixtures("records")
def test_an_order_by_the_columns_of_other_records_has_pages_with_numbers(admin_client: Client) -> None:
    changes = admin_client.get(PAYMENTS, {"o": "2", "p": "2"}).context["cl"]
    assert len(changes.result_list) == 3


@pytest.mark.parametrize(
    ("words", "is_found"),
    [("lisbon PAYER", True), ('"in Lisbon" payee', True), ('"Lisbon in"', False), ("'", False)],
)
def test_settlements_are_found_by_words_in_what_they_are_for_and_in_both_names(
    admin_client: Client, settlement: Settlement, words: str, is_found: bool
) -> None:
    page = admin_client.get(SETTLEMENTS, {"q": words})

    assert list(page.context["cl"].result_list) == [settlement] * is_found


@pytest.mark.parametrize(
    ("url", "order", "column"),
    [
        (LETTERS, "7", "sent_at"),
        (LETTERS, "-7", "sent_at"),
        (PAYMENTS, "5", "created_at"),
        (PAYMENTS, "", ""),
    ],
)
@pytest.mark.usefixtures("records")
def test_every_record_of_one_moment_is_on_one_page(
    admin_client: Client, url: str, order: str, column: str
) -> None:
    model = EmailDelivery if url == LETTERS else Payment
    model._default_manager.update(**{column or "created_at": ahead_by_its_clock(timedelta())})
    walked = _walked(admin_client, url, order)
    assert sorted(map(str, walked)) == sorted(map(str, model._default_manager.values_list("pk", flat=True)))
