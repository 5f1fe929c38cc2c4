"""What jobs of settlements led to, on their pages: letters, reminders, payments, settlements, masked."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.models import EmailDelivery, Payment, Settlement
from tests.jobqueue.admin.steps import make_job, operator, page_of, text_of
from tests.settlements.steps import NOTIFICATION, REMINDER, domain_settings, jobs_of, run_soon

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def results(client: Client, job: Job) -> list[tuple[str, str, bool]]:
    """What the page of the job says it led to: the text, the state and whether it leads there."""
    shown: Any = client.get(page_of(job)).context["results"]
    return [(one.text, one.state, bool(one.url)) for one, _state, _time in shown]


def test_an_e_mail_led_to_its_letter(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    letter = EmailDelivery.objects.filter(template_type="settlement_created").order_by("pk")[0]
    [(text, state, has_page)] = results(admin_client, letter.job)
    assert text == f"Letter “new settlement” to {letter.recipient}: “{letter.subject}”"
    assert (state, has_page) == ("sent", True)


def test_who_may_not_read_payloads_sees_the_letter_and_no_address(settlement: Settlement) -> None:
    run_soon()
    letter = EmailDelivery.objects.filter(template_type="settlement_created").order_by("pk")[0]
    client = operator("view_job")
    [(text, state, has_page)] = results(client, letter.job)
    assert (text, state, has_page) == ("Letter “new settlement” to p… at example.com", "sent", False)
    assert letter.recipient not in text_of(client.get(page_of(letter.job)))


def test_a_reminder_led_to_its_row_and_its_letter(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    job = next(job for job in jobs_of(settlement, REMINDER) if job.payload["reminder_type"] == "initial")
    (reminder, state, _page), (letter, letter_state, _its_page) = results(admin_client, job)
    assert (reminder, state) == ("Reminder: initial", "delivered")
    assert letter.startswith("Letter by job #") and letter_state == "completed"
    email = Job.objects.get(pk=int(letter.partition("#")[2]))
    assert [text.partition(" to ")[0] for text, _state, _page in results(admin_client, email)] == [
        "Letter “initial reminder”", "Reminder: initial",
    ]  # fmt: skip


def test_a_notification_led_to_a_letter_for_each_person(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    found = results(admin_client, jobs_of(settlement, NOTIFICATION)[0])
    assert [text.partition(": “")[0] for text, _state, _page in found] == [
        "Letter “new settlement” to payer@example.com", "Letter “new settlement” to payee@example.com",
    ]  # fmt: skip


def test_a_completed_payment_led_to_a_completed_settlement(
    admin_client: Client, settlement: Settlement
) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="completed")
    run_soon()
    job = jobs_of(settlement, "settlement.auto_complete")[0]
    assert results(admin_client, job) == [("Settlement “Dinner in Lisbon”", "completed", True)]
    assert results(operator("view_job"), job) == [("Settlement", "completed", False)]


def test_a_check_shows_its_payment_and_the_amount_to_who_may_see_it(
    admin_client: Client, settlement: Settlement
) -> None:
    payment = Payment.objects.create(settlement=settlement, amount=Money(20, "EUR"))
    job = make_job(
        "completed", processor="settlement.payment_status_check", payload={"payment_id": str(payment.pk)}
    )
    assert results(admin_client, job) == [("Payment €20.00", "pending", True)]
    assert results(operator("view_job"), job) == [("Payment", "pending", False)]


@pytest.mark.parametrize(
    "processor",
    [
        "email.notification", "reminders.send", "settlement.settlement_notification",
        "settlement.payment_status_check", "settlement.auto_complete", "settlement.periodic_reminder",
    ],
)  # fmt: skip
@pytest.mark.parametrize("payload", [{}, {"payment_id": "x", "settlement_id": 7, "due_date": []}])
def test_a_payload_that_says_nothing_takes_no_page_down(
    admin_client: Client, processor: str, payload: dict[str, Any]
) -> None:
    assert results(admin_client, make_job("completed", processor=processor, payload=payload)) == []
