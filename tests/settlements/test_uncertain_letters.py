"""A letter whose run ended while the mail server was asked: every page says that it was perhaps sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from jobqueue.models import Job, subject_of
from settlements.admin.results import of_email
from settlements.models import EmailDelivery, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.settlements.admin_steps import EMAILS
from tests.settlements.test_person_page import letters

pytestmark = pytest.mark.django_db
WHY = "its run ended while the mail server was asked, so perhaps it was sent"


def _letter(settlement: Settlement, state: str, **fields: Any) -> EmailDelivery:
    payload = {"user_id": settlement.payer_id, "template_type": "settlement_completed"}
    job = Job.objects.create(
        processor="email.notification",
        queue="email",
        timeout=60,
        state=state,
        payload=payload,
        subject=subject_of(settlement),
    )
    return EmailDelivery.objects.create(
        job=job,
        message_id=f"<{job.pk}@example.com>",
        recipient="anna@example.com",
        user=settlement.payer,
        template_type="settlement_completed",
        about=subject_of(settlement),
        **fields,
    )


ENDED = ["cancelled", "failed", "waiting"]


@pytest.mark.parametrize("state", ENDED)
def test_its_page_says_so_and_why(admin_client: Client, settlement: Settlement, state: str) -> None:
    text = text_of(admin_client.get(f"{EMAILS}{_letter(settlement, state).pk}/change/"))
    assert "perhaps sent" in text and WHY in text and "(sending)" not in text


@pytest.mark.parametrize("state", ENDED)
def test_the_list_says_so(admin_client: Client, settlement: Settlement, state: str) -> None:
    letter = _letter(settlement, state)
    page = admin_client.get(EMAILS)
    assert ">perhaps sent<" in page.content.decode()
    assert letter.pk == page.context["cl"].result_list[0].pk


def test_the_page_of_its_settlement_says_so(admin_client: Client, settlement: Settlement) -> None:
    _letter(settlement, "cancelled")
    text = text_of(admin_client.get(f"/admin/settlements/settlement/{settlement.pk}/change/"))
    assert "perhaps sent" in text and WHY in text


def test_the_page_of_the_person_says_so(admin_client: Client, settlement: Settlement) -> None:
    _letter(settlement, "cancelled")
    text = text_of(admin_client.get(letters(settlement.payer)))
    assert "perhaps sent" in text and WHY in text


def test_the_page_of_its_job_says_so(settlement: Settlement, rf: Any, admin_user: Any) -> None:
    request = rf.get("/")
    request.user = admin_user
    job = _letter(settlement, "cancelled").job
    assert job is not None
    (result,) = of_email(job, request)
    assert (result.label, result.note) == ("perhaps sent", WHY)


def test_programs_are_told_so(admin_client: Client, settlement: Settlement) -> None:
    letter = _letter(settlement, "cancelled")
    (listed,) = admin_client.get("/api/emails/").json()["results"]
    assert (listed["status"], listed["uncertain"], listed["error"]) == ("sending", True, WHY)
    assert admin_client.get(f"/api/emails/{letter.pk}/").json() == listed


def test_a_letter_whose_job_runs_is_being_sent(settlement: Settlement) -> None:
    letter = _letter(settlement, "active")
    assert (letter.status_in_words, letter.told_error) == ("sending", "")


@pytest.mark.parametrize(("hours", "said"), [(0, "sending"), (2, "perhaps sent")])
def test_a_letter_whose_job_is_gone_is_under_way_for_an_hour(
    settlement: Settlement, hours: int, said: str
) -> None:
    letter = _letter(settlement, "failed", created_at=timezone.now() - timedelta(hours=hours))
    Job.objects.all().delete()
    letter.refresh_from_db()
    assert letter.status_in_words == said


def test_a_letter_that_was_sent_is_sent_whatever_became_of_its_job(settlement: Settlement) -> None:
    letter = _letter(settlement, "cancelled", status="sent")
    assert (letter.status_in_words, letter.told_error) == ("sent", "")


def test_its_reader_is_told_in_german(admin_client: Client, settlement: Settlement) -> None:
    url = f"{EMAILS}{_letter(settlement, 'cancelled').pk}/change/"
    text = text_of(admin_client.get(url, headers={"Accept-Language": "de"}))
    assert "vielleicht verschickt" in text and "perhaps" not in text
