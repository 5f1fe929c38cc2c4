"""Whatever becomes of the next run of an interrupted one: it is told that the letter was perhaps sent."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.exceptions import JobStopped, JobTimeout
from jobqueue.jobs import running
from jobqueue.models import Job, subject_of
from jobqueue.registry import get_processor
from jobqueue.testing import run_job
from settlements import emails
from settlements.models import EmailDelivery, ReminderDelivery, Settlement
from tests.jobqueue.admin.steps import text_of
from tests.settlements.admin_steps import EMAILS
from tests.settlements.email_processor_steps import letter
from tests.settlements.email_steps import delivery_of
from tests.settlements.test_person_page import letters

pytestmark = pytest.mark.django_db
WHY = "its run ended while the mail server was asked, so perhaps it was sent"
REFUSED = smtplib.SMTPRecipientsRefused({"pia@example.com": (550, b"5.1.1 no such mailbox")})
LATER = smtplib.SMTPDataError(421, b"4.3.2 come again")
REMINDERS = "/admin/settlements/reminderdelivery/"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the mail server does with an e-mail: an error that is raised."""

    def answers(error: BaseException) -> None:
        def send(*_arguments: Any) -> str:
            raise error

        monkeypatch.setattr(emails, "send", send)

    return answers


@pytest.fixture
def interrupted(answer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job whose run ended while the mail server was asked, and which waits to run again."""

    def interrupt(job: Job) -> Job:
        with monkeypatch.context():
            answer(JobStopped("stopped"))
            Job.objects.filter(pk=job.pk).update(state=Job.State.ACTIVE, attempt=1)
            job.refresh_from_db()
            with running(job, "default"), pytest.raises(JobStopped):
                get_processor(job.processor)(**job.payload)
        monkeypatch.undo()
        Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=2)
        return job

    return interrupt


@pytest.fixture
def job(interrupted: Any, settlement: Settlement) -> Job:
    """The interrupted job of a letter."""
    found: Job = interrupted(letter(settlement))
    return found


def told(job: Job, admin_client: Client) -> str:
    """Why it is not known, of a letter that is told as perhaps sent everywhere."""
    delivery = delivery_of(job)
    assert (delivery.status_in_words, delivery.is_uncertain) == ("perhaps sent", True)
    listed = admin_client.get(f"/api/emails/{delivery.pk}/").json()
    assert (listed["uncertain"], listed["error"]) == (True, delivery.told_error)
    text = text_of(admin_client.get(f"{EMAILS}{delivery.pk}/change/"))
    assert "perhaps sent" in text and delivery.told_error in text
    assert delivery.told_error.startswith(f"{WHY}; ")
    return delivery.told_error.removeprefix(f"{WHY}; ")


def cancel(settlement: Settlement) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status="cancelled", decided_status="cancelled")


# How a later run ends -----------------------------------------------------------------------------


def test_one_that_is_skipped_later_was_perhaps_sent(
    job: Job, settlement: Settlement, admin_client: Client
) -> None:
    cancel(settlement)
    assert run_job(job).reason == "skipped: settlement cancelled; perhaps an earlier run sent it"
    assert told(job, admin_client) == "not tried again: settlement cancelled"


def test_one_that_is_refused_later_was_perhaps_sent(job: Job, answer: Any, admin_client: Client) -> None:
    answer(REFUSED)
    run_job(job)
    assert job.state == "failed"
    assert told(job, admin_client).startswith("tried again in vain: SMTPRecipientsRefused: 550 5.1.1")


def test_one_whose_later_runs_fail_was_perhaps_sent(job: Job, answer: Any, admin_client: Client) -> None:
    answer(ZeroDivisionError("ours"))
    while job.state != "failed":
        run_job(job)
    assert told(job, admin_client) == "tried again in vain: ZeroDivisionError: ours"


def test_one_that_waits_for_the_mail_server_was_perhaps_sent(
    job: Job, answer: Any, admin_client: Client
) -> None:
    answer(LATER)
    run_job(job)
    assert told(job, admin_client) == "will be tried again: SMTPDataError: 421 4.3.2 come again"


def test_one_that_is_cancelled_while_it_waits_was_perhaps_sent(
    job: Job, answer: Any, admin_client: Client
) -> None:
    answer(LATER)
    run_job(job)
    job.cancel("cancelled by anna")
    assert told(job, admin_client) == "not tried again: cancelled by anna"


def test_one_that_is_cancelled_before_its_next_run_was_perhaps_sent(job: Job, admin_client: Client) -> None:
    job.refresh_from_db()
    job.cancel("cancelled by anna")
    assert told(job, admin_client) == "not tried again: cancelled by anna"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "user {0} has no e-mail address"),
        ("nobody", "user {0} cannot be reached: the text of 6 characters"),
    ],
)
def test_one_whose_person_has_no_address_any_more_was_perhaps_sent(
    job: Job, settlement: Settlement, admin_client: Client, address: str, why: str
) -> None:
    User.objects.filter(pk=settlement.payer_id).update(email=address)
    run_job(job)
    assert told(job, admin_client).startswith(f"not tried again: {why.format(settlement.payer_id)}")


def test_one_that_runs_into_its_time_limit_was_perhaps_sent(
    settlement: Settlement, answer: Any, admin_client: Client
) -> None:
    job = letter(settlement)
    answer(JobTimeout("too long"))
    run_job(job)
    assert delivery_of(job).told_error == WHY
    cancel(settlement)
    run_job(job)
    assert told(job, admin_client) == "not tried again: settlement cancelled"


def test_the_doubt_outlasts_several_runs(
    job: Job, answer: Any, settlement: Settlement, admin_client: Client
) -> None:
    answer(LATER)
    run_job(job)
    run_job(job)
    cancel(settlement)
    run_job(job)
    assert told(job, admin_client) == "not tried again: settlement cancelled"


def test_one_that_is_sent_later_is_sent(job: Job) -> None:
    run_job(job)
    delivery = delivery_of(job)
    assert (delivery.status_in_words, delivery.told_error) == ("sent", "")


def test_one_that_never_came_to_the_mail_server_is_skipped(settlement: Settlement) -> None:
    job = letter(settlement)
    EmailDelivery.objects.create(job=job, message_id="<a@example.com>", tries=0)
    cancel(settlement)
    assert run_job(job).reason == "skipped: settlement cancelled"
    assert delivery_of(job).status_in_words == "skipped"


def test_one_that_was_refused_by_each_run_was_not_sent(settlement: Settlement, answer: Any) -> None:
    job = letter(settlement)
    answer(LATER)
    run_job(job)
    answer(REFUSED)
    run_job(job)
    assert delivery_of(job).status_in_words == "failed"


def test_while_it_runs_again_it_is_being_sent(job: Job, settlement: Settlement) -> None:
    cancel(settlement)
    run_job(job)
    Job.objects.filter(pk=job.pk).update(state=Job.State.ACTIVE)
    delivery = delivery_of(job)
    assert (delivery.status_in_words, delivery.told_error) == ("sending", "")


def test_who_asks_for_it_once_more_gets_the_whole_time_for_it(job: Job, answer: Any) -> None:
    """The time for which an e-mail is tried begins anew, as after any other end."""
    answer(smtplib.SMTPDataError(554, b"5.7.1 not by our policy"))
    run_job(job)
    EmailDelivery.objects.update(created_at=timezone.now() - timedelta(days=3))
    job.retry()
    answer(LATER)
    run_job(job)
    assert job.state == "waiting"


def test_the_time_does_not_begin_anew_by_itself(job: Job, answer: Any, settings: DjangoSettings) -> None:
    answer(LATER)
    run_job(job)
    EmailDelivery.objects.update(created_at=timezone.now() - timedelta(days=3))
    run_job(job)
    assert job.state == "failed"
    assert delivery_of(job).error.startswith("tried again in vain: not taken within 24 h: ")


# Pages --------------------------------------------------------------------------------------------


@pytest.fixture
def reminder(interrupted: Any, settlement: Settlement) -> ReminderDelivery:
    """A reminder whose letter was interrupted, and is skipped by its next run."""
    carried = {"reminder_type": "follow_up", "step": 1, "due_date": settlement.due_date.isoformat()}
    job = letter(settlement, "reminder_follow_up", reminder=carried)
    delivery = ReminderDelivery.objects.create(
        settlement=settlement,
        reminder_type="follow_up",
        step=1,
        due_date=settlement.due_date,
        recipient=settlement.payer,
        status=ReminderDelivery.Status.ON_ITS_WAY,
        email_job=job,
    )
    interrupted(job)
    cancel(settlement)
    run_job(job)
    delivery.refresh_from_db()
    return delivery


def test_its_reminder_says_so_too(reminder: ReminderDelivery, admin_client: Client) -> None:
    assert reminder.status == ReminderDelivery.Status.NOT_DELIVERED
    for page in (f"{REMINDERS}{reminder.pk}/change/", f"/admin/jobqueue/job/{reminder.email_job_id}/change/"):
        text = text_of(admin_client.get(page))
        assert "perhaps sent" in text and "not delivered" not in text


def test_the_list_of_reminders_says_so(reminder: ReminderDelivery, admin_client: Client) -> None:
    page = admin_client.get(REMINDERS).content.decode()
    assert ">perhaps sent<" in page and ">not delivered<" not in page


def test_a_reminder_that_was_not_sent_is_not_delivered(
    reminder: ReminderDelivery, admin_client: Client
) -> None:
    EmailDelivery.objects.update(status=EmailDelivery.Status.SKIPPED)
    assert reminder.status_in_words == "not delivered"
    assert ">not delivered<" in admin_client.get(REMINDERS).content.decode()


def test_the_page_of_the_person_does_not_say_that_it_was_not_sent(
    reminder: ReminderDelivery, admin_client: Client
) -> None:
    page = text_of(admin_client.get(letters(reminder.recipient)))
    _before, not_sent = page.split("<h2>Reminders and letters that were not sent, and why</h2>")
    not_sent, sent = not_sent.split("<h2>Letters</h2>")
    assert "perhaps" not in not_sent and "perhaps sent" in sent


def test_the_user_page_lists_it_among_what_was_sent_last(
    reminder: ReminderDelivery, admin_client: Client
) -> None:
    page = text_of(admin_client.get(f"/admin/auth/user/{reminder.recipient_id}/change/"))
    assert "perhaps sent" in page.split("<h3>Sent last</h3>")[1]
    assert "Not sent last" not in page


def test_the_list_finds_what_is_perhaps_sent(reminder: ReminderDelivery, admin_client: Client) -> None:
    uncertain = EmailDelivery.objects.get(job=reminder.email_job_id)
    EmailDelivery.objects.create(message_id="<now@example.com>", about=subject_of(reminder.settlement))
    page = admin_client.get(EMAILS, {"status__exact": "perhaps_sent"})
    assert [one.pk for one in page.context["cl"].result_list] == [uncertain.pk]
    tab = next(tab for tab in page.context["tabs"] if tab.is_current)
    assert (tab.label, tab.number) == ("Perhaps sent", "1")


def test_it_is_not_among_those_that_are_being_sent(reminder: ReminderDelivery, admin_client: Client) -> None:
    about = subject_of(reminder.settlement)
    now = EmailDelivery.objects.create(message_id="<now@example.com>", about=about)
    page = admin_client.get(EMAILS, {"status__exact": "sending"})
    assert [one.pk for one in page.context["cl"].result_list] == [now.pk]


def test_its_reader_is_told_in_german(reminder: ReminderDelivery, admin_client: Client) -> None:
    delivery = EmailDelivery.objects.get(job=reminder.email_job_id)
    german = {"Accept-Language": "de"}
    text = text_of(admin_client.get(f"{EMAILS}{delivery.pk}/change/", headers=german))
    assert "nicht noch einmal versucht: Abrechnung abgebrochen" in text
    page = admin_client.get(f"/admin/jobqueue/job/{reminder.email_job_id}/change/", headers=german)
    assert "vielleicht hat ein früherer Lauf es verschickt" in text_of(page)
