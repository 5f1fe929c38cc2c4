"""How many SQL statements an e-mail takes from its job's first line to its last, BEGIN and COMMIT counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings as DjangoSettings

from jobqueue import jobs
from jobqueue.jobs import running
from jobqueue.models import Job
from jobqueue.registry import get_processor
from jobqueue.testing import run_job
from settlements.models import ReminderDelivery, Settlement
from tests.settlements.steps import domain_settings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def letter(settlement: Settlement, template_type: str = "settlement_reminder", **more: Any) -> Job:
    """A letter that the system decided on."""
    data = {"settlement_id": str(settlement.pk)}
    values = {"user_id": settlement.payer_id, "template_type": template_type, "template_data": data}
    return jobs.enqueue("email.notification", subject=settlement, **values, **more)


def reminder(settlement: Settlement) -> Job:
    """The letter of a reminder that somebody asked for, with the reminder's row."""
    due_date = settlement.due_date.isoformat()
    carried = {"reminder_type": "follow_up", "step": 0, "due_date": due_date, "planned_at": None}
    job = letter(settlement, "reminder_follow_up", reminder=carried)
    ReminderDelivery.objects.create(
        settlement=settlement,
        reminder_type="follow_up",
        due_date=settlement.due_date,
        recipient=settlement.payer,
        status=ReminderDelivery.Status.ON_ITS_WAY,
        email_job=job,
    )
    return job


def untrue(job_of: Callable[[Settlement], Job]) -> Callable[[Settlement], Job]:
    """The job of a letter whose settlement was cancelled meanwhile."""

    def prepare(settlement: Settlement) -> Job:
        job = job_of(settlement)
        Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
        return job

    return prepare


def sent(settlement: Settlement) -> Job:
    """The job of a letter that went out, as its second attempt has it."""
    job = letter(settlement)
    run_job(job)
    return second_attempt(job)


def second_attempt(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    return job


LETTERS: dict[str, tuple[Callable[[Settlement], Job], int]] = {
    # The rows; the right to send; sent.
    "a letter": (letter, 3),
    # In a transaction with the settlement locked: the rows; the right to send. Then sent.
    "a letter about new terms": (lambda settlement: letter(settlement, "settlement_created"), 6),
    # Likewise, and what was told before.
    "a letter about changed terms": (lambda settlement: letter(settlement, "settlement_updated"), 7),
    # The rows; the right to send; sent and delivered in one transaction.
    "a reminder": (reminder, 6),
    # The rows; why not.
    "a letter that is not true any more": (untrue(letter), 2),
    # Likewise; the reminder is given up in the same transaction.
    "a reminder that is not true any more": (untrue(reminder), 5),
    # The rows; what became of it.
    "a letter that went out": (sent, 2),
    # The rows; a row, looked for first, and its time; the right to send; sent.
    "a letter's second attempt": (lambda settlement: second_attempt(letter(settlement)), 8),
}


@pytest.mark.parametrize("name", LETTERS)
def test_an_email_takes_at_most_so_many_statements(name: str, settlement: Settlement) -> None:
    prepare, at_most = LETTERS[name]
    job = prepare(settlement)
    with running(job, "default"), CaptureQueriesContext(connection) as taken:
        get_processor("email.notification")(**job.payload)
    assert len(taken) <= at_most, "\n".join(query["sql"][:150] for query in taken)
