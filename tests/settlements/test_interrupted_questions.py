"""The question before a retry says which e-mails perhaps went out already."""

from __future__ import annotations

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Job
from settlements.models import EmailDelivery, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.settlements.email_processor_steps import letter

pytestmark = pytest.mark.django_db
JOBS = "/admin/jobqueue/job/"
ONE = "1 e-mail perhaps went out already: its run ended while the mail server was asked."
TWO = "2 e-mails perhaps went out already: their runs ended while the mail server was asked."


def ended(settlement: Settlement, status: str, state: str = "failed") -> Job:
    job = letter(settlement)
    Job.objects.filter(pk=job.pk).update(state=state)
    EmailDelivery.objects.create(job=job, message_id=f"<{job.pk}@example.com>", status=status)
    return job


def question(client: Client, *chosen: Job, verb: str = "retry") -> str:
    answer = client.post(JOBS, {"action": verb, ACTION_CHECKBOX_NAME: [job.pk for job in chosen]})
    return text_of(answer)


def test_of_one_job(admin_client: Client, settlement: Settlement) -> None:
    assert f"Up to 1 e-mail will go out. {ONE}" in question(admin_client, ended(settlement, "sending"))


def test_of_several_jobs(admin_client: Client, settlement: Settlement) -> None:
    jobs = [ended(settlement, status) for status in ("sending", "failed", "sending")]
    assert f"Up to 3 e-mails will go out. {TWO}" in question(admin_client, *jobs)


def test_of_one_that_failed_it_says_nothing(admin_client: Client, settlement: Settlement) -> None:
    text = question(admin_client, ended(settlement, "failed"))
    assert "Up to 1 e-mail will go out." in text and "perhaps" not in text


def test_who_deletes_it_is_not_told(admin_client: Client, settlement: Settlement) -> None:
    assert "perhaps" not in question(admin_client, ended(settlement, "sending"), verb="delete")


def test_programs_are_told(admin_client: Client, settlement: Settlement) -> None:
    ended(settlement, "sending")
    planned = admin_client.get("/api/bulk/plan/", {"verb": "retry", "queue": "email"}).json()
    assert planned["mail"] == f"Up to 1 e-mail will go out. {ONE}"


def test_it_takes_one_statement_however_many_they_are(admin_client: Client, settlement: Settlement) -> None:
    jobs = [ended(settlement, "sending") for _ in range(4)]
    question(admin_client, jobs[0])
    with CaptureQueriesContext(connection) as of_one:
        question(admin_client, jobs[0])
    with CaptureQueriesContext(connection) as of_four:
        question(admin_client, *jobs)
    about_letters = [one for one in of_four if "settlements_emaildelivery" in one["sql"]]
    assert (len(about_letters), len(of_four)) == (1, len(of_one)) and len(of_four) <= 15
