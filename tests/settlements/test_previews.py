"""A letter is shown before it goes: decided as when it is sent, nothing written, nothing sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.addresses import bar
from settlements.models import Settlement
from settlements.previews import letters_of
from tests.jobqueue.admin.steps import operator, page_of
from tests.settlements.email_steps import add
from tests.settlements.steps import NOTIFICATION, REMINDER, domain_settings, jobs_of, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
EVIL = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def follow_up(settlement: Settlement) -> Job:
    """The first follow-up, which waits."""
    [job] = [one for one in waiting_of(settlement, REMINDER) if one.payload["reminder_type"] == "follow_up"][
        :1
    ]
    return job


def test_a_delayed_reminder_shows_its_letter(settlement: Settlement, payer: User) -> None:
    [letter] = letters_of(follow_up(settlement))
    assert letter.address == payer.email
    assert letter.rendered is not None
    assert "Dinner in Lisbon" in letter.rendered.text and "Dinner in Lisbon" in letter.rendered.html
    assert (letter.skipped, letter.waits_until) == ("", None)


def test_what_is_shown_is_what_is_sent(settlement: Settlement) -> None:
    job = next(job for job in jobs_of(settlement, REMINDER) if job.payload["reminder_type"] == "initial")
    [letter] = letters_of(job)
    run_soon()
    sent = [message for message in mail.outbox if message.body == letter.rendered.text]  # type: ignore[union-attr]
    assert [message.to for message in sent] == [[letter.address]]


def test_a_notification_shows_the_letters_of_both_people(settlement: Settlement) -> None:
    [job] = waiting_of(settlement, NOTIFICATION)
    assert [letter.address for letter in letters_of(job)] == ["payer@example.com", "payee@example.com"]


def test_it_says_why_it_would_be_skipped(settlement: Settlement, payer: User) -> None:
    job = follow_up(settlement)
    Settlement.objects.update(reminders_paused=True)
    assert [letter.skipped for letter in letters_of(job)] == ["reminders are paused"]
    Settlement.objects.update(reminders_paused=False)
    bar(payer.email, "bounced", "", using="default")
    assert "barred" in letters_of(job)[0].skipped


def test_a_reminder_that_went_out_is_not_shown_as_going(settlement: Settlement) -> None:
    job = next(job for job in jobs_of(settlement, REMINDER) if job.payload["reminder_type"] == "initial")
    run_soon()
    assert [letter.skipped for letter in letters_of(job)] == ["this reminder went out already"]


def test_quiet_hours_count_by_the_time_at_which_it_leaves(
    settlement: Settlement, settings: DjangoSettings
) -> None:
    job = follow_up(settlement)
    night = job.run_at.replace(hour=2, minute=0, second=0, microsecond=0) + timedelta(days=1)
    Job.objects.filter(pk=job.pk).update(run_at=night)
    job.refresh_from_db()
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": (time(1), time(6))})
    assert [letter.waits_until for letter in letters_of(job)] == [night.replace(hour=6)]


def test_the_letter_of_a_settlement_that_is_gone_says_so(settlement: Settlement) -> None:
    job = follow_up(settlement)
    Settlement.objects.all().delete()
    assert [letter.skipped for letter in letters_of(job)] == ["settlement was deleted"]


def test_looking_writes_and_sends_nothing(settlement: Settlement) -> None:
    jobs = waiting_of(settlement)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for job in jobs:
            if job.processor in (REMINDER, NOTIFICATION):
                letters_of(job)
    said = [query["sql"].split()[0].upper() for query in queries]
    assert set(said) <= {"SELECT"}
    assert mail.outbox == []


def test_its_page_shows_subject_text_and_a_frame(admin_client: Client, settlement: Settlement) -> None:
    job = follow_up(settlement)
    assert "Preview of the letter" in admin_client.get(page_of(job)).content.decode()
    page = admin_client.get(page_of(job).replace("/change/", "/preview/")).content.decode()
    assert "payer@example.com" in page
    assert f'<iframe class="jq-letter-frame" sandbox src="/admin/jobqueue/job/{job.pk}/preview/0/"' in page


def test_its_html_is_served_as_a_picture_that_we_alone_frame(
    admin_client: Client, settlement: Settlement
) -> None:
    job = follow_up(settlement)
    response = admin_client.get(f"/admin/jobqueue/job/{job.pk}/preview/0/")
    assert response["Content-Security-Policy"] == (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    )
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert "Dinner in Lisbon" in response.content.decode()


def test_only_who_reads_payloads_sees_it(settlement: Settlement) -> None:
    job = follow_up(settlement)
    viewer = operator("view_job")
    assert "Preview of the letter" not in viewer.get(page_of(job)).content.decode()
    for url in ("preview/", "preview/0/"):
        assert viewer.get(f"/admin/jobqueue/job/{job.pk}/{url}").status_code == 403
    reader = operator("view_job", "view_payload", username="reader")
    assert reader.get(f"/admin/jobqueue/job/{job.pk}/preview/0/").status_code == 200


@pytest.mark.parametrize("address", ["999999999", "x", "1%00", "99999999999999999999"])
def test_there_is_no_preview_of_what_is_not_there(admin_client: Client, address: str) -> None:
    for rest in ("preview/", "preview/0/"):
        assert admin_client.get(f"/admin/jobqueue/job/{address}/{rest}").status_code == 404


def test_a_job_that_ended_has_none(admin_client: Client, settlement: Settlement) -> None:
    job = follow_up(settlement)
    job.cancel()
    assert admin_client.get(f"/admin/jobqueue/job/{job.pk}/preview/").status_code == 404


def test_hostile_text_stays_text(admin_client: Client, make_settlement: Callable[..., Settlement]) -> None:
    job = follow_up(make_settlement(description=f"{EVIL} \u202e {{{{ x }}}}"))
    for url in ("preview/", "preview/0/"):
        page = admin_client.get(f"/admin/jobqueue/job/{job.pk}/{url}").content.decode()
        assert EVIL not in page and "&lt;script&gt;" in page


def test_a_letter_that_cannot_be_made_says_so(admin_client: Client) -> None:
    job = add(template_type="nonsense")
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now() + timedelta(days=1))
    page = admin_client.get(f"/admin/jobqueue/job/{job.pk}/preview/").content.decode()
    assert "The letter cannot be made" in page and "nonsense" in page


def test_a_page_takes_few_queries(
    admin_client: Client, settlement: Settlement, django_assert_max_num_queries: Callable[..., object]
) -> None:
    job = follow_up(settlement)
    with django_assert_max_num_queries(15):  # type: ignore[attr-defined]
        admin_client.get(f"/admin/jobqueue/job/{job.pk}/preview/")
