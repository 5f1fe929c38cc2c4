"""A reminder whose letter waits keeps every promise of one that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from settlements.jobs import add_email_notification_job, add_settlement_reminder_job
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from tests.settlements.smtp import Mailbox, smtp_server
from tests.settlements.steps import EMAIL, domain_settings, only, reminders_of, waiting_of

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
Stage = tuple[str, int]
INITIAL, FIRST, SECOND, FINAL, OVERDUE = (
    *(("initial", 0), ("follow_up", 1), ("follow_up", 2)),
    *(("final", 0), ("overdue", 1)),
)
LATER = "a later reminder is due as well"
OVERTAKEN = "a later reminder went out, or is on its way"

pytestmark = pytest.mark.django_db(databases=["default", "other"])


class Greylisting(Mailbox):
    """Asks everybody to come again until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False

    def answer(self, address: str) -> str:
        return super().answer(address) if self.is_open else "451 4.7.1 come again"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings(EMAIL_RETRY_FOR=30 * DAY)


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Greylisting]:
    mailbox = Greylisting()
    with smtp_server(mailbox) as (host, port):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = host, port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield mailbox


def letter_of(settlement: Settlement, stage: Stage) -> Job:
    """The e-mail of a planned reminder, decided on when it was due."""
    job = reminders_of(settlement)[stage]
    with at(max(job.run_at, timezone.now())):
        run_job(job)
    [letter] = [row for row in waiting_of(settlement, EMAIL) if stage_of(row) == stage]
    return letter


def stage_of(letter: Job) -> Stage | None:
    reminder = letter.payload.get("reminder")
    return (reminder["reminder_type"], reminder["step"]) if reminder else None


def refused(settlement: Settlement, stage: Stage, mailbox: Greylisting) -> Job:
    """The same, after the mail server asked to come again; now it would be let in."""
    letter = letter_of(settlement, stage)
    assert run_job(letter).status == OutcomeStatus.RETRIED
    mailbox.is_open = True
    return letter


def queued(settlement: Settlement, stage: Stage, mailbox: Greylisting) -> Job:
    """The same, in a queue that stood still."""
    letter = letter_of(settlement, stage)
    mailbox.is_open = True
    return letter


def failed(settlement: Settlement, stage: Stage, mailbox: Greylisting) -> Job:
    """The same, failed for good and put back on the road by an operator."""
    letter = letter_of(settlement, stage)
    mailbox.is_open = True
    Job.objects.filter(pk=letter.pk).update(state="failed", failures=4)
    ReminderDelivery.objects.filter(email_job=letter).update(status="not_delivered")
    letter.refresh_from_db()
    letter.retry()
    return letter


WAITED = [refused, queued, failed]
Wait = Callable[[Settlement, Stage, Greylisting], Job]
every_wait = pytest.mark.parametrize("wait", WAITED)


def run_at(letter: Job, moment: datetime) -> Outcome:
    with at(moment):
        return run_job(letter)


def change(settlement: Settlement, **values: Any) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(**values)


# What came between ----------------------------------------------------------------------------------


@every_wait
def test_it_goes_out_if_nothing_came_between(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    run_at(letter, timezone.now() + DAY)
    assert (letter.reason, len(mailbox.messages)) == ("", 1)


@every_wait
def test_it_does_not_go_out_at_night(
    settlement: Settlement, mailbox: Greylisting, settings: DjangoSettings, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    quiet = {"QUIET_HOURS": ("21:00", "08:00"), "TIME_ZONE": "UTC"}
    settings.SETTLEMENTS = domain_settings(reminders=quiet, EMAIL_RETRY_FOR=30 * DAY)
    night = datetime.combine(timezone.now().date() + DAY, datetime.min.time(), UTC) + 2 * HOUR
    outcome = run_at(letter, night)
    assert (outcome.status, outcome.delay, letter.reason) == (OutcomeStatus.RETRIED, 6 * HOUR, "quiet hours")
    assert mailbox.messages == []


@every_wait
def test_it_goes_out_in_the_morning(
    settlement: Settlement, mailbox: Greylisting, settings: DjangoSettings, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    quiet = {"QUIET_HOURS": ("21:00", "08:00"), "TIME_ZONE": "UTC"}
    settings.SETTLEMENTS = domain_settings(reminders=quiet, EMAIL_RETRY_FOR=30 * DAY)
    midnight = datetime.combine(timezone.now().date() + DAY, datetime.min.time(), UTC)
    run_at(letter, midnight + 2 * HOUR)
    run_at(letter, midnight + 8 * HOUR)
    assert len(mailbox.messages) == 1
    assert letter.failures == 0


@every_wait
def test_it_does_not_go_out_while_reminders_are_paused(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    change(settlement, reminders_paused=True)
    run_at(letter, timezone.now() + MINUTE)
    assert letter.reason == "skipped: reminders are paused"


@every_wait
def test_it_does_not_go_out_when_a_later_one_is_due_as_well(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    run_at(letter, settlement.created_at + 3 * DAY + MINUTE)
    assert letter.reason == f"skipped: {LATER}"


@every_wait
def test_it_goes_out_right_before_the_later_one_is_due(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    run_at(letter, settlement.created_at + 3 * DAY - MINUTE)
    assert len(mailbox.messages) == 1


@every_wait
@pytest.mark.parametrize("status", ["delivered", "on_its_way"])
def test_it_does_not_go_out_after_a_later_one_that_somebody_asked_for(
    settlement: Settlement, mailbox: Greylisting, wait: Wait, status: str
) -> None:
    letter = wait(settlement, FIRST, mailbox)
    run_job(add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "final"))
    ReminderDelivery.objects.filter(reminder_type="final").update(status=status)
    run_job(letter)
    assert letter.reason == f"skipped: {OVERTAKEN}"


@every_wait
def test_it_goes_out_if_the_later_one_was_not_delivered(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, FIRST, mailbox)
    run_job(add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "final"))
    ReminderDelivery.objects.filter(reminder_type="final").update(status="not_delivered")
    run_job(letter)
    assert len(mailbox.messages) == 1


@every_wait
def test_it_does_not_go_out_after_the_due_date_moved(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, FIRST, mailbox)
    moved = settlement.due_date + DAY
    change(settlement, due_date=moved)
    run_job(letter)
    assert letter.reason == f"skipped: due date moved to {moved.isoformat()}"


@every_wait
def test_it_does_not_go_out_after_the_money_came(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="completed")
    run_job(letter)
    assert letter.reason == "skipped: nothing is left to pay"


@every_wait
def test_after_a_part_of_the_money_came_it_asks_for_the_rest(
    settlement: Settlement, mailbox: Greylisting, wait: Wait
) -> None:
    letter = wait(settlement, INITIAL, mailbox)
    Payment.objects.create(settlement=settlement, amount=Money(40, "EUR"), status="completed")
    run_job(letter)
    [message] = mailbox.messages
    body = message.get_body(("plain",))
    assert body is not None
    assert "€60.00" in body.get_content()


# Planned anew ---------------------------------------------------------------------------------------


def test_an_initial_reminder_that_waited_while_the_due_date_moved_goes_out_for_the_new_date(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    letter = refused(settlement, INITIAL, mailbox)
    settlement.due_date += DAY
    settlement.save()
    run_job(letter)
    drain()
    reminders = EmailDelivery.objects.filter(template_type="reminder_initial").order_by("pk")
    assert [row.status for row in reminders] == ["skipped", "sent"]


def test_one_that_an_operator_cancelled_meanwhile_does_not(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    letter = refused(settlement, INITIAL, mailbox)
    settlement.due_date += DAY
    settlement.save()
    reminders_of(settlement)[FINAL].cancel()
    run_job(letter)
    assert FINAL not in reminders_of(settlement)


def test_a_skipped_reminder_is_not_planned_again_for_the_same_date(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    letter = refused(settlement, INITIAL, mailbox)
    change(settlement, reminders_paused=True)
    run_job(letter)
    change(settlement, reminders_paused=False)
    reconcile(full=True)
    assert INITIAL not in reminders_of(settlement)


def test_of_reminders_that_all_waited_only_the_latest_goes_out(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    letters = []
    for stage in (INITIAL, FIRST, SECOND):
        letters.append(letter_of(settlement, stage))
        run_job(letters[-1])  # the mail server asks to come again
    mailbox.is_open = True
    with at(settlement.created_at + 8 * DAY):
        for letter in letters:
            run_job(letter)
    assert [letter.is_skipped for letter in letters] == [True, True, False]
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("latest_first", [True, False])
def test_the_order_in_which_they_wake_does_not_matter(
    settlement: Settlement, mailbox: Greylisting, latest_first: bool
) -> None:
    letters = [letter_of(settlement, stage) for stage in (FINAL, OVERDUE)]
    mailbox.is_open = True
    with at(settlement.due_date + DAY + HOUR):
        for letter in letters[::-1] if latest_first else letters:
            run_job(letter)
    assert [letter.is_skipped for letter in letters] == [True, False]


# Asked for by hand ----------------------------------------------------------------------------------


def by_hand(settlement: Settlement, reminder_type: str, step: int = 0) -> Job:
    """The e-mail of a reminder that somebody asked for."""
    waiting = {job.pk for job in waiting_of(settlement, EMAIL)}
    run_job(
        add_settlement_reminder_job(
            settlement.pk, settlement.payer_id, settlement.due_date, reminder_type, step=step
        )
    )
    [letter] = [job for job in waiting_of(settlement, EMAIL) if job.pk not in waiting]
    return letter


def test_one_by_hand_goes_out_at_night(
    settlement: Settlement, mailbox: Greylisting, settings: DjangoSettings
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": ("00:00", "23:59")})
    mailbox.is_open = True
    run_job(by_hand(settlement, "final"))
    assert len(mailbox.messages) == 1


def test_one_by_hand_goes_out_after_a_later_stage_of_before_it_was_asked_for(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    by_hand(settlement, "overdue", 1)
    mailbox.is_open = True
    run_job(by_hand(settlement, "final"))
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize(("later", "step"), [("overdue", 1), ("final", 1)])
def test_one_by_hand_does_not_go_out_after_a_later_stage_decided_since(
    settlement: Settlement, mailbox: Greylisting, later: str, step: int
) -> None:
    letter = by_hand(settlement, "final")
    by_hand(settlement, later, step)
    mailbox.is_open = True
    run_job(letter)
    assert letter.reason == f"skipped: {OVERTAKEN}"


def test_a_later_stage_that_failed_and_was_asked_for_again_since_counts_as_decided_since(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    overdue = by_hand(settlement, "overdue", 1)
    Job.objects.filter(pk=overdue.pk).update(state="failed")
    ReminderDelivery.objects.update(status="not_delivered")
    letter = by_hand(settlement, "final")
    by_hand(settlement, "overdue", 1)
    mailbox.is_open = True
    run_job(letter)
    assert letter.reason == f"skipped: {OVERTAKEN}"


def test_a_programs_own_reminder_does_not_go_out_after_a_later_stage_decided_since(
    settlement: Settlement, mailbox: Greylisting, payer: User
) -> None:
    data = {"settlement_id": str(settlement.pk)}
    letter = add_email_notification_job(payer.pk, payer.email, "", "settlement_reminder", data)
    by_hand(settlement, "final")
    mailbox.is_open = True
    run_job(letter)
    assert letter.reason == f"skipped: {OVERTAKEN}"


def test_only_letters_that_the_plan_decided_on_are_planned(
    settlement: Settlement, mailbox: Greylisting
) -> None:
    run_job(reminders_of(settlement)[INITIAL])
    planned = only(settlement, EMAIL).payload["reminder"]["planned_at"]
    assert planned
    assert by_hand(settlement, "final").payload["reminder"]["planned_at"] is None
