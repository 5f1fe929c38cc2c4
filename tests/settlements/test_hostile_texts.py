"""Hostile text in names, descriptions, errors, searches and reasons, on every page of settlements' admin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, subject_of
from settlements.addresses import bar
from settlements.models import BarredAddress, Discrepancy, EmailDelivery, Payment, Settlement
from tests.hostile_texts import EVIL, OVERRIDE, TEXTS, name_of, stored
from tests.jobqueue.admin.steps import JOBS, text_of
from tests.settlements.admin_steps import (
    ADDRESSES,
    DISCREPANCIES,
    EMAILS,
    PAYMENTS,
    REMINDERS,
    SETTLEMENTS,
    USERS,
    ask,
    give_reason,
    page_of,
)
from tests.settlements.steps import REMINDER, domain_settings, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
LISTS = (SETTLEMENTS, PAYMENTS, EMAILS, REMINDERS, DISCREPANCIES, ADDRESSES, USERS)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def _settlement(text: str, make_payment: Callable[..., Payment]) -> Settlement:
    """A settlement all of whose texts are that one, and so those of what is around it."""
    payment = make_payment(failure_reason=stored(text, 200), status="failed")
    settlement = payment.settlement
    Settlement.objects.filter(pk=settlement.pk).update(description=stored(text, 200))
    User.objects.filter(pk=settlement.payer_id).update(
        first_name=stored(text, 150), last_name=stored(text, 150), username=stored(text, 150)
    )
    EmailDelivery.objects.create(
        message_id=f"<{stored(text, 200)}>",
        user_id=settlement.payer_id,
        about=subject_of(settlement),
        template_type=stored(text, 50),
        subject=stored(text, 250),
        error=stored(text, 10**6),
        recipient=stored(text, 250),
        status="failed",
    )
    Discrepancy.objects.create(kind="overpaid", settlement=settlement, detail=stored(text, 500))
    bar("gone@example.com", BarredAddress.Cause.BOUNCED, detail=stored(text, 500), using="default")
    Job.objects.about(settlement).filter(processor="settlement.auto_complete").update(
        reason=stored(text, 500)
    )
    return settlement


def _pages(client: Client, settlement: Settlement, text: str) -> Iterator[HttpResponse]:
    """Every page with the text in its rows, in its search and in its reasons."""
    for url in LISTS:
        yield client.get(url)
        yield client.get(url, {"q": text[:100_000]})  # each link of the list has it
    yield client.get(f"{SETTLEMENTS}simulate/", {"follow_up": text, "overdue": text, "after": text})
    records = [settlement, *settlement.payments.all(), *EmailDelivery.objects.all()]
    for record in (*records, *Discrepancy.objects.all(), *BarredAddress.objects.all()):
        yield client.get(page_of(record))
        yield client.get(page_of(record).replace("/change/", "/history/"))
    person = f"{USERS}{settlement.payer_id}/"
    yield from (client.get(f"{person}{name}/") for name in ("change", "letters", "history"))
    yield client.post(f"{person}letters/", {"verb": "pause", "reason": text}, follow=True)
    yield client.get(f"{person}letters/")
    yield ask(client, "pause_reminders", settlement)
    yield give_reason(client, "pause_reminders", settlement, reason=text)
    yield client.get(page_of(settlement))


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_hostile_text_stays_text_on_every_page(
    admin_client: Client, make_payment: Callable[..., Payment], text: str
) -> None:
    settlement = _settlement(text, make_payment)
    [reminder] = [one for one in waiting_of(settlement, REMINDER) if one.payload["step"] == 0][:1]
    letters = [admin_client.get(f"{JOBS}{reminder.pk}/{name}") for name in ("preview/", "preview/0/")]

    pages = [*_pages(admin_client, settlement, text), *letters]

    for page in pages:
        html = text_of(page)
        assert EVIL not in html
        assert "14 {% debug" not in html
        assert page["X-Content-Type-Options"] == "nosniff"


def test_what_turns_writing_around_does_so_within_its_element(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    settlement = _settlement(OVERRIDE, make_payment)
    sheet = Path(str(finders.find("jobqueue/admin.css"))).read_text()

    for url in (page_of(settlement), f"{USERS}{settlement.payer_id}/letters/", SETTLEMENTS, PAYMENTS, EMAILS):
        assert "jobqueue/admin.css" in text_of(admin_client.get(url))
    assert "#content :is(a, b, code, em, span, strong, time) { unicode-bidi: isolate; }" in sheet
