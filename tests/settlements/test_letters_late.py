"""A letter that leaves late says what is so at that moment, and its preview says the same."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import BulkAction, Job
from jobqueue.models.pauses import pause
from jobqueue.testing import at, run_job
from settlements.jobs import add_letter_job
from settlements.models import Settlement
from settlements.previews import letters_of
from tests.jobqueue.admin.steps import JOBS, operator, text_of
from tests.jobqueue.admin.test_calendar import change, day_url, walked
from tests.jobqueue.api.steps import get
from tests.settlements.letters import REMINDERS, folded, visible
from tests.settlements.steps import domain_settings, reminders_of, run_soon

pytestmark = pytest.mark.django_db(databases=["default", "other"])
DAY = timedelta(days=1)
every_reminder = pytest.mark.parametrize("template_type", REMINDERS)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def said_by(subject: str, text: str, html: str) -> str:
    """All that a reader sees of a letter, in one line."""
    return folded(f"{subject} {text} {visible(html)}")


def sent() -> str:
    """What the last e-mail said."""
    message = mail.outbox[-1]
    [(html, _kind)] = message.alternatives  # type: ignore[attr-defined]
    return said_by(str(message.subject), str(message.body), str(html))


def is_true_after(days: int, told: str) -> bool:
    """Whether a letter of a payment that was due so many days ago says nothing else of it."""
    says_ahead = re.search(r"\bby [A-Z][a-z]+ \d|(?<!was )due on|\bis due\b|Due on|Due now|today|Due: ", told)
    says_past = re.search(r"was due|Was due|[Oo]verdue|[Pp]ast due", told)
    if days <= 0:
        return not says_past and (days == 0) == bool(re.search("today", told))
    return not says_ahead and f"It is overdue by {days} day{'s' if days > 1 else ''}." in told


@every_reminder
@pytest.mark.parametrize("days", [-1, 0, 1, 7])
def test_a_reminder_says_how_its_due_date_stands_to_the_day_on_which_it_leaves(
    settlement: Settlement, template_type: str, days: int
) -> None:
    job = add_letter_job(settlement, settlement.payer_id, template_type, using="default")
    with at(settlement.due_date + days * DAY):
        run_job(job)
    assert is_true_after(days, sent()), sent()


@every_reminder
@pytest.mark.parametrize("days", [0, 1, 7])
def test_a_preview_says_what_the_letter_will_say_when_it_leaves(
    settlement: Settlement, template_type: str, days: int
) -> None:
    job = add_letter_job(settlement, settlement.payer_id, template_type, using="default")
    Job.objects.filter(pk=job.pk).update(run_at=settlement.due_date + days * DAY)
    job.refresh_from_db()
    [shown] = letters_of(job)
    assert shown.rendered is not None
    said = said_by(shown.rendered.subject, shown.rendered.text, shown.rendered.html)
    assert is_true_after(days, said), said
    with at(settlement.due_date + days * DAY):
        run_job(job)
    assert sent() == said


def test_a_planned_reminder_whose_day_was_moved_beyond_the_due_date_stays_where_it_is(
    admin_client: Client, settlement: Settlement
) -> None:
    run_soon()
    final = reminders_of(settlement)["final", 0]
    change(admin_client, day_url(final.run_at, "move/"), days="7")
    walked()
    assert reminders_of(settlement)["final", 0].run_at == final.run_at
    assert "moves between its neighbours only: to a time after" in str(BulkAction.objects.get().left_out)


# A queue that is paused ---------------------------------------------------------------------------


def follow_up(settlement: Settlement) -> Job:
    """The first follow-up, which waits."""
    return reminders_of(settlement)["follow_up", 1]


@pytest.mark.parametrize("queue", ["reminders", "email"])
def test_a_preview_says_that_a_paused_queue_keeps_the_letter(
    admin_client: Client, settlement: Settlement, queue: str
) -> None:
    pause(queue)
    job = follow_up(settlement)
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert re.search(
        rf"Would be sent <time.*?</time>.*?, if the queue {queue}, which is paused, is resumed by then.", text
    )
    [shown] = get(operator("view_job", "view_payload"), f"jobs/{job.pk}/preview/")["letters"]
    assert (shown["leaves_at"], shown["paused_queues"]) == (None, [queue])


def test_a_preview_of_a_due_job_says_that_it_waits_for_its_queue(
    admin_client: Client, settlement: Settlement
) -> None:
    job = add_letter_job(settlement, settlement.payer_id, "reminder_final", using="default")
    pause("email")
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert "Would be sent when the queue email is resumed, which is paused." in text


def test_a_pause_that_ends_before_the_letter_leaves_is_no_reason_to_name_it(
    admin_client: Client, settlement: Settlement
) -> None:
    job = follow_up(settlement)
    pause("email", until=job.run_at - DAY)
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    sent = re.search(r"Would be sent (.*?)</p>", text, re.DOTALL)
    assert sent is not None and "pause" not in sent[1] and job.run_at.isoformat() in sent[1]


def test_a_letter_behind_a_pause_is_shown_as_of_the_end_of_the_pause(
    admin_client: Client, settlement: Settlement
) -> None:
    end = settlement.due_date + 3 * DAY
    job = add_letter_job(settlement, settlement.payer_id, "reminder_final", using="default")
    pause("email", until=end)
    [letter] = letters_of(job)
    assert letter.rendered is not None and "It is overdue by 3 days." in letter.rendered.text
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert "Would be sent when the pause of the queue email ends, " in text and end.isoformat() in text


def test_a_preview_of_a_due_job_does_not_say_that_it_left(
    admin_client: Client, settlement: Settlement
) -> None:
    job = add_letter_job(settlement, settlement.payer_id, "reminder_final", using="default")
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert "Would be sent now: its job is due." in text and " ago" not in text


def test_a_preview_of_a_held_job_says_that_somebody_must_release_it(
    admin_client: Client, settlement: Settlement
) -> None:
    job = follow_up(settlement)
    change(admin_client, day_url(job.run_at, "hold/", job=job.pk))
    text = text_of(admin_client.get(f"{JOBS}{job.pk}/preview/"))
    assert "Would be sent when somebody releases its job." in text
