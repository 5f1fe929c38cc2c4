"""When pages say that a letter was skipped or failed: not before the cause of that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobqueue.models import subject_of
from jobqueue.operating.words import absolute
from jobqueue.sql.clock import database_now
from settlements.models import EmailDelivery, Settlement
from tests.jobqueue.admin.steps import make_job
from tests.settlements.steps import EMAIL, forget_jobs
from tests.settlements.test_person_letters import letter_to, page_of, panel_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def skipped(settlement: Settlement, payer: User) -> EmailDelivery:
    """A letter that failed first an hour ago, and was skipped at its retry half an hour later."""
    forget_jobs()
    now = database_now("default")
    job = make_job("skipped", processor=EMAIL, finished_at=now - timedelta(minutes=30))
    tried: dict[str, Any] = {"created_at": now - timedelta(hours=1), "error": "the settlement is cancelled"}
    about = subject_of(settlement)
    return letter_to(payer, payer.email, job=job, status="skipped", about=about, **tried)


def _ended(letter: EmailDelivery) -> str:
    assert letter.job is not None and letter.job.finished_at is not None
    return absolute(letter.job.finished_at)


def test_on_the_timeline_of_its_settlement(
    admin_client: Client, settlement: Settlement, skipped: EmailDelivery
) -> None:
    page = admin_client.get(f"/admin/settlements/settlement/{settlement.pk}/change/")
    [line] = [line for line in page.context["timeline"].past if "emaildelivery" in line.url]
    assert _ended(skipped) in line.time


def test_on_the_page_of_the_person_and_of_the_user(
    admin_client: Client, payer: User, skipped: EmailDelivery
) -> None:
    [row] = page_of(admin_client, payer).context["letters"]
    assert _ended(skipped) in row["time"]
    assert _ended(skipped) in panel_of(admin_client, payer)


def test_a_letter_without_its_job_has_the_time_of_its_row(
    admin_client: Client, payer: User, skipped: EmailDelivery
) -> None:
    EmailDelivery.objects.update(job=None)
    [row] = page_of(admin_client, payer).context["letters"]
    assert absolute(skipped.created_at) in row["time"]
