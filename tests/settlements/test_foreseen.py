"""What would be skipped says so where it is listed: on the page of a person and in the calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, subject_of
from settlements.addresses import bar
from settlements.foreseen import skips_of
from settlements.models import BarredAddress, Payment, Settlement
from settlements.previews import letters_of
from tests.jobqueue.admin.steps import make_job, text_of
from tests.jobqueue.admin.test_calendar import day_url
from tests.settlements.admin_steps import USERS
from tests.settlements.steps import EMAIL, REMINDER, domain_settings, forget_jobs, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
CHANGES: dict[str, tuple[Callable[[Settlement], Any], str]] = {
    "paused address": (
        lambda one: bar(one.payer.email, BarredAddress.PAUSED, "", using="default"),
        "letters to this address are paused",
    ),
    "barred address": (
        lambda one: bar(one.payer.email, "bounced", "", using="default"),
        "the address is barred, because it refused or complained about an e-mail",
    ),
    "inactive person": (lambda one: User.objects.update(is_active=False), "is inactive"),
    "no address": (lambda one: User.objects.update(email=""), "has no e-mail address"),
    "reminders paused": (
        lambda one: Settlement.objects.update(reminders_paused=True),
        "reminders are paused",
    ),
    "cancelled": (lambda one: Settlement.objects.update(status="cancelled"), "settlement cancelled"),
    "another due date": (
        lambda one: Settlement.objects.update(due_date=one.due_date + timedelta(days=1)),
        "due date moved to",
    ),
    "deleted": (lambda one: Settlement.objects.all()._raw_delete("default"), "settlement was deleted"),
}


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def email_of(settlement: Settlement, **payload: Any) -> Job:
    """The job of a letter to the payer, which waits."""
    said = {
        "user_id": settlement.payer_id,
        "template_type": "settlement_reminder",
        "template_data": {"settlement_id": str(settlement.pk)},
        **payload,
    }
    return make_job("delayed", processor=EMAIL, subject=subject_of(settlement), payload=said)


@pytest.mark.parametrize("change", CHANGES)
def test_it_says_what_the_preview_says(settlement: Settlement, change: str) -> None:
    make, why = CHANGES[change]
    [reminder, *_others] = waiting_of(settlement, REMINDER)
    jobs = [reminder, email_of(settlement)]
    assert skips_of(jobs, "default") == {}
    make(settlement)
    # The e-mail that somebody asked for is of no plan.
    wanted = jobs[:1] if change == "another due date" else jobs
    found = skips_of(jobs, "default")
    assert sorted(found) == sorted(job.pk for job in wanted)
    for job in wanted:
        assert why in found[job.pk] and found[job.pk] == letters_of(job)[0].skipped


def test_a_letter_about_a_payment_says_so_too(settlement: Settlement, payee: User) -> None:
    payment = Payment.objects.create(settlement=settlement, amount=settlement.amount, status="failed")
    job = email_of(
        settlement,
        user_id=payee.pk,
        template_type="payment_received",
        template_data={"payment_id": str(payment.pk)},
    )
    assert skips_of([job], "default") == {job.pk: "payment is failed, not completed"}


@pytest.mark.parametrize(
    "payload",
    [{}, {"settlement_id": "x"}, {"template_type": "nonsense"}, {"template_data": None}, {"odd": 1}],
)
@pytest.mark.parametrize("processor", [REMINDER, EMAIL])
def test_a_payload_that_cannot_be_read_says_nothing(processor: str, payload: dict[str, Any]) -> None:
    assert skips_of([make_job("delayed", processor=processor, payload=payload)], "default") == {}


def test_it_takes_as_many_questions_for_many(make_settlement: Callable[..., Settlement]) -> None:
    counts = []
    for number in (1, 4):
        jobs = [job for _ in range(number) for job in waiting_of(make_settlement(), REMINDER)]
        with CaptureQueriesContext(connection) as queries:
            skips_of(jobs, "default")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 4


def test_the_page_of_a_person_says_of_each_letter_to_come_that_it_would_be_skipped(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    assert {row["reason"] for row in coming(admin_client, payer)} == {""}
    bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")
    said = "would be skipped: letters to this address are paused"
    assert {row["reason"] for row in coming(admin_client, payer)} == {said}
    panel = text_of(admin_client.get(f"{USERS}{payer.pk}/change/")).partition('class="jq-letters"')[2]
    assert said in panel.partition("Not sent last")[0]


def coming(client: Client, person: User) -> list[dict[str, Any]]:
    """The letters that the page of the person says will come."""
    rows: list[dict[str, Any]] = client.get(f"{USERS}{person.pk}/letters/").context["coming"]
    assert rows
    return rows


def test_a_day_of_the_calendar_says_which_of_its_jobs_would_be_skipped(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    job = waiting_of(settlement, REMINDER)[1]
    said = "would be skipped: letters to this address are paused"
    assert said not in text_of(admin_client.get(day_url(job.run_at)))
    bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")
    assert text_of(admin_client.get(day_url(job.run_at))).count(said) == 1
    assert "What would be skipped is counted too" in text_of(
        admin_client.get("/admin/jobqueue/job/calendar/")
    )


# The words and the order of the page --------------------------------------------------------------


@pytest.mark.parametrize("state", ["waiting", "delayed", "held", "active"])
def test_the_page_of_a_person_calls_a_state_what_the_page_of_the_job_calls_it(
    admin_client: Client, settlement: Settlement, payer: User, state: str
) -> None:
    forget_jobs()
    job = email_of(settlement)
    if state == "held":
        Job.objects.filter(pk=job.pk).update(held_run_at=job.run_at, reason="held by pia")
    else:
        Job.objects.filter(pk=job.pk).delete()
        payload = {"user_id": payer.pk, "template_type": "reminder_final"}
        make_job(state, processor=EMAIL, subject=subject_of(settlement), payload=payload)
    [row] = coming(admin_client, payer)
    assert f">{state}<" in str(row["state"])


def test_what_was_not_sent_stands_in_the_order_of_its_times(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    forget_jobs()
    jobs = []
    for hours in (1, 3, 2):
        payload = {"user_id": payer.pk, "template_type": "reminder_final"}
        job = make_job("failed", processor=EMAIL, subject=subject_of(settlement), payload=payload)
        Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(hours=hours))
        jobs.append(job.pk)
    held = admin_client.get(f"{USERS}{payer.pk}/letters/").context["held"]
    assert [row["job"].pk for row in held] == [jobs[0], jobs[2], jobs[1]]
